"""The segmentation task: what the model is fed, and the class of every pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from registry.errors import MissingExtraError, RegistryError
from registry.modules.picture import as_input, preprocess
from registry.specs import HeadSpec, ModelSpec, RecipeSpec
from registry.tasks import Task
from registry_segmentation.checks import check_masks
from registry_segmentation.drawing import draw_mask, id_picture
from registry_segmentation.overlap import Overlap
from registry_segmentation.specs import SegmentationSpec


@dataclass(frozen=True)
class Region:
    """All pixels of one class.

    Attributes:
        index, label: the class.
        pixels: how many.
        share: of the picture, 0 to 1.
        score: mean probability of the class over them, 0 to 1.
    """

    index: int
    label: str
    pixels: int
    share: float
    score: float


@dataclass(frozen=True)
class Segmentation:
    """The class of every pixel of a picture.

    Attributes:
        mask: uint8 or int32 (H, W), the class ids, as high and wide as the picture.
        regions: the classes that occur, the largest first.
    """

    mask: torch.Tensor
    regions: tuple[Region, ...]


class SegmentationTask(Task[SegmentationSpec, Segmentation]):
    """Feeds a segmentation model and reads its masks."""

    formats: ClassVar[tuple[str, ...]] = ("coco",)

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """An RGB picture as float32 (C, H, W), normalised, where C is the number of `mean` values: 1 for grey, 3 for RGB."""
        return preprocess(self.spec.preprocessing, image)

    def as_input(self, image: Image.Image) -> torch.Tensor:
        """An RGB picture as `preprocess` gives it, at the size that it has."""
        return as_input(self.spec.preprocessing, image)

    def collate(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """Stacks inputs of one size to (N, C, H, W).

        Raises:
            RegistryError: the sizes differ, as those of pictures of different proportions do.
        """
        if len({tuple(tensor.shape) for tensor in inputs}) > 1:
            raise RegistryError("pictures of different sizes cannot share a batch; crop or pad them to one size")
        return torch.stack(inputs)

    def collate_targets(self, targets: list[torch.Tensor]) -> torch.Tensor:
        """Stacks masks, int64 (H, W), to (N, H, W); raises RegistryError where the sizes differ."""
        if len({tuple(mask.shape) for mask in targets}) > 1:
            raise RegistryError("masks of different sizes cannot share a batch; crop or pad them with their pictures")
        return torch.stack(targets).long()

    def losses(
        self,
        model: nn.Module,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        head: HeadSpec,
        recipe: RecipeSpec | None = None,
    ) -> dict[str, torch.Tensor]:
        """Cross-entropy of each output of the model, the auxiliary one's times its weight.

        Args:
            targets: masks, int64 (N, H, W): ids 0 to num_classes - 1, or `ignore_index`.
        """
        check_masks(targets, inputs, head.num_classes, self.spec.ignore_index)
        aux = getattr(head, "aux", None)
        weights = {"aux": 1.0 if aux is None else aux.weight}
        outputs: dict[str, torch.Tensor] = model(inputs)
        return {
            name: weights.get(name, 1.0) * F.cross_entropy(logits, targets, ignore_index=self.spec.ignore_index)
            for name, logits in outputs.items()
        }

    def example(
        self, spec: ModelSpec, count: int, size: tuple[int, int], generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Noise (N, C, H, W) of mean 0 and deviation 1, and masks of vertical stripes, a class each."""
        images = torch.randn((count, spec.backbone.in_channels, *size), generator=generator)
        first = torch.randint(spec.head.num_classes, (count, 1, 1), generator=generator)
        stripes = torch.arange(size[1]).div(max(size[1] // 4, 1), rounding_mode="floor")
        masks = (first + stripes).remainder(spec.head.num_classes).expand(count, *size)
        return images, masks.contiguous()

    def check_output(self, output: Any, spec: ModelSpec, inputs: torch.Tensor) -> None:
        """A mapping with `out`, and perhaps others: logits, float (N, num_classes, H, W), as large as the images."""
        expected = (len(inputs), spec.head.num_classes, *inputs.shape[-2:])
        if not isinstance(output, Mapping) or "out" not in output:
            raise RegistryError(
                f"a segmentation model returns a mapping with `out`, and this one {type(output).__name__}"
            )
        for name, logits in output.items():
            if not logits.is_floating_point() or tuple(logits.shape) != expected:
                found = f"{logits.dtype} {tuple(logits.shape)}"
                raise RegistryError(f"the output `{name}` must be float logits {expected}, and is {found}")

    def metric(self, spec: ModelSpec) -> Overlap:
        """See `Overlap`."""
        return Overlap(spec.head.num_classes, self.spec.ignore_index, self.label)

    def postprocess(self, output: dict[str, torch.Tensor], sizes: Sequence[tuple[int, int]]) -> list[Segmentation]:
        """Logits of `out`, (N, num_classes, h, w), to masks as large as the pictures."""
        return [
            self._result(F.interpolate(logits[None].float(), size=size, mode="bilinear", align_corners=False)[0])
            for logits, size in zip(output["out"], sizes, strict=True)
        ]

    def _result(self, logits: torch.Tensor) -> Segmentation:
        scores, ids = logits.softmax(0).max(0)
        counts = torch.bincount(ids.flatten(), minlength=len(logits))
        sums = torch.bincount(ids.flatten(), weights=scores.flatten().double(), minlength=len(logits))
        regions = [
            Region(index, self.label(index), count, count / ids.numel(), float(sums[index]) / count)
            for index, count in enumerate(counts.tolist())
            if count
        ]
        small = torch.uint8 if len(logits) <= 256 else torch.int32
        return Segmentation(ids.to(small).cpu(), tuple(sorted(regions, key=lambda region: -region.pixels)))

    def as_data(self, result: Segmentation) -> dict[str, Any]:
        """`{"size": [H, W], "classes": [{"index", "label", "pixels", "share", "score"}, …]}`, the largest class first."""
        return {
            "size": list(result.mask.shape),
            "classes": [
                {
                    "index": r.index,
                    "label": r.label,
                    "pixels": r.pixels,
                    "share": round(r.share, 6),
                    "score": round(r.score, 6),
                }
                for r in result.regions
            ],
        }

    def as_text(self, result: Segmentation) -> str:
        """One class a line: its share of the picture."""
        return "\n".join(f"{100 * r.share:5.1f} %  {r.label}" for r in result.regions)

    def draw(self, image: Image.Image, result: Segmentation) -> Image.Image:
        """The picture under its coloured mask, with a legend below."""
        return draw_mask(image, result.mask, [(r.index, r.label, r.share) for r in result.regions])

    def pictures(self, image: Image.Image, result: Segmentation) -> dict[str, Image.Image]:
        """What `draw` returns, and the ids themselves as a picture with a palette."""
        return {".png": self.draw(image, result), ".mask.png": id_picture(result.mask)}

    def as_format(self, name: str, result: Segmentation, image_id: int) -> list[dict[str, Any]]:
        """COCO's result format: a run-length encoded mask for each class but 0, the background.

        Raises:
            MissingExtraError: pycocotools is not installed.
            RegistryError: a name other than `coco`.
        """
        if name not in self.formats:
            return super().as_format(name, result, image_id)
        try:
            from pycocotools.mask import encode
        except ImportError as error:
            raise MissingExtraError("writing COCO's masks", "coco", "pycocotools") from error
        found = []
        for region in result.regions:
            if region.index:
                inside = (result.mask == region.index).numpy().astype("uint8", order="F")
                runs = encode(inside)
                segmentation = {"size": list(runs["size"]), "counts": runs["counts"].decode("ascii")}
                found.append(
                    {
                        "image_id": image_id,
                        "category_id": region.index,
                        "segmentation": segmentation,
                        "score": round(region.score, 6),
                    }
                )
        return found
