"""The depth task: what the model is fed, how it learns, and the depth of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from registry.errors import RegistryError
from registry.modules.picture import preprocess
from registry.specs import HeadSpec, ModelSpec, RecipeSpec
from registry.tasks import Task
from registry_depth.checks import check_depths, counted
from registry_depth.drawing import depth_picture, draw_depth
from registry_depth.error import DepthError
from registry_depth.loss import scale_invariant_log_loss
from registry_depth.specs import DepthSpec


@dataclass(frozen=True)
class DepthMap:
    """The depth of every pixel of a picture.

    Attributes:
        depth: float32 (H, W) in metres, on the CPU, as high and wide as the picture.
        least, median, most: of all pixels, in metres; for an even number of pixels the median is the lower middle one.
    """

    depth: torch.Tensor
    least: float
    median: float
    most: float


class DepthTask(Task[DepthSpec, DepthMap]):
    """Feeds a depth model and reads its maps."""

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """An RGB picture as float32 (C, H, W), normalised, where C is the number of `mean` values: 1 for grey, 3 for RGB."""
        return preprocess(self.spec.preprocessing, image)

    def collate(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """Stacks inputs of one size to (N, C, H, W).

        Raises:
            RegistryError: the sizes differ, as those of pictures of different proportions do.
        """
        if len({tuple(tensor.shape) for tensor in inputs}) > 1:
            raise RegistryError("pictures of different sizes cannot share a batch; crop or pad them to one size")
        return torch.stack(inputs)

    def collate_targets(self, targets: list[torch.Tensor]) -> torch.Tensor:
        """Stacks true depths, float (H, W) in metres, to float32 (N, H, W); raises RegistryError where the sizes differ."""
        if len({tuple(depth.shape) for depth in targets}) > 1:
            raise RegistryError("depths of different sizes cannot share a batch; crop or pad them with their pictures")
        stacked = torch.stack(targets)
        if not stacked.is_floating_point():
            raise RegistryError(f"depths are {stacked.dtype}; give floats in metres")
        return stacked.float()

    def losses(
        self,
        model: nn.Module,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        head: HeadSpec,
        recipe: RecipeSpec | None = None,
    ) -> dict[str, torch.Tensor]:
        """`scale_invariant`, see `scale_invariant_log_loss`, at the size of the true depths.

        Args:
            targets: float (N, h, w) in metres, 0 or NaN where no depth is known; of the images' size, or of any other with the
                same proportions, such as that of the pictures before they were resized.
        """
        check_depths(targets, inputs, self.spec.min_depth, self.spec.max_depth)
        depth = _resized(model(inputs), (targets.shape[1], targets.shape[2]))[:, 0]
        counts = counted(targets, self.spec.min_depth, self.spec.max_depth)
        loss = scale_invariant_log_loss(depth, targets.to(depth.dtype), counts, self.spec.variance_focus)
        return {"scale_invariant": loss}

    def example(
        self, spec: ModelSpec, count: int, size: tuple[int, int], generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Noise (N, C, H, W) of mean 0 and deviation 1, and planes from near to far, with a corner of unknown depth."""
        images = torch.randn((count, spec.backbone.in_channels, *size), generator=generator)
        start = 0.4 * torch.rand((count, 1, 1), generator=generator)
        share = start + torch.linspace(0.1, 0.5, size[1])
        low, high = self.spec.min_depth, self.spec.max_depth
        depths = (low * (high / low) ** share).expand(count, *size).clone()
        depths[:, : size[0] // 4, : size[1] // 4] = 0
        return images, depths

    def check_output(self, output: Any, spec: ModelSpec, inputs: torch.Tensor) -> None:
        """Depths, float (N, 1, H, W), as large as the images."""
        expected = (len(inputs), 1, *inputs.shape[-2:])
        if not isinstance(output, torch.Tensor):
            raise RegistryError(f"a depth model returns one tensor {expected}, and this one {type(output).__name__}")
        if not output.is_floating_point() or tuple(output.shape) != expected:
            found = f"{output.dtype} {tuple(output.shape)}"
            raise RegistryError(f"a depth model returns float depths {expected}, and this one {found}")

    def metric(self, spec: ModelSpec) -> DepthError:
        """See `DepthError`."""
        return DepthError(self.spec.min_depth, self.spec.max_depth)

    def postprocess(self, output: torch.Tensor, sizes: Sequence[tuple[int, int]]) -> list[DepthMap]:
        """Depths (N, 1, h, w) to maps as large as the pictures."""
        return [_result(_resized(one[None], size)[0, 0]) for one, size in zip(output, sizes, strict=True)]

    def as_data(self, result: DepthMap) -> dict[str, Any]:
        """`{"size": [H, W], "depth": {"min", "median", "max"}}`, in metres."""
        figures = {"min": result.least, "median": result.median, "max": result.most}
        return {
            "size": list(result.depth.shape),
            "depth": {name: round(value, 4) for name, value in figures.items()},
        }

    def as_text(self, result: DepthMap) -> str:
        """The least, median and largest depth, a line each."""
        named = (("nearest", result.least), ("median", result.median), ("farthest", result.most))
        return "\n".join(f"{value:7.2f} m  {name}" for name, value in named)

    def draw(self, image: Image.Image, result: DepthMap) -> Image.Image:
        """The picture, its depths in colours, and a scale in metres."""
        return draw_depth(image, result.depth)

    def pictures(self, image: Image.Image, result: DepthMap) -> dict[str, Image.Image]:
        """What `draw` returns, and the depths themselves as a 16-bit picture, `png_scale` values a metre."""
        return {".png": self.draw(image, result), ".depth.png": depth_picture(result.depth, self.spec.png_scale)}


def _resized(depth: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Depths (N, 1, h, w) as float32 or better at another size."""
    depth = depth if depth.dtype == torch.float64 else depth.float()
    if tuple(depth.shape[-2:]) == size:
        return depth
    return F.interpolate(depth, size=size, mode="bilinear", align_corners=False)


def _result(depth: torch.Tensor) -> DepthMap:
    depth = depth.detach().float().cpu()
    return DepthMap(depth, float(depth.min()), float(depth.median()), float(depth.max()))
