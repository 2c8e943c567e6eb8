"""Detectors as parts that can be traced: everything before boxes are chosen, and the box head on what was pooled.

Between the parts stand torchvision's own functions: resizing and padding, anchors, suppression, RoIAlign. Each image is run by
itself, so that it is padded to its own size and not to that of its neighbours in a batch. It can be traced, for one image.
Source of the order of steps: torchvision's `GeneralizedRCNN.forward`, `RegionProposalNetwork.forward`, `RetinaNet.forward` and
`SSD.forward`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers

from registry.modules.split import Axis, Call, Split

#: What a detector returns for an image: `boxes` (D, 4), `labels` (D) and `scores` (D).
Found = dict[str, torch.Tensor]
#: Fewest rows that a part with any number of rows is given: exporters take one row for a constant.
_ROWS = 2


def _tracing() -> bool:
    return torch._C._get_tracing_state() is not None


class DetectorSplit(Split):
    """What all detectors have in common: the part `dense` takes the resized and padded image (1, C, H, W).

    Args:
        model: a torchvision detector in eval mode.
        dense: its part.
    """

    def __init__(self, model: Any, dense: nn.Module) -> None:
        self.model = model
        self.parts = {"dense": dense.eval()}

    def prepared(self, image: torch.Tensor) -> ImageList:
        """An image (C, H, W) in 0 to 1 as the part `dense` takes it: normalised, resized, padded."""
        images: ImageList = self._traced(image) if _tracing() else self.model.transform([image])[0]
        return images

    def _traced(self, image: torch.Tensor) -> ImageList:
        """The same for an exporter that records: torchvision's own code rounds sizes otherwise there, in float32."""
        transform = self.model.transform
        image = transform.normalize(image)
        sides = torch._shape_as_tensor(image)[1:]
        if transform.fixed_size is not None:
            target = torch.tensor(transform.fixed_size[::-1])
        else:
            exact = sides.to(torch.float64)
            # divided before the least is taken, as ONNX's exporter divides in float64 only what it knows the type of
            shorter, longer = (
                exact.new_tensor(transform.min_size[-1]) / exact,
                exact.new_tensor(transform.max_size) / exact,
            )
            scale = torch.stack([shorter.max(), longer.min()]).min()
            target = (exact * scale).floor().to(torch.int64)
        height, width = target[0], target[1]  # tensors, which the functions below take while they are traced
        size: Any = (height, width)
        resized = F.interpolate(image[None], size=size, mode="bilinear", align_corners=False)
        step = int(transform.size_divisible)
        more = (target + step - 1).div(step, rounding_mode="floor") * step - target
        padding: Any = (0, more[1], 0, more[0])
        return ImageList(F.pad(resized, padding), [size])

    def placed(self, found: Found, size: Any, image: torch.Tensor) -> Found:
        """Detections in pixels of the image, from those in pixels of the prepared one, of that size without its padding."""
        if not _tracing():
            placed: list[Found] = self.model.transform.postprocess([found], [size], [tuple(image.shape[-2:])])
            return placed[0]
        ratio = torch._shape_as_tensor(image)[1:].to(torch.float32) / torch.stack([*size]).to(torch.float32)
        return {**found, "boxes": found["boxes"] * ratio.flip(0).repeat(2)}

    def examples(self, inputs: Sequence[torch.Tensor]) -> dict[str, tuple[torch.Tensor, ...]]:
        """The first image, prepared."""
        with torch.no_grad():
            return {"dense": (self.prepared(inputs[0]).tensors,)}

    def axes(self) -> dict[str, tuple[dict[int, Axis], ...]]:
        """Height and width, where images keep their proportion."""
        transform = self.model.transform
        if transform.fixed_size is not None:
            return {}
        step = int(transform.size_divisible)
        high = math.ceil(max(transform.max_size, transform.min_size[-1]) / step) * step
        return {"dense": ({2: Axis("height", step, high, step), 3: Axis("width", step, high, step)},)}

    @contextmanager
    def at_least(self, score: float) -> Iterator[None]:
        """While it lasts, the model returns detections above that score alone."""
        owner = getattr(self.model, "roi_heads", self.model)
        before, owner.score_thresh = owner.score_thresh, score
        try:
            yield
        finally:
            owner.score_thresh = before

    def run(self, call: Call, inputs: Sequence[torch.Tensor]) -> list[Found]:
        """The detections of each image."""
        with torch.no_grad():
            return [self._one(call, image) for image in inputs]

    def _one(self, call: Call, image: torch.Tensor) -> Found:
        images = self.prepared(image)
        return self.placed(self.found(call, images), images.image_sizes[0], image)

    @abstractmethod
    def found(self, call: Call, images: ImageList) -> Found:
        """The detections of one prepared image, in its pixels."""


class _TwoStageDense(nn.Module):
    """Images (1, C, H, W) to the maps that boxes are pooled from, then objectness and corrections of each level."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.rpn.head
        self.pooled = list(model.roi_heads.box_roi_pool.featmap_names)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = self.backbone(images)
        objectness, corrections = self.head(list(maps.values()))
        return (*(maps[name] for name in self.pooled), *objectness, *corrections)


class _BoxHead(nn.Module):
    """What was pooled for each proposal, (P, C, S, S), to class scores (P, K) and corrections (P, 4 * K)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.head, self.predictor = model.roi_heads.box_head, model.roi_heads.box_predictor

    def forward(self, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores: tuple[torch.Tensor, torch.Tensor] = self.predictor(self.head(pooled))
        return scores


class TwoStageSplit(DetectorSplit):
    """Faster R-CNN: `dense`, proposals, RoIAlign, `box`, selection."""

    def __init__(self, model: Any) -> None:
        super().__init__(model, _TwoStageDense(model))
        self.parts["box"] = _BoxHead(model).eval()
        self.pooled = list(model.roi_heads.box_roi_pool.featmap_names)

    def examples(self, inputs: Sequence[torch.Tensor]) -> dict[str, tuple[torch.Tensor, ...]]:
        """The first image, prepared, and what is pooled for its proposals."""
        seen: dict[str, tuple[torch.Tensor, ...]] = {}

        def note(name: str, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            seen[name] = tensors
            return self.call(name, *tensors)

        self.run(note, inputs[:1])
        if "box" not in seen:  # no proposal at all
            pool = self.model.roi_heads.box_roi_pool.output_size
            seen["box"] = (torch.zeros(_ROWS, self.model.backbone.out_channels, *pool),)
        return seen

    def axes(self) -> dict[str, tuple[dict[int, Axis], ...]]:
        """Height and width of the image, and the number of proposals."""
        most = max(int(self.model.rpn.post_nms_top_n()), _ROWS)
        return {**super().axes(), "box": ({0: Axis("proposals", _ROWS, most)},)}

    def found(self, call: Call, images: ImageList) -> Found:
        """The detections of one prepared image, in its pixels."""
        outputs, heads = call("dense", images.tensors), self.model.roi_heads
        count = len(self.pooled)
        maps, rest = dict(zip(self.pooled, outputs[:count], strict=True)), outputs[count:]
        proposals = self._proposals(images, list(rest[: len(rest) // 2]), list(rest[len(rest) // 2 :]))
        pooled = heads.box_roi_pool(maps, proposals, images.image_sizes)
        rows = len(pooled)
        if _tracing():
            scores, corrections = call("box", pooled)
        elif rows == 0:
            classes = heads.box_predictor.cls_score.out_features
            scores, corrections = pooled.new_zeros(0, classes), pooled.new_zeros(0, 4 * classes)
        else:
            filled = pooled if rows >= _ROWS else F.pad(pooled, [0] * 7 + [_ROWS - rows])
            scores, corrections = (found[:rows] for found in call("box", filled))
        boxes, shares, labels = heads.postprocess_detections(scores, corrections, proposals, images.image_sizes)
        return {"boxes": boxes[0], "labels": labels[0], "scores": shares[0]}

    def _proposals(
        self, images: ImageList, objectness: list[torch.Tensor], corrections: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        rpn = self.model.rpn
        anchors = rpn.anchor_generator(images, objectness)  # which looks at the size of the maps alone
        counts = [level.shape[1] * level.shape[2] * level.shape[3] for level in objectness]
        shares, flat = concat_box_prediction_layers(objectness, corrections)
        proposals = rpn.box_coder.decode(flat, anchors).view(1, -1, 4)
        chosen: list[torch.Tensor] = rpn.filter_proposals(proposals, shares, images.image_sizes, counts)[0]
        return chosen


class _OneStageDense(nn.Module):
    """Images (1, C, H, W) to class scores (1, A, K), corrections (1, A, 4), and a channel of each level's map, for its size."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = list(self.backbone(images).values())
        outputs = self.head(maps)
        return (outputs["cls_logits"], outputs["bbox_regression"], *(level[:, :1] for level in maps))


class OneStageSplit(DetectorSplit):
    """RetinaNet and SSDlite: `dense`, selection."""

    def __init__(self, model: Any, *, by_level: bool) -> None:
        super().__init__(model, _OneStageDense(model))
        self.by_level = by_level

    def found(self, call: Call, images: ImageList) -> Found:
        """The detections of one prepared image, in its pixels."""
        scores, corrections, *maps = call("dense", images.tensors)
        anchors = self.model.anchor_generator(images, maps)
        outputs: dict[str, Any] = {"cls_logits": scores, "bbox_regression": corrections}
        if self.by_level:
            per_place = self.model.anchor_generator.num_anchors_per_location()
            counts = [level.shape[2] * level.shape[3] * each for level, each in zip(maps, per_place, strict=True)]
            outputs = {key: list(value.split(counts, dim=1)) for key, value in outputs.items()}
            anchors = [list(anchor.split(counts)) for anchor in anchors]
        chosen: list[Found] = self.model.postprocess_detections(outputs, anchors, images.image_sizes)
        return chosen[0]
