"""Data sets: pictures and targets that their task can use."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from registry.errors import DataNotNamedError, MissingExtraError, RegistryError
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
        try:
            data = target(sample, split)
        except MissingExtraError:
            raise
        except DataNotNamedError as error:
            if part.given():
                raise
            raise Skipped(f"{error}; pass settings={{'{part.id}': {{...}}}} to the kit") from error
        except RegistryError as error:
            hint = "" if part.given() else f"; or pass settings={{'{part.id}': {{...}}}} to the kit"
            raise RegistryError(f"the split `{split}` cannot be built: {error}{hint}") from error
        yield split, data


@check("dataset", torch=True)
def splits_hold_pictures_with_targets(part: PartSubject) -> Iterator[str]:
    """Both splits have one length above 0; items are an RGB picture and a target, the same again, and of a copy too."""
    from PIL import Image

    for split, data in _built(part):
        length = len(data)
        if length < 1:
            yield f"the split `{split}` is empty"
            continue
        twin = data
        try:
            twin = pickle.loads(pickle.dumps(data))
        except Exception as error:  # the plugin's code
            yield (
                f"the split `{split}` cannot be pickled, which loading in several processes needs: "
                f"{type(error).__name__}: {error}; keep lambdas and open files out of it"
            )
        for index in _places(length):
            item = data[index]
            if not isinstance(item, tuple) or len(item) != 2:
                yield f"item {index} of `{split}` is a {type(item).__name__}; it must be a pair of a picture and a target"
                break
            picture, target = item
            if not isinstance(picture, Image.Image) or picture.mode != "RGB":
                form = picture.mode if isinstance(picture, Image.Image) else type(picture).__name__
                yield f"the picture of item {index} of `{split}` is {form}; give image.convert('RGB')"
                break
            again = twin[index]
            if again[0].tobytes() != picture.tobytes() or _differ(again[1], target):
                yield f"item {index} of `{split}` is another one when asked again; seed what is random by the index"
                break
        if len(data) != length or len(twin) != length:
            yield f"the length of `{split}` was {length} and is {len(data)} after its items were read; keep it"


@check("dataset", torch=True)
def targets_train_a_model(part: PartSubject) -> Iterator[str]:
    """`Task.collate_targets` takes its targets and `Task.losses` computes finite losses of them."""
    spec_class = part.spec_class
    assert issubclass(spec_class, DatasetSpec)
    models = part.kit.candidates(spec_class.task)
    if not models:
        raise Skipped(f"no model of the task `{spec_class.task}` is there; ship one, or pass models=[...]")
    for split, data in _built(part):
        items = {index: data[index] for index in _places(len(data))}
        told: list[str] = []
        for spec in models:  # the first may have too few classes
            faults = list(_losses(Bench(part.registry, spec), items))
            told += faults
            if not faults:
                break
        else:
            yield f"`{split}`: {told[0]}"


def _losses(bench: Bench, items: dict[int, tuple[Image.Image, Any]]) -> Iterator[str]:
    model = bench.build().train()
    for index, (picture, target) in items.items():
        image = _as_tensor(picture, bench.spec.backbone.in_channels)
        try:
            inputs, targets = bench.task.collate([image, image]), bench.task.collate_targets([target, target])
            losses = bench.task.losses(model, inputs, targets, bench.spec.head, recipe=None)
        except RegistryError as error:
            yield f"item {index}, model `{bench.name}`: {error}"
            return
        except Exception as error:  # code of the task, which should have refused the target
            yield f"item {index}, model `{bench.name}`: {type(error).__name__}: {error}; is its target one of the task's?"
            return
        for name, loss in losses.items():
            if not bool(loss.isfinite().all()):
                yield f"item {index}, model `{bench.name}`: the loss `{name}` is not finite"


def _places(length: int) -> list[int]:
    """The first item, one in the middle and the last."""
    return sorted({0, length // 2, length - 1}) if length else []


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
