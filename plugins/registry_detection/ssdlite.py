"""SSDlite from its spec. torchvision: `models.detection.ssdlite`."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead
from torchvision.ops import Conv2dNormActivation

from registry.errors import RegistryError
from registry.modules.norm import Norm, norm_layer
from registry.specs import BackboneSpec, FeatureMap
from registry_detection.checks import CheckedDetector
from registry_detection.specs import SSDLiteSpec
from registry_detection.split import OneStageSplit


class SSDLiteModel(CheckedDetector, SSD):  # type: ignore[misc]  # torchvision ships no types
    """A list of images (C, H, W) in 0 to 1, of any sizes, to one dict an image: `boxes` (N, 4) in its pixels, `labels` (N)
    and `scores` (N); in training, with targets, to a dict of two losses.

    Attributes:
        strides: input pixels per step of each level's map, finest first.
    """

    strides = (16, 32)  # without annotations, see Checked

    def check_inputs(self, images: Any, targets: Any = None) -> None:
        """As every detector, and that batch normalisation is not to train on a single value.

        Raises:
            RegistryError: says what is wrong and what to give instead.
        """
        super().check_inputs(images, targets)
        if self.training and len(images) == 1:
            self._check_single_image()

    def _check_single_image(self) -> None:
        """One image leaves one value a channel where a level is 1x1."""
        transform: Any = self.transform
        width, height = transform.fixed_size
        levels = cast("LevelsWithExtras", self.backbone)
        points = [index for index, stride in enumerate(self.strides) if stride >= max(width, height)]
        inside = [i for i in points if i < len(levels.features) and _trains(list(levels.features[i].children())[-1])]
        failing = [*inside, *(i for i in points if any(_trains(part) for part in self._parts(i)))]
        if not failing:
            return
        advice = f"head.image.size to more than {max(self.strides[i] for i in failing)} pixels"
        if not inside:
            groups = math.gcd(8, *(norm.num_features for norm in _norms(cast("nn.Module", self.head), levels.extra)))
            advice += f", or head.norm to {{kind: group, groups: {groups}}}"
        raise RegistryError(
            f"a batch of one image cannot train this head: at {width}x{height} pixels its coarsest level is 1x1, where "
            "batch normalisation has one value; give two images or more (drop_last=True in the loader), or set "
            f"{advice}"
        )

    def _parts(self, level: int) -> Iterator[nn.Module]:
        """The parts of the head that make or read a level."""
        levels, head = cast("LevelsWithExtras", self.backbone), cast("SSDLiteHead", self.head)
        if level >= len(levels.features):
            yield from list(cast("nn.Sequential", levels.extra[level - len(levels.features)]).children())[1:]
        yield head.classification_head.module_list[level]
        yield head.regression_head.module_list[level]

    def split(self) -> OneStageSplit:
        """The parts that exporters trace."""
        return OneStageSplit(self, by_level=False)

    def fixed_forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """What is computed whatever the images show: everything before boxes are chosen."""
        levels, head = cast("nn.Module", self.backbone), cast("nn.Module", self.head)
        outputs: dict[str, torch.Tensor] = head(list(levels(images).values()))
        return outputs


def _norms(*parts: nn.Module) -> Iterator[nn.BatchNorm2d]:
    """The batch normalisations in some parts."""
    for part in parts:
        yield from (layer for layer in part.modules() if isinstance(layer, nn.BatchNorm2d))


def _trains(part: nn.Module) -> bool:
    """True if statistics of the batch are taken in it."""
    return any(norm.training for norm in _norms(part))


class LevelsWithExtras(nn.Module):
    """The backbone cut into sections that end at the levels, and extra levels of half the size each.

    Images (N, C, H, W) to an ordered dict of maps `0`, `1`, …, finest first.
    """

    def __init__(self, sections: list[nn.Sequential], extra: list[nn.Module]) -> None:
        super().__init__()
        self.features = nn.Sequential(*sections)
        self.extra = nn.ModuleList(extra)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Runs every section and extra level."""
        maps: list[torch.Tensor] = []
        for section in self.features:
            x = section(x)
            maps.append(x)
        for level in self.extra:
            x = level(x)
            maps.append(x)
        return OrderedDict([(str(index), found) for index, found in enumerate(maps)])


def build(spec: SSDLiteSpec, backbone: nn.Module, backbone_spec: BackboneSpec) -> SSDLiteModel:
    """The whole model."""
    norm = norm_layer(spec.norm)
    maps = [m for m in (backbone_spec.find_map(level) for level in spec.levels) if m is not None]
    channels = [feature.channels for feature in maps] + list(spec.extra_channels)
    wider = zip(channels[len(maps) - 1 :], spec.extra_channels, strict=False)
    extra = [_extra_level(before, after, norm) for before, after in wider]
    boxes = DefaultBoxGenerator(
        [list(ratios) for ratios in spec.boxes.ratios], min_ratio=spec.boxes.min_ratio, max_ratio=spec.boxes.max_ratio
    )
    mean, std = spec.image.per_channel(backbone_spec.in_channels)
    height, width = spec.image_size()
    model = SSDLiteModel(
        LevelsWithExtras(sections(backbone, maps), extra),
        boxes,
        (width, height),  # torchvision's transform reads a fixed size as width and height
        spec.num_classes,
        image_mean=mean,
        image_std=std,
        head=SSDLiteHead(channels, boxes.num_anchors_per_location(), spec.num_classes, norm),
        score_thresh=spec.score_threshold,
        nms_thresh=spec.nms_threshold,
        detections_per_img=spec.detections_per_image,
        iou_thresh=spec.foreground_iou,
        topk_candidates=spec.candidates,
        positive_fraction=spec.positive_fraction,
    )
    model.in_channels = backbone_spec.in_channels
    model.first_label, model.last_label = 1, spec.num_classes - 1
    last = maps[-1].stride
    model.strides = (*(m.stride for m in maps), *(last * 2**step for step in range(1, len(extra) + 1)))
    return model


def init(spec: SSDLiteSpec, model: SSDLiteModel) -> None:
    """Convolutions of backbone and extra levels from a normal distribution, biases zero; the head's own are so already."""
    for module in model.get_submodule("backbone").modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0, spec.init_std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def sections(backbone: nn.Module, maps: list[FeatureMap]) -> list[nn.Sequential]:
    """The layers up to each map: (0, 1, …, 12, first layer of 13), (rest of 13, 14, …), and so on."""
    holder = _holder(maps)
    found: list[nn.Sequential] = []
    waiting = list(backbone.get_submodule(holder).named_children())
    for feature in maps:
        path = feature.module[len(holder) :].lstrip(".").split(".")
        place = [name for name, _ in waiting].index(path[0])
        section = [layer for _, layer in waiting[:place]]
        name, layer = waiting[place]
        waiting = waiting[place + 1 :]
        if len(path) == 1:
            section.append(layer)
        else:
            inside = layer.get_submodule(path[1])
            assert isinstance(inside, nn.Sequential)
            end = int(path[2]) + 1
            section += inside[:end]
            waiting.insert(0, (name, inside[end:]))
        found.append(nn.Sequential(*section))
    return found


def _holder(maps: list[FeatureMap]) -> str:
    """Path of the module that holds the layers; a map inside a block lies two modules deeper."""
    last = maps[-1].module.split(".")
    return ".".join(last[: len(last) - (3 if len(last) > 2 else 1)])


def _extra_level(in_channels: int, out_channels: int, norm: Norm) -> nn.Module:
    """1x1 to half the channels, depthwise 3x3 of stride 2, 1x1 to all of them."""
    half = out_channels // 2

    def layer(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
        made: nn.Module = Conv2dNormActivation(
            before, after, kernel, stride, groups=groups, norm_layer=norm, activation_layer=nn.ReLU6
        )
        return made

    return nn.Sequential(
        layer(in_channels, half, 1), layer(half, half, 3, stride=2, groups=half), layer(half, out_channels, 1)
    )
