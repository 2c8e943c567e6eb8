"""A timm model as one stage after the other, under the names by which feature maps are asked for."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import timm
from timm.models import FeatureDictNet
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from torch import nn

from registry.errors import RegistryError
from registry.suggest import did_you_mean

#: Extractors that run a stem and then each module of `blocks`; looked up in their `forward`.
_STEM_AND_BLOCKS = (EfficientNetFeatures, MobileNetV3Features)


def create(model: str, **settings: Any) -> nn.Module:
    """timm's own feature extractor with random weights: `timm.create_model(model, features_only=True)`.

    Args:
        settings: what timm takes: `in_chans`, `output_stride`, `drop_path_rate`.

    Raises:
        RegistryError: timm has no such model, or the model does not take these settings.
    """
    require(model)
    try:
        features: nn.Module = timm.create_model(model, features_only=True, pretrained=False, **settings)
    except Exception as error:  # each model refuses in its own way
        told = ", ".join(f"{key}={value}" for key, value in settings.items())
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        with_settings = f" with {told}" if told else ""
        raise RegistryError(f"timm cannot make feature maps of `{model}`{with_settings}: {reason}") from error
    return features


def told_maps(features: nn.Module) -> list[dict[str, Any]]:
    """What a feature extractor says about its maps: `num_chs`, `reduction` and `module` of each."""
    infos: list[dict[str, Any]] = features.feature_info.get_dicts()  # type: ignore[union-attr,operator]  # no tensor
    return infos


def require(model: str) -> None:
    """Raises RegistryError with the nearest names where timm has no such model."""
    if not timm.is_model(model):
        hint = did_you_mean(model, timm.list_models()) or "timm.list_models() names them all"
        raise RegistryError(f"timm {timm.__version__} has no model `{model}`; {hint}")


def stages_of(model: str, features: nn.Module) -> OrderedDict[str, nn.Module]:
    """The modules that a feature extractor runs, in order and by name.

    A module inside a container, `blocks.3`, is called `blocks_3`, as timm itself calls it where it takes containers apart.

    Raises:
        RegistryError: the model is no chain of modules, or its maps are not (N, C, H, W).
    """
    layout = getattr(features, "output_fmt", "NCHW")
    layout = getattr(layout, "value", layout)
    if layout != "NCHW":
        raise RegistryError(f"timm yields the maps of `{model}` as {layout}, and heads take NCHW: (N, C, H, W)")
    if isinstance(features, _STEM_AND_BLOCKS):
        return OrderedDict(_stem_and_blocks(features))
    if isinstance(features, FeatureDictNet) and not features.concat:
        return OrderedDict(features.items())
    raise RegistryError(
        f"timm runs `{model}` not as one module after the other ({type(features).__name__}), "
        "so it cannot be cut at its feature maps; take a model that is a chain of stages"
    )


def _stem_and_blocks(features: nn.Module) -> list[tuple[str, nn.Module]]:
    named: list[tuple[str, nn.Module]] = []
    for name, module in features.named_children():
        if name == "blocks":
            named += [(f"blocks_{child}", block) for child, block in module.named_children()]
        else:
            named.append((name, module))
    return named
