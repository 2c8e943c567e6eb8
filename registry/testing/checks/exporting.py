"""What a head says about itself: that its model can be exported, and that it computes the same whatever an image shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from registry.testing.bench import Bench, run
from registry.testing.check import model_check
from registry.testing.outcome import Skipped
from registry.testing.tensors import difference, not_finite


@model_check("backbone", "head")
def exports_as_declared(bench: Bench) -> Iterator[str]:
    """A head that says `exportable = True` is traced whole by `torch.export` for any size of batch, with equal outputs."""
    import torch

    head = type(bench.spec.head)
    if not head.exportable:
        raise Skipped(f"{head.__name__} says exportable = False")
    inputs, _ = bench.example(2)
    shapes: Any = ({0: torch.export.Dim("batch")},) if isinstance(inputs, torch.Tensor) else None
    try:
        program = torch.export.export(bench.model, (inputs,), dynamic_shapes=shapes)
    except Exception as error:  # of every kind
        lines = [line.strip() for line in str(error).splitlines() if line.strip() and "TORCH_LOGS" not in line]
        told = f"{type(error).__name__}: {' '.join(lines[:3])}"
        fixed = " (len(x) of a tensor is a constant to the exporter: write x.shape[0])" if "batch" in told else ""
        yield (
            f"torch.export of the model failed: {told}; mend forward{fixed}, "
            f"or write exportable: ClassVar[bool] = False in {head.__name__}"
        )
        return
    traced = program.module()
    for count in (2, 3) if shapes else (2,):
        images, _ = bench.example(count, seed=count)
        found = difference(run(bench.model, images), run(traced, images))
        if found:
            yield f"the exported model differs from the model for {count} images: {found}"


@model_check("head")
def says_whether_the_image_decides(bench: Bench) -> Iterator[str]:
    """With `depends_on_image = True` the model has a `fixed_forward` that runs; else it runs where images have no values."""
    import torch

    head = type(bench.spec.head)
    shape = (2, bench.spec.backbone.in_channels, *bench.size)
    if head.depends_on_image:
        fixed = getattr(bench.model, "fixed_forward", None)
        if fixed is None:
            yield (
                f"{head.__name__} says depends_on_image = True and the model has no fixed_forward(images); "
                "add one that runs what does not depend on the image"
            )
            return
        images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            output = fixed(images)
        if not_finite(output):
            yield "fixed_forward gives values that are not finite"
        return
    model = bench.registry.build(bench.spec, device="meta").eval()
    try:
        run(model, bench.task.collate(list(torch.empty(shape, device="meta"))))
    except Exception as error:  # the plugin's code
        yield (
            f"a forward without values failed: {type(error).__name__}: {error}; if what is computed depends on what the "
            f"image shows, write depends_on_image: ClassVar[bool] = True in {head.__name__}"
        )
