"""EfficientNet's classifier on any backbone. timm: `models.efficientnet.EfficientNet`, from `conv_head` on."""

from __future__ import annotations

import math
from collections import OrderedDict

from registry_classification.classifier import ImageClassifier
from torch import nn

from registry.modules.norm import norm_layer
from registry.specs import BackboneSpec
from registry_timm.specs import EfficientNetClassifierSpec

_ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu6": nn.ReLU6, "relu": nn.ReLU}
_HEAD = ("conv_head", "bn2", "act2", "global_pool", "flatten", "dropout", "classifier")


def build(spec: EfficientNetClassifierSpec, backbone: nn.Module, backbone_spec: BackboneSpec) -> ImageClassifier:
    """The whole model: the backbone's stages, then the head under timm's names. (N, C, H, W) to logits (N, num_classes)."""
    channels, hidden = backbone_spec.feature_maps()[-1].channels, spec.hidden_channels
    head = (
        nn.Conv2d(channels, hidden, 1, bias=False),
        norm_layer(spec.norm)(hidden),
        _ACTIVATIONS[spec.activation](),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
        nn.Dropout(spec.dropout),
        nn.Linear(hidden, spec.num_classes),
    )
    return ImageClassifier(OrderedDict([*backbone.named_children(), *zip(_HEAD, head, strict=True)]))


def init(spec: EfficientNetClassifierSpec, model: ImageClassifier) -> None:
    """The convolution from a normal distribution (fan out), the linear layer evenly from +-1/sqrt(classes), biases zero.

    Source: timm.models._efficientnet_builder, `_init_weight_goog`.
    """
    conv, linear = model.get_submodule("conv_head"), model.get_submodule("classifier")
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(linear, nn.Linear)
    nn.init.normal_(conv.weight, 0, math.sqrt(2 / conv.out_channels))
    bound = 1 / math.sqrt(spec.num_classes)
    nn.init.uniform_(linear.weight, -bound, bound)
    nn.init.zeros_(linear.bias)
