"""The whole detector: images of any sizes in, losses or boxes out."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from registry.modules.checked import Checked
from registry.specs import BackboneSpec
from registry_centernet.checks import check_batch, check_images, check_targets
from registry_centernet.decode import decode
from registry_centernet.losses import losses
from registry_centernet.network import Network, initialise
from registry_centernet.specs import CenterNetSpec
from registry_centernet.split import CenterNetSplit
from registry_centernet.targets import encode

Targets = list[dict[str, Tensor]]


class CenterNet(Checked):
    """A list of images (C, H, W) in 0 to 1, of any sizes, to one dict an image: `boxes` (D, 4) in its pixels, `labels` (D) from
    1, and `scores` (D); in training, with targets, to a dict of three losses.

    Attributes:
        network: the dense part, a plain module of batches (N, C, H, W), resized and normalised, to maps.
        stride: pixels of the resized image per step of its maps.
        score_threshold: least score of a detection.
    """

    def __init__(self, spec: CenterNetSpec, backbone: nn.Module, backbone_spec: BackboneSpec) -> None:
        super().__init__()
        maps = spec.neck.maps(backbone_spec)
        mean, std = spec.image.per_channel(backbone_spec.in_channels)
        self.transform = GeneralizedRCNNTransform(
            spec.image.min_size, spec.image.max_size, mean, std, size_divisible=spec.image.size_divisible
        )
        self.network = Network(spec, backbone, backbone_spec)
        self.head_spec = spec
        self.score_threshold = spec.score_threshold
        self.in_channels = backbone_spec.in_channels
        self.stride, self.last_stride = maps[0].stride, maps[-1].stride

    def check_inputs(self, images: Any, targets: Any = None) -> None:
        """Images: a list of float tensors (C, H, W) in 0 to 1. Targets: for each `boxes` (N, 4) in pixels, x1, y1, x2, y2,
        and `labels`, int64 (N), from 1.

        Raises:
            RegistryError: says which image, which box, and what to give instead.
        """
        check_images(images, self, self.in_channels, self.head_spec.image)
        check_targets(images, targets, last_label=self.head_spec.num_classes - 1, needed=self.training)
        if self.training:
            check_batch(images, self.network, self.head_spec.image, self.last_stride)

    def forward(
        self, images: list[Tensor], targets: Targets | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Losses `loss_heatmap`, `loss_size` and `loss_offset`, already weighted, in training; boxes in eval mode."""
        spec = self.head_spec
        originals = [(image.shape[-2], image.shape[-1]) for image in images]
        if self.training and targets is not None:
            targets = [{"boxes": t["boxes"].float(), "labels": t["labels"]} for t in targets]
        batch, resized = self.transform(images, targets if self.training else None)
        outputs = self.network(batch.tensors)
        if self.training:
            encoded = encode(
                cast("Targets", resized),
                classes=spec.num_classes - 1,
                size=(outputs["heatmap"].shape[-2], outputs["heatmap"].shape[-1]),
                stride=self.stride,
                min_overlap=spec.loss.min_overlap,
            )
            return losses(outputs, encoded, spec.loss)
        found = decode(
            outputs,
            batch.image_sizes,
            stride=self.stride,
            top=spec.detections_per_image,
            score_threshold=self.score_threshold,
        )
        return cast("list[dict[str, Tensor]]", self.transform.postprocess(found, batch.image_sizes, originals))

    def fixed_forward(self, images: Tensor) -> dict[str, Tensor]:
        """What is computed whatever the images show: everything before peaks are chosen. Images (N, C, H, W), normalised."""
        outputs: dict[str, Tensor] = self.network(images)
        return outputs

    def split(self) -> CenterNetSplit:
        """The parts that exporters trace, and what runs between them."""
        return CenterNetSplit(self)


def build(spec: CenterNetSpec, backbone: nn.Module, backbone_spec: BackboneSpec) -> CenterNet:
    """The whole model."""
    return CenterNet(spec, backbone, backbone_spec)


@torch.no_grad()
def init(spec: CenterNetSpec, model: CenterNet) -> None:
    """Neck and branches before training; the backbone has an initialisation of its own."""
    initialise(model.network, spec.prior)
