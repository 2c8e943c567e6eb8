"""torch's eager mode: torchvision's own quantized MobileNetV3 bit for bit, and layers of any architecture by themselves."""

from __future__ import annotations

import copy
import csv
import io
import json
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.ao.quantization as eager
import torchvision
from registry_export.flow import exported, target_spec
from registry_quantization.eager.engine import config
from registry_quantization.eager.layers import Between
from registry_quantization.signal import decibels, kind_of, layers_of
from registry_quantization.specs import QnnpackSpec
from torch import nn

import registry
from registry.errors import RegistryError, WeightsError
from registry.testing import check_part

pytestmark = pytest.mark.skipif(
    "qnnpack" not in torch.backends.quantized.supported_engines, reason="needs a torch that is built with QNNPACK"
)

SMALL = "mobilenet_v3_digits_48"
#: Everything rounded, as torchvision does.
ALL = QnnpackSpec(operations="all", least_signal=None)
LAYERS = QnnpackSpec(least_signal=None)


def scheme() -> Any:
    return registry.default_registry().host.target(LAYERS)


def lively(model: nn.Module) -> Any:
    """Batch norms that are not the identity."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 1.5, generator=generator)  # type: ignore[union-attr]
                module.weight.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def pictures(count: int, *shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return lively(registry.build(SMALL))


@pytest.fixture(scope="module")
def batches() -> list[torch.Tensor]:
    return [pictures(8, 1, 48, 48, seed=seed) for seed in range(3)]


@pytest.fixture(scope="module")
def large() -> Any:
    torch.manual_seed(0)
    return lively(registry.build("mobilenet_v3_large", num_classes=10))


@pytest.fixture(autouse=True)
def _engine_is_put_back() -> Iterator[None]:
    before = torch.backends.quantized.engine
    yield
    assert torch.backends.quantized.engine == before


@pytest.fixture
def qnnpack(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], Any]:
    """Runs something of torchvision's under the engine, in silence."""

    def run(call: Callable[[], Any]) -> Any:
        before = torch.backends.quantized.engine
        torch.backends.quantized.engine = "qnnpack"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return call()
        finally:
            torch.backends.quantized.engine = before

    return run


def torchvisions(state: dict[str, torch.Tensor]) -> Any:
    classes = len(state["classifier.3.bias"])
    made = torchvision.models.quantization.mobilenet_v3_large(weights=None, num_classes=classes)
    made.load_state_dict(state)
    return made


def between(made: Any) -> list[str]:
    return [name.removeprefix("model.") for name, module in made.named_modules() if isinstance(module, Between)]


def test_everything_rounded_is_torchvisions_own_to_the_bit(large: Any, qnnpack: Any) -> None:
    given = [pictures(2, 3, 64, 64, seed=seed) for seed in range(2)]
    made = scheme()(ALL, large, given)

    def theirs() -> tuple[Any, torch.Tensor]:
        other = torchvisions(large.state_dict()).eval()
        other.fuse_model(is_qat=False)
        other.qconfig = eager.get_default_qconfig("qnnpack")
        eager.prepare(other, inplace=True)
        with torch.no_grad():
            for batch in given:
                other(batch)
            eager.convert(other, inplace=True)
            return other, other(given[0])

    other, wanted = qnnpack(theirs)
    with torch.no_grad():
        found, plain = made(given[0]), large(given[0])
    assert torch.equal(found, wanted)
    assert 3 < decibels(plain, found) < 60
    assert {key.removeprefix("model.") for key in made.state_dict()} == set(other.state_dict())


def trained(float_model: Any, qnnpack: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """torchvision's model after some steps of training with simulated rounding, and its state dict."""

    def theirs() -> Any:
        other = torchvisions(float_model.state_dict())
        other.fuse_model(is_qat=True)
        other.qconfig = eager.get_default_qat_qconfig("qnnpack")
        eager.prepare_qat(other.train(), inplace=True)
        torch.manual_seed(5)
        optimizer = torch.optim.SGD(other.parameters(), lr=0.01, momentum=0.9)
        for step in range(3):
            scores = other(pictures(4, 3, 64, 64, seed=step))
            loss = nn.functional.cross_entropy(scores, torch.arange(4) % scores.shape[1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return other

    other = qnnpack(theirs)
    return other, copy.deepcopy(other.state_dict())


def test_published_weights_are_torchvisions_own_to_the_bit(large: Any, qnnpack: Any, tmp_path: Path) -> None:
    other, state = trained(large, qnnpack)
    wanted = qnnpack(lambda: eager.convert(other.eval(), inplace=False)(pictures(2, 3, 64, 64)))
    path = tmp_path / "mobilenet_v3_large_qnnpack.pth"
    torch.save(state, path)
    fresh = registry.build("mobilenet_v3_large", num_classes=10)
    made = scheme().published(QnnpackSpec(), fresh, path)
    assert torch.equal(made(pictures(2, 3, 64, 64)), wanted)
    assert made.quantization == ALL
    assert made.spec is fresh.spec
    # of before squeeze-and-excitation had an activation of its own: neither keys nor versions
    old: Any = {key: value for key, value in state.items() if ".scale_activation.activation_post_process" not in key}
    assert len(old) < len(state)

    def migrated() -> torch.Tensor:
        again = torchvision.models.quantization.mobilenet_v3_large(weights=None, num_classes=10)
        again.fuse_model(is_qat=True)
        again.qconfig = eager.get_default_qat_qconfig("qnnpack")
        eager.prepare_qat(again, inplace=True)
        again.load_state_dict(copy.copy(old))
        return eager.convert(again.eval(), inplace=False)(pictures(2, 3, 64, 64))

    assert torch.equal(scheme().published(QnnpackSpec(), fresh, old)(pictures(2, 3, 64, 64)), qnnpack(migrated))
    with pytest.raises(WeightsError, match=r"missing.*before it converted"):
        scheme().published(QnnpackSpec(), fresh, large.state_dict())
    with pytest.raises(WeightsError, match=r"do not fit the model: .*size mismatch"):
        scheme().published(QnnpackSpec(), registry.build("mobilenet_v3_large", num_classes=7), path)


@pytest.mark.parametrize("spec", [LAYERS, ALL, QnnpackSpec(least_signal=None, per_channel=True)])
def test_all_layers_become_integers_and_the_model_stays(
    spec: QnnpackSpec, model: Any, batches: list[torch.Tensor]
) -> None:
    before = copy.deepcopy(model.state_dict())
    random = torch.get_rng_state()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        made = scheme()(spec, model, batches)
        with torch.no_grad():
            found, wanted = made(batches[0]), model(batches[0])
        copied = pickle.loads(pickle.dumps(made))
    assert not told
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(isinstance(module, (nn.Conv2d, nn.Linear)) for module in made.modules())
    integers = [module for module in made.modules() if type(module).__module__.startswith("torch.ao.nn")]
    weights = [module.weight() for module in integers if hasattr(module, "weight")]
    assert len(weights) == len(layers_of(model))
    assert {weight.dtype for weight in weights} == {torch.qint8}
    assert {weight.qscheme() for weight in weights} == {
        torch.per_channel_affine if spec.per_channel else torch.per_tensor_affine
    }
    assert (made.spec, made.quantization, made.float_layers) == (model.spec, spec, ())
    assert not made.training
    assert decibels(wanted, found) > 12
    assert torch.equal(copied(batches[1]), made(batches[1]))
    assert torch.equal(copy.deepcopy(made)(batches[1]), made(batches[1]))


@pytest.mark.parametrize("spec", [LAYERS, ALL], ids=["layers", "all"])
def test_a_state_dict_of_integers_can_be_loaded_again(
    spec: QnnpackSpec, model: Any, batches: list[torch.Tensor]
) -> None:
    made = scheme()(spec, model, batches)
    buffer = io.BytesIO()
    torch.save(made.state_dict(), buffer)
    buffer.seek(0)
    torch.manual_seed(9)
    other = scheme()(spec, registry.build(SMALL), batches[:1])
    assert not torch.equal(other(batches[0]), made(batches[0]))
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(other(batches[0]), made(batches[0]))


def test_norms_and_rectifiers_are_fused_and_padding_of_same_is_kept() -> None:
    torch.manual_seed(0)
    own = lively(registry.build(SMALL, overrides=["backbone.padding=same"]))
    given = pictures(4, 1, 47, 48)
    for spec in (LAYERS, ALL):
        made = scheme()(spec, own, [given])
        kinds = [type(module).__name__ for module in made.modules()]
        assert "BatchNorm2d" not in kinds
        rectified = sum(type(module) is nn.ReLU for module in own.modules())
        assert kinds.count("ConvReLU2d") == rectified > 0
        with torch.no_grad():
            assert decibels(own(given), made(given)) > 12


@pytest.mark.parametrize("operations", ["layers", "all"])
def test_what_is_named_stays_float(operations: Any, model: Any, batches: list[torch.Tensor]) -> None:
    spec = QnnpackSpec(
        operations=operations, least_signal=None, depthwise=False, float_modules=("classifier.*", "*.2.fc1")
    )
    made = scheme()(spec, model, batches)
    wanted = [
        name
        for name, layer in layers_of(model).items()
        if kind_of(layer) == "depthwise" or name.startswith("classifier.") or name.endswith(".2.fc1")
    ]
    assert list(made.float_layers) == wanted
    own = [module for module in made.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert len(own) == len(wanted)
    with torch.no_grad():
        assert decibels(model(batches[0]), made(batches[0])) > 25
    assert torch.equal(pickle.loads(pickle.dumps(made))(batches[1]), made(batches[1]))


def test_a_layer_that_gets_zeros_keeps_its_bias() -> None:
    """QNNPACK's biases are 32 bits of steps as small as the input's; an input of zeros alone has the smallest steps."""
    own: Any = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.Conv2d(3, 4, 1)).eval()
    with torch.no_grad():
        own[0].weight.zero_()
        own[0].bias.fill_(-1)
        own[2].bias.copy_(torch.tensor([3.0, -2.0, 1.0, 0.5]))
    image = pictures(2, 2, 4, 4)
    for channels in (False, True):
        made = scheme()(QnnpackSpec(least_signal=None, per_channel=channels), own, [image])
        torch.testing.assert_close(made(image), own(image), rtol=0, atol=5 / 255)


def test_channels_of_no_weight_keep_their_bias() -> None:
    """Such channels have the smallest steps of all, and a bias that is cut off beyond 32 bits of them."""
    own: Any = nn.Sequential(nn.Conv2d(1, 2, 1)).eval()
    with torch.no_grad():
        own[0].weight.copy_(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1))
        own[0].bias.copy_(torch.tensor([4.0, 0.0]))
    image = torch.linspace(-0.01, 0.01, 64).reshape(1, 1, 8, 8)
    made = scheme()(QnnpackSpec(least_signal=None, per_channel=True), own, [image])
    torch.testing.assert_close(made(image), own(image), rtol=0, atol=4.02 / 255)


def test_frozen_norms_are_folded_into_their_layer() -> None:
    torch.manual_seed(0)
    norm = torchvision.ops.FrozenBatchNorm2d(4)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    norm.weight.uniform_(0.5, 2)
    norm.bias.normal_()
    own = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), norm, nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    given = pictures(4, 3, 12, 12)
    with torch.no_grad():
        wanted = own(given)
        made = scheme()(LAYERS, own, [given])
        assert torch.equal(own(given), wanted)
        assert decibels(wanted, made(given)) > 30
    assert [type(module).__name__ for module in made.modules()].count("ConvReLU2d") == 1
    assert not any(isinstance(module, torchvision.ops.FrozenBatchNorm2d) for module in made.modules())


def test_ranges_leave_out_what_a_hard_swish_throws_away() -> None:
    """Of -10 to 2, those below -3 count for nothing: 5 / 255 are steps that QNNPACK rounds to, and not 12 / 255."""
    own: Any = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Hardswish()).eval()
    with torch.no_grad():
        own[0].weight.fill_(1)
    image = torch.linspace(-10, 2, 4096).reshape(1, 1, 64, 64)
    made = scheme()(LAYERS, own, [image])
    (unit,) = (module for module in made.modules() if isinstance(module, Between))
    layer: Any = unit.layer
    assert layer.scale == pytest.approx(5 / 255, rel=0.05)
    with torch.no_grad():  # of the input one step, of the output half
        torch.testing.assert_close(made(image), own(image), rtol=0, atol=1.17 * (12 / 255 / 2 + 5 / 255))


def test_a_layer_in_two_places_stays_one() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 6)
    own = nn.Sequential(layer, nn.ReLU(), layer).eval()
    given = pictures(32, 6)
    made = scheme()(LAYERS, own, [given])
    assert made.model[0] is made.model[2]
    with torch.no_grad():
        assert decibels(own(given), made(given)) > 25


def test_subclasses_of_layers_stay_float() -> None:
    class Doubled(nn.Linear):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(given)

    own = nn.Sequential(Doubled(4, 4), nn.Linear(4, 4)).eval()
    given = pictures(16, 4)
    made = scheme()(LAYERS, own, [given])
    assert made.float_layers == ("0",)
    with torch.no_grad():
        assert decibels(own(given), made(given)) > 25
    with pytest.raises(RegistryError, match="torch has no integer kernels"):
        scheme()(LAYERS, own[:1], [given])


@pytest.mark.parametrize("operations", ["layers", "all"])
def test_training_with_simulated_rounding(operations: Any, model: Any, batches: list[torch.Tensor]) -> None:
    spec, own = QnnpackSpec(operations=operations, least_signal=None), scheme()
    prepared = own.prepare(spec, model, batches)
    assert not prepared.training
    prepared.train()
    norms = {key: value.clone() for key, value in prepared.named_buffers() if key.endswith("running_mean")}
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.01)
    nn.functional.cross_entropy(prepared(batches[0]), torch.arange(8)).backward()
    assert all(parameter.grad is not None for parameter in prepared.parameters())
    optimizer.step()
    moved = {key: value.clone() for key, value in prepared.named_buffers() if key in norms}
    assert len(norms) == sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert not any(torch.equal(norms[key], moved[key]) for key in norms)
    own.freeze_batch_norms(prepared)
    own.freeze_observers(prepared)
    ranges = {key: value.clone() for key, value in prepared.named_buffers() if key.endswith(("min_val", "max_val"))}
    prepared.eval().train()
    prepared(3 * batches[1] + 1)
    now = dict(prepared.named_buffers())
    assert ranges.keys()
    assert all(torch.equal(now[key], value) for key, value in {**moved, **ranges}.items())
    state = copy.deepcopy(prepared.state_dict())
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    made = own.convert(spec, prepared)
    assert all(torch.equal(value, state[key]) for key, value in prepared.state_dict().items())
    prepared.eval()
    with torch.no_grad():
        assert decibels(prepared(batches[0]), made(batches[0])) > 20
    again = own.prepare(spec, registry.build(SMALL).eval(), batches)
    again.load_state_dict(state)
    assert torch.equal(own.convert(spec, again)(batches[2]), made(batches[2]))
    assert made.float_layers == ()


@pytest.mark.parametrize("engine", ["x86", "fbgemm", "onednn"])
def test_other_engines(engine: Any, model: Any, batches: list[torch.Tensor]) -> None:
    if engine not in torch.backends.quantized.supported_engines:
        pytest.skip(f"this torch is built without {engine}")
    made = scheme()(QnnpackSpec(engine=engine, per_channel=True, least_signal=None), model, batches)
    with torch.no_grad():
        assert decibels(model(batches[0]), made(batches[0])) > 8
    assert torch.equal(pickle.loads(pickle.dumps(made))(batches[1]), made(batches[1]))


@pytest.mark.filterwarnings("ignore:Please use quant_min")
def test_values_have_seven_bits_where_sums_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = QnnpackSpec(engine="onednn", per_channel=True)
    for there in (True, False):
        monkeypatch.setattr("registry_quantization.eager.engine.has_dot_products", lambda there=there: there)
        assert config(spec, training=False).activation().reduce_range is not there
        assert config(spec, training=True).activation().activation_post_process.reduce_range is not there
    assert not config(QnnpackSpec(), training=False).activation().reduce_range


def test_an_engine_that_torch_lacks_is_told(model: Any, batches: list[torch.Tensor], monkeypatch: Any) -> None:
    made = scheme()(LAYERS, model, batches[:1])

    class Backend:
        supported_engines = ("none", "fbgemm")
        engine = torch.backends.quantized.engine

    monkeypatch.setattr(torch.backends, "quantized", Backend())
    for call in (lambda: scheme()(LAYERS, model, batches), lambda: made(batches[0])):
        with pytest.raises(RegistryError, match=r"without the engine `qnnpack`; write quantization.engine=fbgemm"):
            call()


def test_a_torch_without_eager_quantization_is_told(
    model: Any, batches: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    true = importlib.import_module

    def gone(name: str, package: str | None = None) -> Any:
        if name.startswith("torch.ao"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return true(name, package)

    monkeypatch.setattr(importlib, "import_module", gone)
    with pytest.raises(RegistryError, match=r"no eager quantization any more: .*; choose the scheme xnnpack"):
        scheme()(LAYERS, model, batches)


def test_the_engine_is_put_back_after_an_error(model: Any, batches: list[torch.Tensor]) -> None:
    before = torch.backends.quantized.engine
    with pytest.raises(RegistryError, match="every layer would stay float"):
        scheme()(QnnpackSpec(float_modules=("*",)), model, batches)
    assert torch.backends.quantized.engine == before
    made = scheme()(LAYERS, model, batches[:1])
    with pytest.raises(RuntimeError):
        made(torch.zeros(1, 5, 48, 48))
    assert torch.backends.quantized.engine == before


@pytest.mark.parametrize("spec", [LAYERS, ALL], ids=["layers", "all"])
def test_the_file_answers_as_the_model(
    spec: QnnpackSpec, model: Any, batches: list[torch.Tensor], tmp_path: Path
) -> None:
    own = registry.default_registry()
    made = scheme()(spec, model, batches)
    found = exported(own, made, target_spec(own, "torchscript"), tmp_path / "model.ts")
    assert found.artefact is not None
    assert found.artefact.quantization == spec.model_dump(mode="json")
    before = torch.backends.quantized.engine
    loaded = own.load_artefact(tmp_path / "model.ts")
    for batch in (batches[0], batches[1][:1]):
        assert torch.equal(loaded(batch), made(batch))
    assert torch.backends.quantized.engine == before


def test_only_the_backbone_of_a_detector_is_rounded() -> None:
    torch.manual_seed(0)
    detector: Any = registry.build("fasterrcnn_digits_128").eval()
    images = [[torch.rand(3, 96, 128)], [torch.rand(3, 128, 96)]]
    made = scheme()(LAYERS, detector, images)
    assert {name.partition(".")[0] for name in made.float_layers} == {"rpn", "roi_heads"}
    assert between(made) == [name for name in layers_of(detector) if name.startswith("backbone.")]
    (found,) = made([torch.rand(3, 100, 120)])
    assert set(found) == {"boxes", "labels", "scores"}
    with torch.no_grad():
        wanted = detector.backbone(torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0)))
        rounded = made.model.backbone(torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0)))
    for key, value in wanted.items():
        assert decibels(value, rounded[key]) > 12
    with pytest.raises(RegistryError, match="quantize it after training"):
        scheme().prepare(LAYERS, detector, images)
    with pytest.raises(RegistryError, match="operations=all is for classifiers of MobileNetV3"):
        scheme()(ALL, detector, images)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", "fcn_mobilenet_v3_large"]
)
def test_segmentation_models(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    own, segmenter = registry.default_registry(), lively(registry.build(name))
    image = pictures(2, 3, 96, 96)
    made = scheme()(LAYERS, segmenter, [image])
    with torch.no_grad():
        wanted, found = segmenter(image), made(image)
    assert set(wanted) == set(found)
    assert decibels(wanted["out"], found["out"]) > 8
    assert not any(name.startswith("backbone") for name in made.float_layers)
    exported(own, made, target_spec(own, "torchscript"), tmp_path / "model.ts")
    loaded = own.load_artefact(tmp_path / "model.ts")
    assert torch.equal(loaded(image)["out"], found["out"])


def rules(spec: QnnpackSpec, name: str, *overrides: str) -> list[tuple[str, tuple[Any, ...]]]:
    return [(each.rule, each.path) for each in spec.check_model(registry.load_spec(name, overrides=list(overrides)))]


def test_misfits_are_told_without_torch() -> None:
    assert rules(ALL, "lraspp_mobilenet_v3_large") == [("REG477", ("operations",))]
    assert rules(LAYERS, "lraspp_mobilenet_v3_large") == []
    assert rules(ALL, "fasterrcnn_digits_128") == [("REG477", ("operations",))]
    assert rules(ALL, SMALL, "backbone.activation=silu") == [("REG478", ("operations",))]
    assert rules(ALL, SMALL, "backbone.squeeze_excitation.activation=silu") == [("REG478", ("operations",))]
    assert rules(LAYERS, SMALL, "backbone.activation=silu") == []
    assert rules(ALL, SMALL) == []


def test_everything_rounded_is_refused_where_a_module_has_no_integers(batches: list[torch.Tensor]) -> None:
    own = registry.build(SMALL, overrides=["backbone.activation=silu"]).eval()
    with pytest.raises(RegistryError, match=r"a SiLU at `features.0.2`; write quantization.operations=layers"):
        scheme()(ALL, own, batches)


@pytest.mark.slow
def test_photographs_are_known_as_before(shared_data: Path, tmp_path: Path) -> None:
    """Of 128 photographs, the float model gets 84 right."""
    pil = pytest.importorskip("PIL.Image")
    weights = next((shared_data / "weights_mbv3_small_torchvision").glob("*.safetensors"))
    network: Any = registry.build("mobilenet_v3_small", weights=str(weights)).eval()
    task: Any = registry.default_registry().task(network.spec)
    folder = shared_data / "caltech101_imagenet"
    rows = list(csv.DictReader((folder / "labels.csv").open(encoding="utf-8")))
    images = torch.stack([task.preprocess(pil.open(folder / "images" / row["file"]).convert("RGB")) for row in rows])
    truth = torch.tensor([int(row["index"]) for row in rows])
    made = scheme()(QnnpackSpec(), network, list(images.split(16)))
    with torch.no_grad():
        hits = [
            int((torch.cat([each(batch) for batch in images.split(16)]).argmax(1) == truth).sum())
            for each in (network, made)
        ]
    assert hits[0] == 84
    assert hits[1] >= 78
    assert len(made.float_layers) < 0.6 * len(layers_of(network))
    own = registry.default_registry()
    found = exported(own, made, target_spec(own, "torchscript"), tmp_path / "model.ts")
    assert found.size < 0.7 * sum(each.nbytes for each in network.state_dict().values())


@pytest.mark.slow
def test_the_verb_trains_and_writes(dark_and_bright: Callable[[int, int], Path], tmp_path: Path) -> None:
    from click.testing import CliRunner
    from registry_quantization.verb.command import quantize
    from registry_training.command_evaluate import evaluate

    torch.manual_seed(0)
    data = dark_and_bright(12, 5)
    own = lively(
        registry.build("mobilenet_v3_digits", overrides=["head.num_classes=2", "task.categories=[bright, dark]"])
    )
    registry.default_registry().save(own, tmp_path / "model.safetensors")
    words = [tmp_path / "model.safetensors", "--data", f"{data}/", "--scheme", "qnnpack", "-o", tmp_path / "m.ts"]
    words += ["--qat", "digits_qat", "--run", tmp_path / "run", "--workers", "0", "--format", "json"]
    for text in ("quantization.least_signal=null", "recipe.epochs=2", "recipe.batch_size=6",
                 "recipe.quantization_aware={observer_epochs: 1, batch_norm_epochs: 1}"):  # fmt: skip
        words += ["--set", text]
    result = CliRunner().invoke(quantize, list(map(str, words)))
    assert result.exception is None, result.output
    told = json.loads(result.stdout)
    assert set(told["figures"]) == {"float", "ptq", "qat"}
    found = CliRunner().invoke(evaluate, [str(tmp_path / "m.ts"), "--data", f"{data}/", "--format", "json"])
    assert json.loads(found.stdout)["figures"] == told["figures"][told["written"]]


@pytest.mark.slow
def test_the_verb_reads_weights_of_a_training_elsewhere(
    dark_and_bright: Callable[[int, int], Path], qnnpack: Any, tmp_path: Path
) -> None:
    """A float model that calls every picture bright, and torchvision's own after a training that tells them apart."""
    from click.testing import CliRunner
    from PIL import Image
    from registry_quantization.verb.command import quantize

    data, own = dark_and_bright(12, 5), registry.default_registry()
    settings = ["head.num_classes=2", "task.categories=[bright, dark]", "task.preprocessing={resize: 64, crop: 64}"]
    torch.manual_seed(0)
    plain = lively(registry.build("quantized_mobilenet_v3_large", overrides=settings))
    task = own.task(plain.spec)

    def read(split: str) -> tuple[torch.Tensor, torch.Tensor]:
        files = [sorted((data / split / name).glob("*.png")) for name in ("bright", "dark")]
        images = [task.preprocess(Image.open(file).convert("RGB")) for each in files for file in each]
        return torch.stack(images), torch.arange(2).repeat_interleave(len(files[0]))

    images, classes = read("train")
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        plain.train()(images)  # norms of these pictures, so that every layer tells them apart
    plain.eval()
    other, _ = trained(plain, qnnpack)
    last, seen = other.eval().classifier[3], []
    hook = last.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        qnnpack(lambda: other(images))
        apart = seen[0][classes == 0].mean(0) - seen[0][classes == 1].mean(0)
        last.weight.copy_(torch.stack([apart, -apart]) / apart.norm())
        middle = (seen[0] @ last.weight[0]).mean()
        last.bias.copy_(torch.stack([-middle, middle]))
        qnnpack(lambda: other(images))  # ranges of the new weights
    hook.remove()
    state = copy.deepcopy(other.state_dict())
    images, classes = read("val")
    wanted = qnnpack(lambda: eager.convert(other, inplace=False)(images))
    assert (wanted.argmax(1) == classes).sum() > 5
    with torch.no_grad():
        plain.classifier[3].weight.zero_()
        plain.classifier[3].bias.copy_(torch.tensor([1.0, 0.0]))
    torch.save(plain.state_dict(), tmp_path / "float.pth")
    torch.save(state, tmp_path / "trained.pth")
    words = ["quantized_mobilenet_v3_large", "--weights", tmp_path / "float.pth", "--qat-weights", tmp_path / "trained.pth",
             "--data", f"{data}/", "-o", tmp_path / "m.ts", "--format", "json"]  # fmt: skip
    for text in settings:
        words += ["--set", text]
    result = CliRunner().invoke(quantize, list(map(str, words)))
    assert result.exception is None, result.output
    told = json.loads(result.stdout)
    assert (told["pictures"], told["calibrated"], told["written"], told["notes"]) == (10, 24, "qat", [])
    hits = {name: round(10 * each["top1"]) for name, each in told["figures"].items()}
    assert hits == {"float": 5, "ptq": 5, "qat": int((wanted.argmax(1) == classes).sum())}
    assert torch.equal(own.load_artefact(tmp_path / "m.ts")(images), wanted)


@pytest.mark.slow
def test_the_scheme_does_what_every_part_must() -> None:
    check_part("quantization", "qnnpack")


def test_threads_do_not_take_each_others_engine() -> None:
    import threading

    from registry_quantization.eager.engine import engine

    usual = torch.backends.quantized.engine
    entered, seen = threading.Event(), []

    def other() -> None:
        entered.set()
        with engine("qnnpack"):
            seen.append(torch.backends.quantized.engine)

    thread = threading.Thread(target=other)
    with engine("qnnpack"):
        thread.start()
        entered.wait()
        thread.join(0.2)
        assert seen == []  # it waits
    thread.join()
    assert seen == ["qnnpack"]
    assert torch.backends.quantized.engine == usual
