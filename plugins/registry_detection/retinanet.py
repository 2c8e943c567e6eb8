"""RetinaNet from its spec. torchvision: `models.detection.retinanet`."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNet

from registry.specs import BackboneSpec
from registry_detection.checks import CheckedDetector
from registry_detection.pyramid import BackboneWithPyramid
from registry_detection.specs import RetinaNetSpec
from registry_detection.split import OneStageSplit


class RetinaNetModel(CheckedDetector, RetinaNet):  # type: ignore[misc]  # torchvision ships no types
    """A list of images (C, H, W) in 0 to 1, of any sizes, to one dict an image: `boxes` (N, 4) in its pixels, `labels` (N)
    and `scores` (N); in training, with targets, to a dict of two losses.
    """

    def split(self) -> OneStageSplit:
        """The parts that exporters trace."""
        return OneStageSplit(self, by_level=True)

    def fixed_forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """What is computed whatever the images show: everything before boxes are chosen."""
        pyramid, head = cast("nn.Module", self.backbone), cast("nn.Module", self.head)
        outputs: dict[str, torch.Tensor] = head(list(pyramid(images).values()))
        return outputs


def build(spec: RetinaNetSpec, backbone: nn.Module, backbone_spec: BackboneSpec) -> RetinaNetModel:
    """The whole model. Every class has a score of its own, so that class 0 is a class as any other."""
    mean, std = spec.image.per_channel(backbone_spec.in_channels)
    model = RetinaNetModel(
        BackboneWithPyramid(spec.pyramid, backbone, backbone_spec),
        num_classes=spec.num_classes,
        min_size=spec.image.min_size,
        max_size=spec.image.max_size,
        image_mean=mean,
        image_std=std,
        size_divisible=spec.image.size_divisible,
        anchor_generator=AnchorGenerator(spec.anchors.sizes, (spec.anchors.ratios,) * len(spec.anchors.sizes)),
        score_thresh=spec.score_threshold,
        nms_thresh=spec.nms_threshold,
        detections_per_img=spec.detections_per_image,
        fg_iou_thresh=spec.foreground_iou,
        bg_iou_thresh=spec.background_iou,
        topk_candidates=spec.candidates,
    )
    model.in_channels = backbone_spec.in_channels
    model.first_label, model.last_label = 0, spec.num_classes - 1
    return model
