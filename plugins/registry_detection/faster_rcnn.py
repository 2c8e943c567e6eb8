"""Faster R-CNN from its spec. torchvision: `models.detection.faster_rcnn`."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.models.detection.rpn import AnchorGenerator, RegionProposalNetwork
from torchvision.ops import MultiScaleRoIAlign

from registry.specs import BackboneSpec
from registry_detection.checks import CheckedDetector
from registry_detection.pyramid import BackboneWithPyramid
from registry_detection.specs import FasterRCNNSpec
from registry_detection.split import TwoStageSplit


class FasterRCNNModel(CheckedDetector, FasterRCNN):  # type: ignore[misc]  # torchvision ships no types
    """A list of images (C, H, W) in 0 to 1, of any sizes, to one dict an image: `boxes` (N, 4) in its pixels, `labels` (N)
    and `scores` (N); in training, with targets, to a dict of four losses.
    """

    def split(self) -> TwoStageSplit:
        """The parts that exporters trace."""
        return TwoStageSplit(self)

    def fixed_forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is computed whatever the images show: the pyramid, and the box head on as many proposals as it may be given."""
        rpn: RegionProposalNetwork = self.rpn
        boxes: RoIHeads = self.roi_heads
        pyramid = cast("nn.Module", self.backbone)
        features = list(pyramid(images).values())
        rpn.head(features)
        side = boxes.box_roi_pool.output_size[0]
        pooled = features[0].new_empty(len(images) * rpn.post_nms_top_n(), features[0].shape[1], side, side)
        scores, corrections = boxes.box_predictor(boxes.box_head(pooled))
        return scores, corrections


class BoxHeads(RoIHeads):  # type: ignore[misc]  # torchvision ships no types
    """The heads that classify and correct proposals. torchvision: `models.detection.roi_heads.RoIHeads`.

    Where a batch has neither a proposal nor an object, torchvision's losses are means over nothing, NaN, which one step
    spreads over all weights. Here they are zero, as nothing can be learned. Can be scripted.
    """

    def forward(
        self,
        features: dict[str, torch.Tensor],
        proposals: list[torch.Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, torch.Tensor]] | None = None,
    ) -> tuple[list[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
        """In training no detections and the losses of a sample of the proposals, else the detections and no losses.

        Raises:
            TypeError: boxes or labels of other types, where the model's own check does not run.
        """
        if targets is not None:
            for target in targets:
                if target["boxes"].dtype not in (torch.float, torch.double, torch.half):
                    raise TypeError(f"boxes are {target['boxes'].dtype}; they must be floats")
                if target["labels"].dtype != torch.int64:
                    raise TypeError(f"labels are {target['labels'].dtype}; they must be int64")
        if self.training:
            proposals, _, labels, corrections = self.select_training_samples(proposals, targets)
            class_logits, box_regression = self._read(features, proposals, image_shapes)
            if sum([len(sampled) for sampled in labels]) == 0:
                classified, corrected = class_logits.sum(), box_regression.sum()  # sums over nothing, with gradients
            else:
                classified, corrected = fastrcnn_loss(class_logits, box_regression, labels, corrections)
            return [], {"loss_classifier": classified, "loss_box_reg": corrected}
        class_logits, box_regression = self._read(features, proposals, image_shapes)
        boxes, scores, found = self.postprocess_detections(class_logits, box_regression, proposals, image_shapes)
        result = [{"boxes": boxes[i], "labels": found[i], "scores": scores[i]} for i in range(len(boxes))]
        return result, {}

    def _read(
        self, features: dict[str, torch.Tensor], proposals: list[torch.Tensor], image_shapes: list[tuple[int, int]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Class scores of each proposal, and a corrected box of each for every class."""
        pooled = self.box_head(self.box_roi_pool(features, proposals, image_shapes))
        scores: tuple[torch.Tensor, torch.Tensor] = self.box_predictor(pooled)
        return scores


def build(spec: FasterRCNNSpec, backbone: nn.Module, backbone_spec: BackboneSpec) -> FasterRCNNModel:
    """The whole model; its pooling looks at the pyramid's own levels, not at the extra ones."""
    pyramid = BackboneWithPyramid(spec.pyramid, backbone, backbone_spec)
    mean, std = spec.image.per_channel(backbone_spec.in_channels)
    levels = [str(index) for index in range(len(spec.pyramid.levels))]
    rpn, box = spec.rpn, spec.box
    pool = MultiScaleRoIAlign(levels, box.pool_size, box.sampling_ratio)
    head = TwoMLPHead(spec.pyramid.out_channels * box.pool_size**2, box.hidden_channels)
    predictor = FastRCNNPredictor(box.hidden_channels, spec.num_classes)
    model = FasterRCNNModel(
        pyramid,
        num_classes=None,
        min_size=spec.image.min_size,
        max_size=spec.image.max_size,
        image_mean=mean,
        image_std=std,
        size_divisible=spec.image.size_divisible,
        rpn_anchor_generator=AnchorGenerator(spec.anchors.sizes, (spec.anchors.ratios,) * len(spec.anchors.sizes)),
        rpn_pre_nms_top_n_train=rpn.pre_nms_top_n_train,
        rpn_pre_nms_top_n_test=rpn.pre_nms_top_n_test,
        rpn_post_nms_top_n_train=rpn.post_nms_top_n_train,
        rpn_post_nms_top_n_test=rpn.post_nms_top_n_test,
        rpn_nms_thresh=rpn.nms_threshold,
        rpn_fg_iou_thresh=rpn.foreground_iou,
        rpn_bg_iou_thresh=rpn.background_iou,
        rpn_batch_size_per_image=rpn.batch_size_per_image,
        rpn_positive_fraction=rpn.positive_fraction,
        rpn_score_thresh=rpn.score_threshold,
        box_roi_pool=pool,
        box_head=head,
        box_predictor=predictor,
    )
    model.roi_heads = BoxHeads(
        pool,
        head,
        predictor,
        fg_iou_thresh=box.foreground_iou,
        bg_iou_thresh=box.background_iou,
        batch_size_per_image=box.batch_size_per_image,
        positive_fraction=box.positive_fraction,
        bbox_reg_weights=box.regression_weights,
        score_thresh=box.score_threshold,
        nms_thresh=box.nms_threshold,
        detections_per_img=box.detections_per_image,
    )
    model.in_channels = backbone_spec.in_channels
    model.first_label, model.last_label = 1, spec.num_classes - 1
    return model
