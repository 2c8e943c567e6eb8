"""Learning: a step must move everything that is trained."""

from __future__ import annotations

from collections.abc import Iterator

from registry.testing.bench import Bench
from registry.testing.check import model_check
from registry.testing.outcome import Skipped
from registry.testing.tensors import few

#: Some parameters are met by some targets only.
_BATCHES = 3


@model_check("backbone", "head")
def gradients_reach_every_parameter(bench: Bench) -> Iterator[str]:
    """After the losses of three batches every trainable parameter has a gradient, and it is finite."""
    model = bench.build().train()
    for seed in range(_BATCHES):
        inputs, targets = bench.example(2, seed=seed)
        total = sum(bench.task.losses(model, inputs, targets, bench.spec.head, recipe=None).values())
        if not getattr(total, "requires_grad", False):
            raise Skipped("the losses depend on no parameter; see training_gives_finite_losses")
        total.backward()  # type: ignore[union-attr]  # a tensor, as it requires gradients
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not trained:
        yield "no parameter is trainable; leave requires_grad alone in the part that builds it"
    missed = [name for name, parameter in trained.items() if parameter.grad is None]
    if missed:
        yield (
            f"no gradient reaches {few(missed)}; use the module in forward, leave it out, "
            "or set requires_grad to False where it is not to be trained"
        )
    wrong = [name for name, p in trained.items() if p.grad is not None and not bool(p.grad.isfinite().all())]
    if wrong:
        yield f"gradients of {few(wrong)} are not finite"
