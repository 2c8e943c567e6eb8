"""The classifiers of ResNet and MobileNetV2, on any backbone. torchvision: both constructors, from their pooling on."""

from __future__ import annotations

from collections import OrderedDict

from registry_classification.classifier import ImageClassifier
from torch import nn

from registry.specs import BackboneSpec
from registry_baselines.specs import MobileNetV2ClassifierSpec, ResNetClassifierSpec


def build_resnet(spec: ResNetClassifierSpec, backbone: nn.Module, backbone_spec: BackboneSpec) -> ImageClassifier:
    """Pooling and a linear layer called `fc`, which keeps the parameters its constructor draws."""
    return _classifier(backbone, "fc", nn.Linear(backbone_spec.feature_maps()[-1].channels, spec.num_classes))


def build_mobilenet_v2(
    spec: MobileNetV2ClassifierSpec, backbone: nn.Module, backbone_spec: BackboneSpec
) -> ImageClassifier:
    """Pooling, dropout and a linear layer called `classifier.1`."""
    linear = nn.Linear(backbone_spec.feature_maps()[-1].channels, spec.num_classes)
    return _classifier(backbone, "classifier", nn.Sequential(nn.Dropout(p=spec.dropout), linear))


def init_mobilenet_v2(spec: MobileNetV2ClassifierSpec, model: ImageClassifier) -> None:
    """The linear layer from a normal distribution of deviation 0.01, biases zero."""
    linear = model.get_submodule("classifier.1")
    assert isinstance(linear, nn.Linear)
    nn.init.normal_(linear.weight, 0, 0.01)
    nn.init.zeros_(linear.bias)


def _classifier(backbone: nn.Module, name: str, layer: nn.Module) -> ImageClassifier:
    """The backbone's stages, under their own names, and what comes after them."""
    pooling = [("avgpool", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten(1))]
    return ImageClassifier(OrderedDict([*backbone.named_children(), *pooling, (name, layer)]))
