"""Running a model: in eval mode and in training, with other batches and sizes."""

from __future__ import annotations

from collections.abc import Iterator

from registry.errors import RegistryError
from registry.testing.bench import Bench, run
from registry.testing.check import model_check
from registry.testing.tensors import difference, few, not_finite, tensors


@model_check("backbone", "head", "task", "model")
def forward_gives_what_the_task_reads(bench: Bench) -> Iterator[str]:
    """In eval mode one image, two images and an odd size give finite outputs of the form that `Task.check_output` demands."""
    for count, size in ((1, bench.size), (2, bench.size), (2, bench.odd)):
        told = f"{count} {'image' if count == 1 else 'images'} of {size[0]}x{size[1]} pixels"
        inputs, _ = bench.example(count, size)
        output = run(bench.model, inputs)
        try:
            bench.task.check_output(output, bench.spec, inputs)
        except RegistryError as error:
            yield f"{told}: {error}"
        wrong = not_finite(output)
        if wrong:
            yield f"{told}: {few(wrong)} holds values that are not finite"
    for variation, spec in bench.varied():
        inputs, _ = bench.example(2, spec=spec)
        output = run(bench.build(spec=spec).eval(), inputs)
        bench.task.check_output(output, spec, inputs)
        if not_finite(output):
            yield f"with {dict(variation)}: the outputs are not finite"


@model_check("backbone", "head", "model")
def eval_mode_repeats(bench: Bench) -> Iterator[str]:
    """In eval mode the same images give the same outputs, and one image the same alone as beside another."""
    inputs, _ = bench.example(2)
    first, second = run(bench.model, inputs), run(bench.model, inputs)
    found = difference(first, second)
    if found:
        yield f"two runs in eval mode differ: {found}; leave out what is random where self.training is False"
    alone, both = run(bench.model, inputs[:1]), dict(tensors(first))
    for path, tensor in tensors(alone):
        whole = both.get(path)
        if whole is not None and whole.shape[1:] == tensor.shape[1:] and len(whole) == 2 and len(tensor) == 1:
            apart = difference(tensor, whole[:1])
            if apart:
                yield f"in eval mode an image's {path} depends on the images beside it: {apart}"


@model_check("head", "task")
def training_gives_finite_losses(bench: Bench) -> Iterator[str]:
    """`Task.losses` of `Task.example` are finite numbers for two images and an odd size; one image may be refused clearly."""
    first, second = bench.example(2), bench.example(2)
    if difference(first, second):
        yield "Task.example gives another batch for a generator of the same state; draw everything from `generator`"
    model = bench.build().train()
    for count, size in ((2, bench.size), (2, bench.odd), (1, bench.size)):
        told = f"{count} {'image' if count == 1 else 'images'} of {size[0]}x{size[1]} pixels"
        inputs, targets = bench.example(count, size)
        try:
            losses = bench.task.losses(model, inputs, targets, bench.spec.head)
        except RegistryError as error:
            if count == 2:
                yield f"training on {told} is refused: {error}"
            continue
        except Exception as error:  # the plugin's code
            hint = "; raise a RegistryError that says so, if one image is too few" if count == 1 else ""
            yield f"training on {told} failed: {type(error).__name__}: {error}{hint}"
            continue
        if not losses:
            yield f"training on {told} gives no loss"
        for name, loss in losses.items():
            if loss.numel() != 1 or not loss.isfinite().all():
                yield f"training on {told}: the loss `{name}` is {loss.detach()}; it must be one finite number"
            elif not loss.requires_grad:
                yield f"training on {told}: the loss `{name}` depends on no parameter; was it detached?"
