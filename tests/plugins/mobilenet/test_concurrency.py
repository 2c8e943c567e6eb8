"""Building from several threads, after a fork, and under torch's default device and dtype."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

import registry

if TYPE_CHECKING:
    from torch import Tensor, nn

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

T = TypeVar("T")
THREADS = 8
NARROW = {"backbone.width_mult": 0.35}
# what eight threads build: the document, and the switches it is built with
MODELS: list[tuple[str, dict[str, bool]]] = [
    (f"mobilenet_v3_{size}", {"reduced_tail": tail, "dilated": dilated})
    for size in ("large", "small")
    for tail in (False, True)
    for dilated in (False, True)
]


def reference(document: str, switches: dict[str, bool], **options: Any) -> nn.Module:
    return getattr(torchvision.models, document)(width_mult=0.35, **switches, **options)


def overrides(switches: dict[str, bool]) -> dict[str, Any]:
    return {**NARROW, **{f"backbone.{key}": value for key, value in switches.items()}}


def layout(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def at_once(work: Callable[[int], T]) -> list[T]:
    """What `work` returns for 0 to 7, each in a thread of its own, all starting together."""
    barrier = threading.Barrier(THREADS)

    def start(index: int) -> T:
        barrier.wait(timeout=60)
        return work(index)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(start, range(THREADS), timeout=120))


@contextmanager
def default_dtype(dtype: Any) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of the small model at the narrow width, with 10 classes."""
    path = tmp_path / "weights.pth"
    torch.save(reference("mobilenet_v3_small", {}, num_classes=10).state_dict(), path)
    return path


def run(script: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # an OpenMP pool of the parent would not live through a fork
    command = [sys.executable, "-W", "ignore", "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)


# threads


def test_eight_threads_build_different_models_with_and_without_weights(tmp_path: Path) -> None:
    states = [reference(*model, num_classes=10).state_dict() for model in MODELS]
    for index, state in enumerate(states):
        torch.save(state, tmp_path / f"{index}.pth")
    shared = registry.Registry()  # nothing is read or imported yet, so the threads also race for the catalog

    def build(index: int) -> tuple[nn.Module, nn.Module]:
        document, switches = MODELS[index]
        options: dict[str, Any] = {"overrides": overrides(switches), "num_classes": 10}
        loaded = shared.build(document, weights=tmp_path / f"{index}.pth", **options)
        return loaded, shared.build(document, **options)

    for index, (loaded, fresh) in enumerate(at_once(build)):
        state = states[index]
        assert list(loaded.state_dict()) == list(state)
        assert all(torch.equal(tensor, state[key]) for key, tensor in loaded.state_dict().items()), index
        assert layout(fresh.state_dict()) == layout(state)
        for name, parameter in fresh.named_parameters():
            assert parameter.device.type == "cpu", name
            assert parameter.dtype == torch.float32, name
            assert bool(parameter.isfinite().all()), name
        assert not torch.equal(fresh.features[0][0].weight, loaded.features[0][0].weight)
        assert loaded.spec.backbone.dilated is MODELS[index][1]["dilated"]
        assert loaded.spec.backbone.reduced_tail is MODELS[index][1]["reduced_tail"]


def test_threads_that_load_weights_leave_the_random_state(weights: Path) -> None:
    state = torch.get_rng_state()
    at_once(
        lambda index: registry.build("mobilenet_v3_small", overrides=NARROW, num_classes=10, weights=weights).training
    )
    assert torch.equal(torch.get_rng_state(), state)


def test_a_thread_that_builds_on_the_meta_device_does_not_move_the_others() -> None:
    devices = at_once(
        lambda index: {
            parameter.device.type
            for parameter in registry.build(
                "mobilenet_v3_small", overrides=NARROW, device="meta" if index % 2 else None
            ).parameters()
        }
    )
    assert devices == [{"cpu"}, {"meta"}] * (THREADS // 2)
    assert torch.get_default_device() == torch.device("cpu")


def test_the_very_first_builds_may_come_from_several_threads() -> None:
    script = """
import threading
import registry
names = ["mobilenet_v3_large", "mobilenet_v3_small"] * 4
found, barrier = [], threading.Barrier(len(names))
def build(name):
    barrier.wait()
    model = registry.build(name, overrides={"backbone.width_mult": 0.35}, device="meta")
    found.append((name, sum(parameter.numel() for parameter in model.parameters())))
threads = [threading.Thread(target=build, args=(name,)) for name in names]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sorted(found))
"""
    result = run(script)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    expected = [("mobilenet_v3_large", 997_064)] * 4 + [("mobilenet_v3_small", 558_744)] * 4
    assert result.stdout.strip() == str(expected)


# fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_can_build() -> None:
    script = """
import os, sys
import registry
narrow = {"backbone.width_mult": 0.35}
registry.build("mobilenet_v3_small", overrides=narrow)
child = os.fork()
if child == 0:
    code = 1
    try:
        for options in ({"device": "meta"}, {}):
            model = registry.build("mobilenet_v3_large", overrides=narrow, **options)
            count = sum(parameter.numel() for parameter in model.parameters())
            code = 0 if count == 997_064 else 2
            if code:
                break
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
    finally:
        os._exit(code)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    result = run(script)
    assert result.returncode == 0, result.stderr


# torch's defaults


@pytest.mark.filterwarnings("ignore::registry.errors.RegistryWarning")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"device": "meta"},
        {"weights": True},
        {"weights": True, "num_classes": 7},
        {"weights": True, "num_classes": 10},
    ],
    ids=str,
)
def test_building_leaves_the_default_dtype_and_device(options: dict[str, Any], weights: Path) -> None:
    if "weights" in options:
        options = {"num_classes": 10, **options, "weights": weights}
    registry.build("mobilenet_v3_small", overrides=NARROW, **options)
    assert torch.get_default_dtype() == torch.float32
    assert torch.get_default_device() == torch.device("cpu")


def test_a_failed_build_leaves_the_defaults_and_the_random_state(weights: Path) -> None:
    state = torch.get_rng_state()
    with pytest.raises(registry.WeightsError, match="nothing was loaded"):
        registry.build("mobilenet_v3_large", overrides=NARROW, weights=weights)
    assert torch.get_default_dtype() == torch.float32
    assert torch.get_default_device() == torch.device("cpu")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_the_default_dtype_is_followed_as_torchvision_does(dtype: str) -> None:
    with default_dtype(getattr(torch, dtype)):
        torch.manual_seed(3)
        expected = reference("mobilenet_v3_small", {}).state_dict()
        random_state = torch.get_rng_state()
        torch.manual_seed(3)
        found = registry.build("mobilenet_v3_small", overrides=NARROW).state_dict()
        assert torch.equal(torch.get_rng_state(), random_state)
        assert torch.get_default_dtype() == getattr(torch, dtype)
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype, key
        assert torch.equal(found[key], tensor), key


def test_weights_take_the_default_dtype_as_loading_into_torchvisions_model_does(weights: Path) -> None:
    with default_dtype(torch.float64):
        expected = reference("mobilenet_v3_small", {}, num_classes=10)
        expected.load_state_dict(torch.load(weights, weights_only=True))
        found = registry.build("mobilenet_v3_small", overrides=NARROW, num_classes=10, weights=weights)
    for key, tensor in expected.state_dict().items():
        assert found.state_dict()[key].dtype == tensor.dtype, key
        assert torch.equal(found.state_dict()[key], tensor), key


def test_the_default_device_is_followed_as_torchvision_does() -> None:
    state = torch.get_rng_state()
    with torch.device("meta"):
        expected = reference("mobilenet_v3_small", {}).state_dict()
        after_theirs = torch.get_rng_state()
        torch.set_rng_state(state)
        found = registry.build("mobilenet_v3_small", overrides=NARROW).state_dict()
        assert torch.get_default_device() == torch.device("meta")
    assert torch.equal(torch.get_rng_state(), after_theirs)
    assert torch.get_default_device() == torch.device("cpu")
    assert layout(found) == layout(expected)
    assert {tensor.device.type for tensor in found.values()} == {"meta"}
    assert {key: tensor.dtype for key, tensor in found.items()} == {key: t.dtype for key, t in expected.items()}
