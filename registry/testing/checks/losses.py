"""Examples of a task, and the losses that training computes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from registry.errors import RegistryError
from registry.testing.bench import Bench
from registry.testing.check import model_check
from registry.testing.outcome import Skipped
from registry.testing.tensors import altered, difference, few, kept, tensors

#: How many other batches are looked at for one that differs.
_OTHERS = 6


@model_check("task")
def example_is_as_asked(bench: Bench) -> Iterator[str]:
    """`Task.example` has as many images as asked, of the size asked, drawn from the given generator alone."""
    import torch

    before = torch.get_rng_state()
    first, second, other = bench.example(2), bench.example(2), bench.example(2, seed=1)
    if difference(first, second):
        yield "Task.example gives another batch for a generator of the same state; draw everything from `generator`"
    if not torch.equal(before, torch.get_rng_state()):
        yield "Task.example draws from torch's global generator; draw everything from `generator`"
    if not difference(first[0], other[0]):
        yield "Task.example gives the same images for generators of different states; draw them from `generator`"
    for count, size in ((1, bench.size), (3, bench.odd)):
        inputs, _ = bench.example(count, size)
        found = len(inputs) if isinstance(inputs, (torch.Tensor, list, tuple)) else count
        if found != count:
            yield f"Task.example gives {found} images where it was asked for {count}"
        shapes = [tuple(tensor.shape) for _, tensor in tensors(inputs)]
        if not any(shape[-2:] == size for shape in shapes):
            yield f"Task.example gives images of shape {shapes[:1]} where it was asked for {size[0]}x{size[1]} pixels"


@model_check("head", "task")
def training_gives_finite_losses(bench: Bench) -> Iterator[str]:
    """`Task.losses` of `Task.example` are finite numbers for two images and an odd size; one image may be refused clearly."""
    import torch

    model = bench.build().train()
    for count, size in ((2, bench.size), (2, bench.odd), (1, bench.size)):
        told = f"{count} {'image' if count == 1 else 'images'} of {size[0]}x{size[1]} pixels"
        inputs, targets = bench.example(count, size)
        before = kept((inputs, targets), "batch")
        try:
            losses = bench.task.losses(model, inputs, targets, bench.spec.head, recipe=None)
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
        wrong = altered(before, (inputs, targets), "batch")
        if wrong:
            yield f"training on {told} changes {few([_named(path) for path in wrong])}; work on copies"
        if not model.training:
            yield f"training on {told} leaves the model in eval mode; Task.losses must leave the mode alone"
            model.train()
        for name, loss in losses.items():
            if not isinstance(loss, torch.Tensor):
                yield f"training on {told}: the loss `{name}` is a {type(loss).__name__}; it must be a tensor of one number"
            elif loss.numel() != 1 or not loss.isfinite().all():
                yield f"training on {told}: the loss `{name}` is {loss.detach()}; it must be one finite number"
            elif not loss.requires_grad:
                yield f"training on {told}: the loss `{name}` depends on no parameter; was it detached?"


@model_check("head", "task")
def losses_follow_images_and_targets(bench: Bench) -> Iterator[str]:
    """Other images change the losses, and so do other targets."""
    import torch

    model = bench.build().train()
    (images, targets), *others = [bench.example(2, seed=seed) for seed in range(_OTHERS)]
    other_targets = [found for _, found in others if difference(targets, found)]
    pairs = {
        "images": [(found, targets) for found, _ in others],
        "targets": [(images, found) for found in other_targets],
    }
    for spread in (
        0.0,
        0.05,
    ):  # what begins with zeros, such as a last layer, tells nothing apart before it has learned
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
        usual = _losses(bench, model, images, targets)
        pairs = {
            what: batches for what, batches in pairs.items() if all(_losses(bench, model, *b) == usual for b in batches)
        }
    for what in (what for what, batches in pairs.items() if batches):
        yield f"the losses are the same whatever the {what} are; compute them from the {what} that Task.losses is given"


def _losses(bench: Bench, model: Any, inputs: Any, targets: Any) -> list[float]:
    """The losses under one state of the global generator; raises Skipped where another check tells what is wrong."""
    import torch

    torch.manual_seed(0)
    try:
        with torch.no_grad():
            losses = bench.task.losses(model, inputs, targets, bench.spec.head, recipe=None)
            return [float(loss) for loss in losses.values()]
    except Exception as error:  # the plugin's code
        raise Skipped("the losses cannot be computed; see training_gives_finite_losses") from error


def _named(path: str) -> str:
    """A path in a batch in the words of `Task.losses`."""
    return path.replace("batch[0]", "inputs").replace("batch[1]", "targets")
