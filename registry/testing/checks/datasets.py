"""Data sets: pictures and targets that their task can use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from registry.errors import RegistryError
from registry.specs import DatasetSpec
from registry.testing.bench import Bench
from registry.testing.check import check
from registry.testing.checks.specs import samples_of
from registry.testing.outcome import Skipped
from registry.testing.subjects import PartSubject
from registry.testing.tensors import difference

if TYPE_CHECKING:
    import torch
    from PIL import Image

_SPLITS = ("train", "validation")


def _built(part: PartSubject) -> Iterator[tuple[str, Any]]:
    sample = samples_of(part)[0]
    target = part.registry.host.target(sample)
    for split in _SPLITS:
        yield split, target(sample, split)


@check("dataset", torch=True)
def splits_hold_pictures_with_targets(part: PartSubject) -> Iterator[str]:
    """Both splits have a length above 0; items are an RGB picture and a target, and the same again when asked again."""
    from PIL import Image

    for split, data in _built(part):
        if len(data) < 1:
            yield f"the split `{split}` is empty"
            continue
        for index in sorted({0, len(data) // 2, len(data) - 1}):
            item = data[index]
            if not isinstance(item, tuple) or len(item) != 2:
                yield f"item {index} of `{split}` is a {type(item).__name__}; it must be a pair of a picture and a target"
                break
            picture, target = item
            if not isinstance(picture, Image.Image) or picture.mode != "RGB":
                form = picture.mode if isinstance(picture, Image.Image) else type(picture).__name__
                yield f"the picture of item {index} of `{split}` is {form}; give image.convert('RGB')"
                break
            again = data[index]
            if again[0].tobytes() != picture.tobytes() or _differ(again[1], target):
                yield f"item {index} of `{split}` is another one when asked again; seed what is random by the index"
                break


@check("dataset", torch=True)
def targets_train_a_model(part: PartSubject) -> Iterator[str]:
    """`Task.collate_targets` takes its targets and `Task.losses` computes finite losses of them."""
    spec_class = part.spec_class
    assert issubclass(spec_class, DatasetSpec)
    models = part.kit.candidates(spec_class.task)
    if not models:
        raise Skipped(f"no model of the task `{spec_class.task}` is there; ship one, or pass models=[...]")
    for split, data in _built(part):
        picture, target = data[0]
        told = []
        for spec in models:  # the first may have too few classes
            faults = list(_losses(Bench(part.registry, spec), picture, target))
            told += faults
            if not faults:
                break
        else:
            yield f"`{split}`: {told[0]}"


def _losses(bench: Bench, picture: Image.Image, target: Any) -> Iterator[str]:
    model = bench.build().train()
    image = _as_tensor(picture, bench.spec.backbone.in_channels)
    inputs, targets = bench.task.collate([image, image]), bench.task.collate_targets([target, target])
    try:
        losses = bench.task.losses(model, inputs, targets, bench.spec.head)
    except RegistryError as error:
        yield f"model `{bench.name}`: {error}"
        return
    for name, loss in losses.items():
        if not bool(loss.isfinite().all()):
            yield f"model `{bench.name}`: the loss `{name}` of its first item is not finite"


def _as_tensor(picture: Image.Image, channels: int) -> torch.Tensor:
    """A picture in its own size, as targets have it, as float32 (C, H, W) in 0 to 1."""
    from torchvision.transforms.functional import pil_to_tensor

    tensor: torch.Tensor = pil_to_tensor(picture if channels > 1 else picture.convert("L")).float() / 255
    return tensor.repeat(-(-channels // len(tensor)), 1, 1)[:channels]


def _differ(first: Any, second: Any) -> bool:
    import torch

    if isinstance(first, (torch.Tensor, dict, list, tuple)):
        return difference(first, second) is not None or (not _holds_tensors(first) and first != second)
    return bool(first != second)


def _holds_tensors(value: Any) -> bool:
    from registry.testing.tensors import tensors

    return next(tensors(value), None) is not None
