"""A model held against the data that it shall be trained or measured on. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

from registry.specs import DatasetSpec, Finding, ModelSpec
from registry_data.layout import some
from registry_data.names import IGNORED, NO_CLASS

_COUNT = ("head", "num_classes")
_NAMES = ("task", "categories")


def check_against(
    model_spec: ModelSpec,
    dataset_spec: DatasetSpec,
    *,
    model_names: Sequence[str] | None = None,
    data_names: Sequence[str] | None = None,
) -> list[Finding]:
    """What does not fit between a model and a data set; paths lead into the model.

    Args:
        model_names: the model's class names, as `registry.categories(model_spec.task)` gives them; by default those that the
            spec itself lists.
        data_names: the data set's, as its attribute `categories` gives them once it is built; by default those that its spec
            knows without reading data.
    """
    if model_spec.task.type != dataset_spec.task:
        text = f"the model's task is `{model_spec.task.type}`, and `{dataset_spec.type}` is for `{dataset_spec.task}`"
        hint = f"choose a model of the task `{dataset_spec.task}`, or another data set"
        return [Finding("REG421", ("task", "type"), text, hint)]
    own = model_spec.task.categories
    if model_names is None and not isinstance(own, str):
        model_names = own
    if data_names is None:
        known = getattr(dataset_spec, "class_names", None)
        data_names = known() if known is not None else None
    found = [*_classes(model_spec, model_names, data_names)] if data_names is not None else []
    ignored = getattr(model_spec.task, "ignore_index", IGNORED)
    if dataset_spec.type in _WITH_IGNORED and ignored != IGNORED:
        text = f"pixels that do not count are {IGNORED} in the data set, and {ignored} for the model"
        found.append(Finding("REG424", ("task", "ignore_index"), text, f"write {IGNORED}"))
    return found


#: Data sets of this plugin whose masks mark such pixels.
_WITH_IGNORED = ("coco_segmentation", "voc_segmentation", "mask_pairs", "digits_segmentation")


def _classes(model: ModelSpec, model_names: Sequence[str] | None, data_names: Sequence[str]) -> list[Finding]:
    """Differences of number, order and name."""
    count, wanted = model.head.num_classes, len(data_names)
    if count < wanted or (count > wanted and not _begins(model_names, data_names)):
        text = f"the model tells {count} classes apart, and the data set has {wanted}: {some(data_names, 4)}"
        hint = f"set head.num_classes={wanted}, with task.categories=null or {wanted} names; weights keep the backbone"
        return [Finding("REG422", _COUNT, text, hint, also=(_NAMES,))]
    if model_names is None or len(model_names) != wanted:
        return []
    pairs = list(enumerate(zip(model_names, data_names, strict=True)))
    differ = [(label, one, other) for label, (one, other) in pairs if one.casefold() != other.casefold()]
    if not differ:
        return []
    told = some(f"{label} is `{one}` for the model and `{other}` in the data" for label, one, other in differ)
    if sorted(name.casefold() for name in model_names) == sorted(name.casefold() for name in data_names):
        hint = "give the data set the model's order with its `categories`"
        return [Finding("REG423", _NAMES, f"the classes are in another order: {told}", hint)]
    hint = "if they are the same classes, write them alike; else set task.categories to the data's"
    return [Finding("REG423", _NAMES, f"the classes are called otherwise: {told}", hint, "warning")]


def _begins(model_names: Sequence[str] | None, data_names: Sequence[str]) -> bool:
    """Whether the labels of the data mean the same to a model that knows more classes."""
    if model_names is None:
        return False
    pairs = zip(model_names, data_names, strict=False)
    return all(other in (one, NO_CLASS) for one, other in pairs)
