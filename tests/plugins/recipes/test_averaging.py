"""Moving averages and means of checkpoints, against arithmetic and torch's own averaged model."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from registry_recipes.average_specs import EmaSpec
from registry_recipes.averaging import Ema, average_state_dicts, build_ema
from registry_recipes.specs import TrainingSpec
from torch import nn
from torch.optim.swa_utils import AveragedModel

from registry.errors import RegistryError

Make = Callable[..., TrainingSpec]


class Counter(nn.Module):
    """Two parameters, a statistic and a count, whose values a test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(2))
        self.second = nn.Parameter(torch.zeros(1))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("seen", torch.tensor(0))

    def put(self, value: float) -> Counter:
        with torch.no_grad():
            self.first.fill_(value)
            self.second.fill_(-value)
            self.mean.fill_(10 * value)
            self.seen.fill_(int(value))
        return self


def spec(**settings: object) -> EmaSpec:
    return EmaSpec.model_validate({"decay": 0.9, "every": 1, "adjust": False, **settings})


def test_it_equals_the_arithmetic_update_by_update() -> None:
    """Several parameters, one update each time: the count goes by updates, not by parameters."""
    model = Counter()
    ema = Ema(spec(), model, batch=8, epochs=10)
    expected = None
    for step in range(1, 30):
        ema.update(model.put(float(step)))
        expected = float(step) if expected is None else 0.9 * expected + 0.1 * step
        assert ema.updates == step
        assert ema.module.first.tolist() == pytest.approx([expected] * 2, rel=1e-5)
        assert ema.module.second.item() == pytest.approx(-expected, rel=1e-5)
        assert ema.module.mean.tolist() == pytest.approx([10 * expected] * 2, rel=1e-5)
        assert ema.module.seen.item() == step


def test_it_equals_torchs_averaged_model_bit_for_bit() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8))
    ema = Ema(spec(decay=0.97), model, batch=8, epochs=10)
    decay = 1.0 - (1.0 - 0.97)
    theirs = AveragedModel(model, avg_fn=lambda old, new, _: decay * old + (1 - decay) * new, use_buffers=True)
    for _ in range(6):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        ema.update(model)
        theirs.update_parameters(model)
    for ours, reference in zip(ema.module.parameters(), theirs.module.parameters(), strict=True):
        assert torch.equal(ours, reference)


def test_buffers_can_be_taken_as_they_are() -> None:
    model = Counter()
    ema = Ema(spec(buffers="copy"), model, batch=8, epochs=10)
    for step in (1.0, 2.0, 3.0):
        ema.update(model.put(step))
    assert ema.module.mean.tolist() == [30.0, 30.0]
    assert ema.module.first.tolist() == pytest.approx([0.9 * (0.9 + 0.1 * 2) + 0.3] * 2)


def test_every_counts_within_an_epoch_as_torchvisions_reference_does() -> None:
    """`if i % steps == 0` with the index of the batch: of epochs of five steps, those of index 0 and 3."""
    model = Counter()
    ema = Ema(spec(decay=0.0, every=3), model, batch=8, epochs=10, steps_per_epoch=5)
    taken = []
    for step in range(10):
        ema.update(model.put(float(step)))
        taken.append(ema.module.first[0].item())
    assert taken == [0, 0, 0, 3, 3, 5, 5, 5, 8, 8]


@pytest.mark.parametrize(("batch", "every", "epochs"), [(1024, 32, 600), (32, 1, 20), (8, 4, 1)])
def test_adjusting_follows_torchvisions_formula(batch: int, every: int, epochs: int) -> None:
    expected = min(1.0, (1.0 - 0.99998) * batch * every / epochs)
    model = Counter()
    ema = Ema(EmaSpec(every=every), model, batch=batch, epochs=epochs)
    ema.update(model.put(1.0))
    for _ in range(every):
        ema.update(model.put(2.0))
    assert ema.module.first[0].item() == pytest.approx(1.0 + expected, rel=1e-6)


def test_a_share_of_more_than_all_is_all() -> None:
    assert EmaSpec(decay=0.5, every=100).weight(batch=1000, epochs=1) == 1.0


def test_it_follows_the_model_during_warm_up_epochs(recipe: Make) -> None:
    """torchvision puts the count to 0 after each update of those epochs, so the first one after them copies too."""
    made = recipe(ema={"decay": 0.9, "every": 1, "adjust": False}, warmup={"epochs": 2}, epochs=5)
    model = Counter()
    ema = build_ema(made, model, batch=8, steps_per_epoch=2)
    assert ema is not None
    taken = []
    for step in range(1, 8):
        ema.update(model.put(float(step)))
        taken.append(ema.module.first[0].item())
    assert taken[:5] == [1, 2, 3, 4, 5]
    assert taken[5:] == pytest.approx([5.1, 0.9 * 5.1 + 0.7])


@pytest.mark.parametrize(
    "settings", [{"warmup": {"steps": 4}}, {"warmup": {"epochs": 2}, "ema": {"reset_in_warmup": False}}]
)
def test_a_warm_up_in_steps_or_without_reset_is_averaged(recipe: Make, settings: dict[str, dict[str, object]]) -> None:
    moving = {"decay": 0.9, "every": 1, "adjust": False}
    made = recipe(epochs=5, warmup=settings["warmup"], ema={**moving, **settings.get("ema", {})})
    model = Counter()
    ema = build_ema(made, model, batch=8, steps_per_epoch=2)
    assert ema is not None
    ema.update(model.put(1.0))
    ema.update(model.put(2.0))
    assert ema.module.first[0].item() == pytest.approx(1.1)


def test_no_ema_without_settings(recipe: Make) -> None:
    assert build_ema(recipe(), Counter(), batch=8, steps_per_epoch=2) is None


def test_it_goes_on_from_its_state_as_if_never_interrupted() -> None:
    model, other = Counter(), Counter()
    whole, half = (Ema(spec(every=2), m, batch=8, epochs=10, steps_per_epoch=5) for m in (model, other))
    for step in range(7):
        whole.update(model.put(float(step)))
        half.update(other.put(float(step)))
    resumed = Ema(spec(every=2), Counter(), batch=8, epochs=10, steps_per_epoch=5)
    resumed.load_state_dict(half.state_dict())
    for step in range(7, 14):
        whole.update(model.put(float(step)))
        resumed.update(other.put(float(step)))
    target = Counter()
    resumed.copy_to(target)
    assert {k: v.tolist() for k, v in target.state_dict().items()} == {
        k: v.tolist() for k, v in whole.module.state_dict().items()
    }


@pytest.mark.parametrize("state", [{}, {"updates": 1, "averaged": True, "model": {"other": torch.zeros(1)}}])
def test_a_foreign_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(RegistryError, match="no state of this model's moving average"):
        Ema(spec(), Counter(), batch=8, epochs=1).load_state_dict(state)


def test_the_model_is_left_as_it_is() -> None:
    model = Counter().put(1.0)
    model.train()
    ema = Ema(spec(), model, batch=8, epochs=1)
    ema.update(model)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(parameter.requires_grad for parameter in ema.module.parameters())
    assert not ema.module.training


# ---- the mean of checkpoints -----------------------------------------------------------------------------------------


def test_floats_are_averaged_and_counts_divided_and_rounded_down() -> None:
    states = [
        {
            "weight": torch.tensor([1.0, 2.0]) * k,
            "seen": torch.tensor(10 * k + 1),
            "half": torch.tensor([0.5 * k]).half(),
        }
        for k in (1, 2, 4)
    ]
    mean = average_state_dicts(states)
    third = torch.tensor([7.0, 14.0]) / 3
    assert torch.equal(mean["weight"], third)
    assert mean["seen"].item() == 73 // 3
    assert mean["seen"].dtype == torch.int64
    assert mean["half"].dtype == torch.float32
    assert mean["half"].item() == pytest.approx(3.5 / 3)


def test_sums_of_half_precision_do_not_overflow() -> None:
    states = [{"w": torch.tensor([60000.0]).half()}] * 4
    assert average_state_dicts(states)["w"].item() == torch.tensor(60000.0).half().float().item()


def test_truth_values_are_the_last_ones_and_inputs_stay() -> None:
    states = [{"on": torch.tensor(True), "w": torch.ones(2)}, {"on": torch.tensor(False), "w": torch.zeros(2)}]
    mean = average_state_dicts(states)
    mean["w"].add_(5)
    assert not bool(mean["on"])
    assert states[0]["w"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, "another `w`"),
        ({"w": torch.zeros(3)}, "another `w`"),
        ({"w": torch.zeros(2), "x": torch.zeros(1)}, "another `x`"),
    ],
)
def test_checkpoints_of_different_models_are_refused(other: dict[str, torch.Tensor], said: str) -> None:
    with pytest.raises(RegistryError, match=f"checkpoint 2 has {said}"):
        average_state_dicts([{"w": torch.zeros(2)}, other])


def test_no_checkpoint_is_no_average() -> None:
    with pytest.raises(RegistryError, match="at least one"):
        average_state_dicts([])
