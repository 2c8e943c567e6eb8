"""What contradicts itself between settings of a recipe, or between a recipe and the model that it trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from registry.specs import BatchNormSpec, Finding, ModelSpec

if TYPE_CHECKING:
    from registry_recipes.specs import TrainingSpec

#: Times that a rate may be scaled before that is a guess. Paper: arXiv 1706.02677 shows it for batches of 256 to 8192.
_FAR = 32


def rate_findings(recipe: TrainingSpec) -> Iterator[Finding]:
    """A batch far from the one that the rate is for."""
    reference = recipe.reference_batch
    if reference is None:
        return
    times = recipe.batch_size / reference
    if times > _FAR or times < 1 / _FAR:
        scaled = recipe.rate_for(recipe.batch_size)
        text = f"`rate` {recipe.rate:g} is for {reference} images a step and becomes {scaled:g} for {recipe.batch_size}"
        hint = "write the rate for a batch near yours, with its `reference_batch`"
        yield Finding("REG406", ("reference_batch",), text, hint, "warning", also=(("batch_size",), ("rate",)))


def batch_findings(recipe: TrainingSpec) -> Iterator[Finding]:
    """Two bounds of gradients, uneven passes, and passes of one image, in which batch statistics mean little."""
    if recipe.clip_norm is not None and recipe.clip_value is not None:
        hint = "keep one: the norm of all gradients, or the value of each number"
        yield Finding(
            "REG201", ("clip_value",), "`clip_norm` and `clip_value` both bound gradients", hint, also=(("clip_norm",),)
        )
    if recipe.batch_size % recipe.accumulation:
        text = f"{recipe.batch_size} images do not divide into {recipe.accumulation} passes"
        near = max(1, round(recipe.batch_size / recipe.accumulation)) * recipe.accumulation
        yield Finding("REG201", ("accumulation",), text, f"write batch_size: {near}", also=(("batch_size",),))
    elif recipe.batch_size == recipe.accumulation:
        task = recipe.augmentation.kind if recipe.augmentation is not None else None
        if task != "detection":  # whose batch norms are frozen or see large maps
            text = "each pass has one image, over which batch norms take their statistics"
            hint = "write a larger batch_size, or a model with norm: {kind: group}; those that pool to one value fail"
            yield Finding("REG407", ("batch_size",), text, hint, "warning", also=(("accumulation",),))


def mixing_findings(recipe: TrainingSpec, task: str, *also: tuple[str | int, ...]) -> Iterator[Finding]:
    """Mixed images and smoothed labels for a task that has no single label.

    Args:
        task: what is trained.
        also: settings that tell the task.
    """
    if task == "classification":
        return
    for name in ("mixup_alpha", "cutmix_alpha", "label_smoothing"):
        if getattr(recipe, name):
            text = f"`{name}` needs one label for a whole image, and the task is `{task}`"
            yield Finding("REG404", (name,), text, "write 0", also=also)


def model_findings(recipe: TrainingSpec, model: ModelSpec) -> Iterator[Finding]:
    """A recipe for another task, settings that the model lacks, and passes of one image under a model that averages a map."""
    task = model.task.type
    if recipe.augmentation is not None and recipe.augmentation.kind != task:
        text = f"the recipe augments for `{recipe.augmentation.kind}`, and the model's task is `{task}`"
        yield Finding("REG203", ("augmentation", "kind"), text, f"choose a recipe for `{task}`")
        return
    if recipe.augmentation is None:
        yield from mixing_findings(recipe, task)
    offered = recipe.model_overrides(model)
    for name, place in (("stochastic_depth", "backbone"), ("dropout", "head"), ("trainable_stages", "backbone")):
        if getattr(recipe, name) is not None and f"{place}.{name}" not in offered:
            part = getattr(model, place).type
            text = f"the {place} `{part}` has no `{name}`, so the recipe's has no effect"
            yield Finding("REG201", (name,), text, "remove it", "warning")
    norm = getattr(model.head, "norm", None)
    if recipe.batch_size == recipe.accumulation and isinstance(norm, BatchNormSpec) and model.head.type == "deeplabv3":
        text = "each pass has one image, and `deeplabv3` takes batch statistics of a map that it averages to one value"
        yield Finding("REG407", ("batch_size",), text, "write a batch_size of 2 or more", also=(("accumulation",),))
