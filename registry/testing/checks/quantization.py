"""Quantization: another model, with outputs of the same form, that leaves the original alone."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

from registry.errors import MissingExtraError, RegistryError
from registry.testing.bench import Bench, run
from registry.testing.check import check
from registry.testing.checks.specs import samples_of
from registry.testing.outcome import Skipped
from registry.testing.subjects import PartSubject
from registry.testing.tensors import altered, difference, few, kept, not_finite, same_tensors, tensors


class RefusedError(Exception):
    """A part that says it cannot treat a model."""


def tried(call: Any, *arguments: Any) -> Any:
    """What a part's target gives; raises RefusedError where it says that it cannot treat the model."""
    try:
        return call(*arguments)
    except MissingExtraError:
        raise
    except RegistryError as error:
        raise RefusedError(str(error)) from error


def first_taken(part: PartSubject, call: Any) -> Any:
    """What `call(bench)` gives for the first model that the part does not refuse.

    Raises:
        Skipped: there is no model. RegistryError: it refuses all of them; the text has the reasons.
    """
    reasons = []
    for spec in part.kit.candidates():
        bench = Bench(part.registry, spec)
        try:
            return call(bench)
        except RefusedError as error:
            reasons.append(f"`{bench.name}`: {error}")
    if not reasons:
        raise Skipped("no model is there to try it with; pass models=[...]")
    raise RegistryError(f"the {part.label} refuses every model that was tried: {'; '.join(reasons)}; pass models=[...]")


@check("quantization", torch=True)
def quantized_model_works_and_is_apart(part: PartSubject) -> Iterator[str]:
    """The quantized model gives finite outputs of the original's shapes and pickles; the original is left as it was."""
    sample = samples_of(part)[0]
    quantize = part.registry.host.target(sample)

    def call(bench: Bench) -> list[str]:
        return list(_faults(bench, lambda model, batches: quantize(sample, model, batches)))

    yield from first_taken(part, call)


def _faults(bench: Bench, quantize: Any) -> Iterator[str]:
    model = bench.build().eval()
    inputs, _ = bench.example(2)
    before, state = run(model, inputs), {key: tensor.clone() for key, tensor in model.state_dict().items()}
    built = _built(model)
    batches = [bench.example(2, seed=seed)[0] for seed in range(2)]
    given = kept(batches, "batches")
    made = tried(quantize, model, batches)
    changed = same_tensors(state, model.state_dict())
    if changed or built != _built(model):
        yield f"quantizing `{bench.name}` changes the model itself{': ' + few(changed) if changed else ''}; quantize a copy"
    if model.training:
        yield f"quantizing `{bench.name}` leaves the model in training mode; it must stay in eval mode"
    if altered(given, batches, "batches"):
        yield f"quantizing `{bench.name}` changes the batches that it is given; calibrate with copies"
    if made is model:
        yield f"quantizing `{bench.name}` gives back the model itself; quantize a copy"
        return
    output = run(made, inputs)
    shapes = {path: tuple(tensor.shape) for path, tensor in tensors(before)}
    found = {path: tuple(tensor.shape) for path, tensor in tensors(output)}
    if not bench.spec.head.depends_on_image and shapes != found:
        yield f"outputs of the quantized `{bench.name}` are {found}, and the model's {shapes}"
    wrong = not_finite(output)
    if wrong:
        yield f"{few(wrong)} of the quantized `{bench.name}` is not finite"
    try:
        bench.task.check_output(output, bench.spec, inputs)
    except RegistryError as error:
        yield f"the quantized `{bench.name}`: {error}"
    yield from _shared(bench, model, made)
    try:
        twin = pickle.loads(pickle.dumps(made))
    except Exception as error:  # the plugin's code
        yield f"the quantized `{bench.name}` cannot be pickled: {type(error).__name__}: {error}"
        return
    differing = difference(output, run(twin, inputs))
    if differing:
        yield f"the quantized `{bench.name}` differs from its pickled copy: {differing}"


def _built(model: Any) -> list[tuple[Any, ...]]:
    """Types, modes and numbers of hooks of the modules, and which parameters are trained."""
    modules = [
        (name, type(module), module.training, len(module._forward_hooks), len(module._forward_pre_hooks))
        for name, module in model.named_modules()
    ]
    return [*modules, *((name, parameter.requires_grad) for name, parameter in model.named_parameters())]


def _shared(bench: Bench, model: Any, made: Any) -> Iterator[str]:
    own = {parameter.data_ptr() for parameter in model.parameters() if parameter.numel()}
    shared = [name for name, parameter in made.named_parameters() if parameter.data_ptr() in own]
    if shared:
        yield f"the quantized `{bench.name}` shares {few(shared)} with the model, and changes with it; quantize a copy"
