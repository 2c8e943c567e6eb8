"""Settings and options that a model must follow."""

from __future__ import annotations

from collections.abc import Iterator

from registry.errors import RegistryError
from registry.specs import ModelSpec
from registry.testing.bench import Bench, run
from registry.testing.check import model_check
from registry.testing.outcome import Skipped

#: Values of the options of prediction that any model can follow; `size` is added.
_OPTIONS = {"score": 0.5, "top": 1}
_MORE_CLASSES = 2


@model_check("head")
def classes_follow_the_settings(bench: Bench) -> Iterator[str]:
    """With two more classes the outputs are of the task's form, and training computes losses; where that is allowed."""
    count = bench.spec.head.num_classes + _MORE_CLASSES
    spec = _changed(bench, {"head.num_classes": count, "task.categories": None})
    if spec is None:
        raise Skipped(f"the model does not take {count} classes")
    model = bench.build(spec=spec)
    told = f"with num_classes: {count}"
    for seed in range(3):  # few targets have the last class
        inputs, targets = bench.example(2, seed=seed, spec=spec)
        try:
            bench.task.losses(model.train(), inputs, targets, spec.head, recipe=None)
        except Exception as error:  # the plugin's code
            yield f"{told} training failed: {type(error).__name__}: {error}; build the last layers for spec.num_classes"
            break
    inputs, _ = bench.example(2, spec=spec)
    try:
        bench.task.check_output(run(model.eval(), inputs), spec, inputs)
    except RegistryError as error:
        yield f"{told}: {error}; build the last layers for spec.num_classes"


@model_check("head", "task")
def options_become_settings(bench: Bench) -> Iterator[str]:
    """What `settings_for` gives for each option of prediction are settings that the model takes."""
    for option, value in {**_OPTIONS, "size": bench.size[0]}.items():
        for place, part in (("task", bench.spec.task), ("head", bench.spec.head)):
            told = f"{type(part).__name__}.settings_for({option!r}, {value})"
            try:
                found = part.settings_for(option, value)
            except Exception as error:  # the plugin's code
                yield f"{told} failed: {type(error).__name__}: {error}; return {{}} for options that it does not follow"
                continue
            unknown = [key for key in found if key.partition(".")[0] not in type(part).model_fields]
            if unknown:
                yield f"{told} gives `{unknown[0]}`, which is no setting of it; give dotted settings relative to the part"
                continue
            try:
                bench.registry.load_spec(
                    bench.spec, overrides={f"{place}.{key}": value for key, value in found.items()}
                )
            except RegistryError as error:
                yield f"{told} gives {found}, which the model refuses: {error}"


def _changed(bench: Bench, settings: dict[str, object]) -> ModelSpec | None:
    try:
        return bench.registry.load_spec(bench.spec, overrides=settings)
    except RegistryError:
        return None
