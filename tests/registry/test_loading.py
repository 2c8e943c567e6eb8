"""Building with a file skips memory and initialisation; what comes out is what torchvision's builder and the file give."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model, mobilenet_v3_small

import registry
from registry.assemble import construct as constructing
from registry.specs import HeadSpec

NAME = "mobilenet_v3_small"
NARROW = {"backbone.width_mult": 0.35}


def narrow(classes: int = 1000) -> nn.Module:
    """torchvision's narrow MobileNetV3-Small."""
    model: nn.Module = mobilenet_v3_small(width_mult=0.35, num_classes=classes)
    return model


def build(**settings: Any) -> nn.Module:
    return registry.build(NAME, overrides=NARROW, **settings)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """torchvision's narrow MobileNetV3-Small as a `.pth` file."""
    torch.manual_seed(5)
    torch.save(narrow().state_dict(), tmp_path / "narrow.pth")
    return tmp_path / "narrow.pth"


def held(model: nn.Module) -> dict[str, torch.Tensor]:
    """Everything a model holds: parameters, all buffers, and tensors that are plain attributes of its modules."""
    found = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if isinstance(value, torch.Tensor):
                found[f"{name}.{key}"] = value
            elif isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
                found.update({f"{name}.{key}.{index}": each for index, each in enumerate(value)})
    return found


class TestEqualToTorchvision:
    @pytest.mark.parametrize("suffix", ["pth", "safetensors"])
    @pytest.mark.parametrize(
        ("name", "theirs"),
        [
            ("fasterrcnn_mnv3_large_320_fpn", "fasterrcnn_mobilenet_v3_large_320_fpn"),
            ("lraspp_mnv3_large", "lraspp_mobilenet_v3_large"),
            ("ssdlite320_mnv3_large", "ssdlite320_mobilenet_v3_large"),
        ],
    )
    def test_all_that_is_held_and_answered(self, tmp_path: Path, name: str, theirs: str, suffix: str) -> None:
        # torchvision's builder freezes batch norms only where it fetches weights itself
        same = {"backbone.norm": "batch"} if name.startswith("fasterrcnn") else None
        torch.manual_seed(0)
        peer = get_model(theirs, weights=None, weights_backbone=None)
        path = tmp_path / f"w.{suffix}"
        (torch.save if suffix == "pth" else save_file)(peer.state_dict(), path)
        built = registry.build(name, weights=path, overrides=same)
        mine, wanted = held(built), held(peer)
        assert set(wanted) <= set(mine)
        for key, tensor in wanted.items():
            assert mine[key].dtype == tensor.dtype
            assert torch.equal(mine[key], tensor), key
        assert not any(tensor.is_meta for tensor in mine.values())
        images: Any = torch.rand(1, 3, 64, 64) if "lraspp" in name else [torch.rand(3, 64, 64)]
        with torch.inference_mode():
            answers, expected = built.eval()(images), peer.eval()(images)
        first, second = (answers, expected) if "lraspp" in name else (answers[0], expected[0])
        assert all(torch.equal(first[key], second[key]) for key in second)

    def test_new_classifiers_draw_what_torchvisions_would(self, file: Path) -> None:
        state = torch.load(file, weights_only=True)
        torch.manual_seed(3)
        fresh = narrow(classes=7).state_dict()
        torch.manual_seed(3)
        with pytest.warns(registry.RegistryWarning, match="the classifier is new"):
            built = build(weights=file, num_classes=7).state_dict()
        new = ("classifier.3.weight", "classifier.3.bias")
        for key, tensor in built.items():
            assert torch.equal(tensor, fresh[key] if key in new else state[key]), key

    def test_a_backbone_that_starts_from_a_file_leaves_the_heads_draws_as_they_are(self, file: Path) -> None:
        state = torch.load(file, weights_only=True)
        torch.manual_seed(3)
        fresh = narrow(classes=7).state_dict()
        torch.manual_seed(3)
        built = build(backbone_weights=file, num_classes=7).state_dict()
        for key, tensor in built.items():
            assert torch.equal(tensor, (fresh if key.startswith("classifier") else state)[key]), key

    def test_a_default_device_is_not_for_models_with_weights(self, file: Path) -> None:
        with torch.device("meta"):
            built = build(weights=file)
        assert {tensor.device.type for tensor in held(built).values()} == {"cpu"}
        assert torch.equal(built.state_dict()["classifier.3.bias"], torch.load(file)["classifier.3.bias"])


class TestTrainingOnIt:
    def test_a_step_changes_memory_and_not_the_file(self, file: Path) -> None:
        before = file.read_bytes()
        built, peer = build(weights=file), narrow()
        peer.load_state_dict(torch.load(file, weights_only=True))
        images, labels = torch.rand(2, 3, 32, 32), torch.tensor([1, 2])
        for model in (built, peer):
            torch.manual_seed(0)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            for _ in range(2):
                optimizer.zero_grad()
                torch.autograd.backward(nn.functional.cross_entropy(model(images), labels))
                optimizer.step()
        assert file.read_bytes() == before
        after = built.state_dict()
        assert all(torch.equal(after[key], value) for key, value in peer.state_dict().items())

    def test_the_file_may_be_removed_or_replaced_by_another(self, file: Path) -> None:
        state = {key: tensor.clone() for key, tensor in torch.load(file, weights_only=True).items()}
        removed, replaced = build(weights=file), build(weights=file)
        torch.save({key: torch.zeros_like(tensor) for key, tensor in state.items()}, file.with_suffix(".new"))
        os.replace(file.with_suffix(".new"), file)
        assert all(torch.equal(replaced.state_dict()[key], tensor) for key, tensor in state.items())
        file.unlink()
        assert all(torch.equal(removed.state_dict()[key], tensor) for key, tensor in state.items())

    def test_a_checkpoint_may_be_saved_over_the_one_it_was_built_from(self, file: Path, tmp_path: Path) -> None:
        path = registry.save(build(weights=file), tmp_path / "own.safetensors")
        again = registry.build(path)
        with torch.no_grad():
            again.get_parameter("classifier.3.bias").add_(1)
        registry.save(again, path)
        bias = torch.load(file, weights_only=True)["classifier.3.bias"]
        assert torch.equal(registry.build(path).state_dict()["classifier.3.bias"], bias + 1)


class OddSpec(HeadSpec):
    type: Literal["odd_head"] = "odd_head"
    task: ClassVar[str] = "classification"


class Odd(nn.Module):
    """What every odd head below has: a backbone, and a linear layer on its pooled map."""

    def __init__(self, backbone: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.last = nn.Linear(channels, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.backbone(images).mean((2, 3)))
        return logits


class FromData(Odd):
    """Tensors from data, from numpy, from ranges and at random, as plain attributes and as buffers."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.means = torch.tensor([0.1, 0.2])
        self.grid = [torch.arange(4), torch.from_numpy(np.linspace(0, 1, 5))]
        self.register_buffer("steps", torch.linspace(0, 1, 3), persistent=False)
        self.rates = torch.linspace(0, 0.2, 3).tolist()
        torch.rand(3)


class FromParameter(Odd):
    """A number computed from a parameter, which has no value while nothing is initialised."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        nn.init.constant_(self.last.weight, 0.25)
        self.most = float(self.last.weight.detach().abs().max())


class FromParameterUnseen(Odd):
    """A tensor computed from a parameter, in an object that is no module."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        nn.init.constant_(self.last.weight, 0.25)
        weight = self.last.weight.detach() * 2
        self.twice: Callable[[], torch.Tensor] = lambda: weight


class FilledBuffer(Odd):
    """A buffer outside of state dicts that is made empty and filled."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.register_buffer("filled", torch.empty(3), persistent=False)
        nn.init.constant_(self.get_buffer("filled"), 0.5)


class Listed(Odd):
    """A parameter that is kept in a plain list too."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.watched = [self.last.weight]


class Tied(Odd):
    """Two layers with one weight."""

    def __init__(self, backbone: nn.Module, channels: int, classes: int) -> None:
        super().__init__(backbone, channels, classes)
        self.twin = nn.Linear(channels, classes)
        self.twin.weight = self.last.weight


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Callable[..., tuple[Any, Any]]]:
    """Builds an odd head as usual, then from a file of what that holds."""
    with registry.local_parts():

        def both(kind: type[Odd], init: Callable[..., None] | None = None) -> tuple[Any, Any]:
            def make(spec: Any, backbone: nn.Module, backbone_spec: Any) -> nn.Module:
                return kind(backbone, backbone_spec.feature_maps()[-1].channels, spec.num_classes)

            registry.head(OddSpec, init=init)(make)
            document = {**NARROW, "head": {"type": "odd_head", "num_classes": 3}, "task.categories": None}
            usual = registry.build(NAME, overrides=document)
            torch.save(usual.state_dict(), tmp_path / "odd.pth")
            torch.manual_seed(9)
            before = torch.get_rng_state()
            loaded = registry.build(NAME, overrides=document, weights=tmp_path / "odd.pth")
            assert torch.equal(torch.get_rng_state(), before)
            assert all(torch.equal(tensor, usual.state_dict()[key]) for key, tensor in loaded.state_dict().items())
            loaded.eval()(torch.rand(1, 3, 32, 32))
            return usual, loaded

        yield both


class TestPartsOfOthers:
    def test_tensors_from_data_are_computed(self, odd: Callable[..., tuple[Any, Any]]) -> None:
        _, loaded = odd(FromData)
        assert torch.equal(loaded.means, torch.tensor([0.1, 0.2]))
        assert loaded.grid[0].tolist() == [0, 1, 2, 3]
        assert loaded.grid[1].tolist() == [0, 0.25, 0.5, 0.75, 1]
        assert loaded.steps.tolist() == [0, 0.5, 1]
        assert loaded.rates == pytest.approx([0, 0.1, 0.2])

    def test_a_number_computed_from_a_parameter(self, odd: Callable[..., tuple[Any, Any]]) -> None:
        assert odd(FromParameter)[1].most == 0.25

    def test_a_tensor_computed_from_a_parameter_wherever_it_is_kept(self, odd: Callable[..., tuple[Any, Any]]) -> None:
        _, loaded = odd(FromParameterUnseen)
        assert loaded.twice().unique().tolist() == [0.5]

    def test_a_buffer_that_no_file_holds(self, odd: Callable[..., tuple[Any, Any]]) -> None:
        assert odd(FilledBuffer)[1].filled.tolist() == [0.5, 0.5, 0.5]

    def test_a_buffer_that_the_parts_own_initialisation_fills(self, odd: Callable[..., tuple[Any, Any]]) -> None:
        def init(spec: Any, model: Any) -> None:
            model.steps.fill_(7)

        assert odd(FromData, init)[1].steps.tolist() == [7, 7, 7]

    def test_a_parameter_in_a_list_stays_the_layers(self, odd: Callable[..., tuple[Any, Any]]) -> None:
        _, loaded = odd(Listed)
        assert loaded.watched[0] is loaded.last.weight

    def test_shared_parameters_stay_shared(self, odd: Callable[..., tuple[Any, Any]]) -> None:
        _, loaded = odd(Tied)
        assert loaded.twin.weight is loaded.last.weight


def test_a_file_of_every_parameter_costs_one_construction_and_no_copy(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[nn.Module] = []
    real = constructing.construct_backbone

    def counted(*given: Any) -> nn.Module:
        made.append(real(*given))
        return made[-1]

    monkeypatch.setattr(constructing, "construct_backbone", counted)
    built = build(weights=file)
    assert len(made) == 1
    # one mapping of the file holds all tensors, each as far into it as in the file
    places = [tensor.data_ptr() for tensor in built.state_dict().values() if tensor.numel()]
    assert max(places) - min(places) < file.stat().st_size
