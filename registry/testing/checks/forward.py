"""Running a model in eval mode, with other batches and sizes."""

from __future__ import annotations

from collections.abc import Iterator

from registry.errors import RegistryError
from registry.testing.bench import Bench, run
from registry.testing.check import model_check
from registry.testing.tensors import altered, difference, few, kept, not_finite, tensors


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
        other = {str(t.dtype): path for path, t in tensors(output) if t.is_floating_point() and t.element_size() != 4}
        for dtype, path in other.items():
            yield f"{told}: `{path}` is {dtype}; give float32 of float32 images, as losses and exports expect"
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
    if isinstance(first, list):  # a result for each image, of as many things as were found in it
        return
    both, told = dict(tensors(first)), set()
    for index in range(2):
        for path, tensor in tensors(run(bench.model, inputs[index : index + 1])):
            whole = both.get(path)
            if whole is None or whole.dim() == 0 or whole.shape != (2, *tensor.shape[1:]) or path in told:
                continue
            apart = difference(tensor, whole[index : index + 1])
            if apart:
                told.add(path)
                yield f"in eval mode an image's {path} depends on the images beside it: {apart}"


@model_check("backbone", "head", "model")
def eval_mode_leaves_no_trace(bench: Bench) -> Iterator[str]:
    """A run in eval mode changes neither images, model nor earlier outputs, and draws no random number."""
    import torch

    inputs, _ = bench.example(2)
    others, _ = bench.example(2, seed=1)
    model = bench.build().eval()
    images = kept(inputs, "images")
    state = kept({**dict(model.named_parameters()), **dict(model.named_buffers())}, "model")
    generator = torch.get_rng_state()
    output = run(model, inputs)
    if not torch.equal(generator, torch.get_rng_state()):
        yield "a run in eval mode draws random numbers; do that where self.training is True only"
    if model.training:
        yield "a run leaves the model in training mode; leave that to the caller"
    wrong = altered(images, inputs, "images")
    if wrong:
        yield f"a run in eval mode changes {few(wrong)}; leave out what works in place on what forward is given"
    wrong = altered(state, {**dict(model.named_parameters()), **dict(model.named_buffers())}, "model")
    if wrong:
        yield f"a run in eval mode changes {few(wrong)}; change buffers where self.training is True only"
    first = kept(output)
    run(model, others)
    wrong = altered(first, output)
    if wrong:
        yield f"the next run changes {few(wrong)} of the one before; return a new tensor, not a buffer that is used again"
