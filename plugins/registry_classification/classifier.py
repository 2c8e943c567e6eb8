"""The classifier of MobileNetV3 on any backbone. torchvision: `models.mobilenetv3.MobileNetV3`, from its pooling on."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from registry.specs import BackboneSpec
from registry_classification.specs import MobileNetV3ClassifierSpec


class ImageClassifier(nn.Sequential):
    """The backbone's stages, global average pooling, and a classifier, one after the other.

    Shapes: (N, C, H, W) to logits (N, num_classes). The stages keep the names the backbone gives them, so that state dicts
    have torchvision's keys.
    """


def build(spec: MobileNetV3ClassifierSpec, backbone: nn.Module, backbone_spec: BackboneSpec) -> ImageClassifier:
    """The whole model; the hidden layer is as wide as the backbone scales `hidden_channels`."""
    features = backbone_spec.feature_maps()[-1].channels
    hidden = backbone_spec.head_channels(spec.hidden_channels)
    classifier = nn.Sequential(
        nn.Linear(features, hidden),
        nn.Hardswish(inplace=True),
        nn.Dropout(p=spec.dropout, inplace=True),
        nn.Linear(hidden, spec.num_classes),
    )
    return ImageClassifier(
        OrderedDict(
            [
                *backbone.named_children(),
                ("avgpool", nn.AdaptiveAvgPool2d(1)),
                ("flatten", nn.Flatten(1)),
                ("classifier", classifier),
            ]
        )
    )


def init(spec: MobileNetV3ClassifierSpec, model: ImageClassifier) -> None:
    """Linear layers from a normal distribution of deviation 0.01, biases zero."""
    for module in model.get_submodule("classifier").modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
            nn.init.zeros_(module.bias)
