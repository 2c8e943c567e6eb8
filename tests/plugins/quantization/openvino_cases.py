"""The scheme `openvino`: what NNCF rounds, what stays float, and that the file of it answers as the module does."""

from __future__ import annotations

import copy
import csv
import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from registry_export.engines import EngineModule
from registry_export.flow import exported, target_spec
from registry_quantization.openvino_nncf.agreement import Agreement
from registry_quantization.openvino_nncf.layers import name_operations
from registry_quantization.signal import decibels, kind_of, layers_of
from registry_quantization.specs import OpenVINOSpec
from torch import nn

import registry
from registry.errors import MissingExtraError, RegistryError

openvino = pytest.importorskip("openvino")
if importlib.util.find_spec("nncf") is None:  # its import leaves traces, which the scheme's own does not
    pytest.skip("needs nncf, of the extra `quantize`", allow_module_level=True)

#: Every layer that may be rounded is.
ALL = OpenVINOSpec(least_signal=None, half_range=False)


def _stirred(model: Any) -> Any:
    """A model with batch norms that are not the identity."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
                module.weight.uniform_(0.5, 1.5)
    return model.eval()


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return _stirred(registry.build("mobilenet_v3_digits_48"))


@pytest.fixture(scope="module")
def batches() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(8, 1, 48, 48, generator=generator) for _ in range(2)]


@pytest.fixture(scope="module")
def made(model: Any, batches: list[torch.Tensor]) -> EngineModule:
    return quantized(ALL, model, batches)


def quantized(spec: OpenVINOSpec, model: Any, batches: Any) -> Any:
    return registry.default_registry().host.target(spec)(spec, model, batches)


def graph_of(made: EngineModule) -> Any:
    return openvino.Core().read_model(made.data, made.weights)


def rounded(made: EngineModule) -> tuple[int, int, int]:
    """Operations with weights that take rounded inputs and integer weights; those that take neither; and all."""
    both = neither = count = 0
    for operation in graph_of(made).get_ops():
        if operation.get_type_name() not in ("Convolution", "GroupConvolution", "MatMul"):
            continue
        source = operation.input_value(1).get_node()
        while source.get_type_name() in ("Multiply", "Convert", "Reshape"):
            source = source.input_value(0).get_node()
        assert source.get_type_name() == "Constant"
        weight = source.get_element_type().get_type_name() == "i8"
        inputs = operation.input_value(0).get_node().get_type_name() == "FakeQuantize"
        both += weight and inputs
        neither += not weight and not inputs
        count += 1
    return both, neither, count


def rounders(made: EngineModule) -> int:
    return sum(operation.get_type_name() == "FakeQuantize" for operation in graph_of(made).get_ops())


def test_layers_become_integers_and_the_model_stays(
    made: EngineModule, model: Any, batches: list[torch.Tensor]
) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    again = quantized(ALL, model, batches)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    count = len(layers_of(model))
    assert count > 20
    assert rounded(made) == (count, 0, count)
    assert made.float_layers == ()
    assert made.spec is model.spec
    assert made.quantization is ALL
    with torch.no_grad():
        wanted, found = model(batches[0]), made(batches[0])
        torch.testing.assert_close(made(batches[0][:1]), found[:1], rtol=1e-3, atol=1e-4)
        assert torch.equal(again(batches[0]), found)
        assert torch.equal(pickle.loads(pickle.dumps(made))(batches[1]), made(batches[1]))
    assert 20 < decibels(wanted, found) < 100
    assert len(made.weights) < 0.5 * sum(4 * value.numel() for value in model.parameters())
    with pytest.raises(RegistryError, match="cannot be trained"):
        made.train()


def test_what_a_pattern_names_and_what_is_depthwise_stays_float(model: Any, batches: list[torch.Tensor]) -> None:
    spec = ALL.model_copy(update={"float_modules": ("classifier.*",), "depthwise": False})
    found = quantized(spec, model, batches)
    layers = layers_of(model)
    depthwise = {name for name, layer in layers.items() if kind_of(layer) == "depthwise"}
    assert depthwise
    wanted = [name for name in layers if name in depthwise or name.startswith("classifier.")]
    assert found.float_layers == tuple(wanted)
    assert rounded(found) == (len(layers) - len(wanted), len(wanted), len(layers))


def test_other_operations_are_rounded_where_the_scheme_takes_all(
    made: EngineModule, model: Any, batches: list[torch.Tensor]
) -> None:
    found = quantized(ALL.model_copy(update={"operations": "all"}), model, batches)
    assert found.float_layers == ()
    taking = {
        target.get_node().get_type_name()
        for operation in graph_of(found).get_ops()
        if operation.get_type_name() == "FakeQuantize"
        for target in operation.output(0).get_target_inputs()
    }
    assert "Multiply" in taking
    with torch.no_grad():
        assert decibels(model(batches[0]), found(batches[0])) > 15


def test_settings_reach_the_graph(made: EngineModule, model: Any, batches: list[torch.Tensor]) -> None:
    def least_of_ranges(one: EngineModule) -> list[float]:
        found = [each for each in graph_of(one).get_ordered_ops() if each.get_type_name() == "FakeQuantize"]
        return [
            float(each.input_value(1).get_node().data.min() / each.input_value(2).get_node().data.max())
            for each in found
        ]

    def product(one: EngineModule) -> Any:
        """Of the integers and the scales of the weights of the first convolution."""
        graph = graph_of(one).get_ordered_ops()
        return next(each for each in graph if each.get_type_name() == "Convolution").input_value(1).get_node()

    def scales(one: EngineModule) -> int:
        return int(product(one).input_value(1).get_node().data.size)

    def greatest(one: EngineModule) -> int:
        return int(abs(product(one).input_value(0).get_node().input_value(0).get_node().data.astype("int32")).max())

    changed = quantized(
        ALL.model_copy(update={"preset": "performance", "per_channel": False, "ranges": "min_max"}), model, batches
    )
    signed = [-1.05 < each < -0.95 or each >= 0 for each in least_of_ranges(changed)]
    assert all(signed)
    assert not all(-1.05 < each < -0.95 or each >= 0 for each in least_of_ranges(made))
    assert scales(changed) == 1
    assert scales(made) == layers_of(model)["features.0.0"].weight.shape[0]
    half = quantized(ALL.model_copy(update={"half_range": True, "bias_correction": "none"}), model, batches)
    assert greatest(half) <= 64 < 127 <= greatest(made)


def test_the_file_of_a_quantized_model_answers_as_it_does(
    made: EngineModule, batches: list[torch.Tensor], tmp_path: Path
) -> None:
    own = registry.default_registry()
    found = exported(own, made, target_spec(own, "openvino"), tmp_path / "model.xml")
    assert found.artefact is not None
    assert found.artefact.quantization == ALL.model_dump(mode="json")
    assert found.verification is not None
    loaded = own.load_artefact(tmp_path / "model.xml")
    with torch.no_grad():
        torch.testing.assert_close(loaded(batches[0]), made(batches[0]), rtol=1e-5, atol=1e-5)


def test_accuracy_control_puts_layers_back(batches: list[torch.Tensor]) -> None:
    torch.manual_seed(0)
    model = _stirred(registry.build("mobilenet_v3_digits_48"))
    last = list(layers_of(model).values())[-1]
    with torch.no_grad():  # classes that are near each other, so that rounding changes answers
        last.bias -= torch.cat([model(batch) for batch in batches]).mean(0)  # type: ignore[operator, assignment]  # a tensor
    few = ("features.0.0", "features.2.block.0.0", "features.3.block.0.0", "features.6.0")
    coarse = ALL.model_copy(
        update={
            "float_modules": tuple(name for name in layers_of(model) if name not in few),
            "per_channel": False,
            "ranges": "min_max",
            "bias_correction": "none",
        }
    )

    def agreement(one: Any) -> float:
        with torch.no_grad():
            same = torch.cat([one(batch).argmax(1) == model(batch).argmax(1) for batch in batches])
        return float(same.float().mean())

    free = quantized(coarse, model, batches)
    assert not set(few) & set(free.float_layers)
    lost = 1 - agreement(free)
    assert lost > 0
    kept = quantized(coarse.model_copy(update={"accuracy_drop": lost / 2}), model, batches)
    back = set(few) & set(kept.float_layers)
    assert 0 < len(back) < len(few)
    assert set(kept.float_layers) == set(free.float_layers) | back
    assert 1 - agreement(kept) <= lost / 2
    assert rounded(kept)[0] == len(few) - len(back)


def test_answers_agree_where_the_greatest_value_has_one_index() -> None:
    def engine(values: torch.Tensor) -> Any:
        return [values.numpy()]

    same = torch.tensor([[0.0, 3.0, 1.0]])
    other = torch.tensor([[5.0, 3.0, 1.0]])
    agreement = Agreement(engine, [same, same, other, other])
    agreement.items = [(found, wanted) for found, (_, wanted) in zip([same, other, other, other], agreement.items)]  # noqa: B905
    assert agreement(engine, agreement.items) == (0.75, [1.0, 0.0, 1.0, 1.0])


class _Twins(nn.Module):
    """Layers with the same weights, layers called twice, and a batch norm that turns a channel round."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.second = copy.deepcopy(self.first)
        self.third = nn.Conv2d(3, 3, 3)
        self.unused = nn.Conv2d(3, 3, 3)
        with torch.no_grad():
            self.norm.weight.copy_(torch.tensor([-2.0, 0.5, 0.0]))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = self.second(self.norm(self.first(image)).relu())
        return self.third(self.third(found).relu())  # type: ignore[no-any-return]  # torch's own types


def test_operations_are_told_by_their_weights() -> None:
    torch.manual_seed(0)
    twins = _Twins().eval()
    graph = openvino.convert_model(twins, example_input=torch.rand(1, 3, 8, 8))
    layers = layers_of(twins)
    told = name_operations(graph, layers, {"first", "second", "third"})
    assert sorted(told.values()) == ["first", "second", "third", "third"]
    assert told["third"] == told["third#2"] == "third"
    assert {each.get_friendly_name() for each in graph.get_ops() if each.get_type_name() == "Convolution"} == set(told)
    twins.norm = nn.Identity()  # type: ignore[assignment]  # so that nothing but names tells the first from the second
    graph = openvino.convert_model(twins, example_input=torch.rand(1, 3, 8, 8))
    for index, operation in enumerate(graph.get_ops()):
        operation.set_friendly_name(f"operation{index}")
    with pytest.raises(RegistryError, match="first, second have the same weights"):
        name_operations(graph, layers, {"first"})
    assert sorted(name_operations(graph, layers, {"first", "second"}).values()) == ["first", "second", "third", "third"]


class _Hidden(nn.Conv2d):
    """Computes its weights anew from what it is given."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(image, self.weight * (1 + image.mean()), self.bias)


def test_a_layer_that_is_not_found_is_an_error(model: Any, batches: list[torch.Tensor]) -> None:
    changed = copy.deepcopy(model)
    old = changed.features[0][0]
    new = _Hidden(1, old.out_channels, 3, stride=1, bias=False)
    changed.features[0][0] = new
    with pytest.raises(RegistryError, match=r"1 layers of the .* were not found in OpenVINO's graph, `features.0.0`"):
        quantized(ALL, changed.eval(), batches)


@pytest.mark.parametrize(
    ("settings", "given", "told"),
    [
        ({}, list, "nothing was given to calibrate with"),
        ({"float_modules": ("*",)}, None, "every layer would stay float"),
        ({"float_modules": ("nothing.*",)}, None, "no module is called `nothing.*`"),
    ],
)
def test_what_makes_no_sense_is_refused(
    settings: dict[str, Any], given: Any, told: str, model: Any, batches: list[torch.Tensor]
) -> None:
    with pytest.raises(RegistryError) as error:
        quantized(ALL.model_copy(update=settings), model, batches if given is None else given())
    assert told in str(error.value)


def test_inputs_too_near_each_other_for_a_histogram_are_quantized_all_the_same(
    model: Any, batches: list[torch.Tensor]
) -> None:
    changed = copy.deepcopy(model)
    first = changed.features[3].block[2].fc1
    with torch.no_grad():  # what the second layer is given is 1, but for the last bits
        first.weight.mul_(1e-12)
        first.bias.copy_(torch.linspace(1, 1 + 1e-6, len(first.bias)))
    with pytest.raises(ValueError, match="Too many bins"):
        np.histogram(first.bias.detach().numpy(), 2048)
    made = quantized(ALL, changed, batches)
    assert rounded(made)[0] == len(layers_of(model))
    with torch.no_grad():
        assert decibels(changed(batches[0]), made(batches[0])) > 20


@pytest.mark.parametrize("package", ["nncf", "openvino"])
def test_a_missing_package_is_told(
    package: str, model: Any, batches: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError) as error:
        quantized(ALL, model, batches)
    assert error.value.extra == {"nncf": "quantize", "openvino": "openvino"}[package]
    assert str(error.value).startswith(f"quantizing for OpenVINO needs the package `{package}`")


def test_only_the_backbone_of_a_detector_is_rounded(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    detector = _stirred(registry.build("fasterrcnn_digits_128"))
    images = [[torch.rand(3, 96, 128)], [torch.rand(3, 128, 96)]]
    made = quantized(ALL, detector, images)
    assert {name.partition(".")[0] for name in made.float_layers} == {"rpn", "roi_heads"}
    backbone = sum(name.startswith("backbone.") for name in layers_of(detector))
    both, neither, count = rounded(made)
    assert both == backbone
    assert both + neither == count
    assert rounders(made) <= backbone
    (found,) = made([torch.rand(3, 100, 120)])
    assert set(found) == {"boxes", "labels", "scores"}
    with pytest.raises(RegistryError, match="no share of equal answers"):
        quantized(ALL.model_copy(update={"accuracy_drop": 0.1}), detector, images)


def test_misfits_are_told_before_anything_is_built() -> None:
    detector = registry.load_spec("fasterrcnn_digits_128")
    classifier = registry.load_spec("mobilenet_v3_digits_48")

    def rules(spec: OpenVINOSpec, model: Any) -> list[tuple[str, tuple[Any, ...]]]:
        return [(each.rule, tuple(each.path)) for each in spec.check_model(model)]

    assert rules(OpenVINOSpec(accuracy_drop=0.1), detector) == [("REG476", ("accuracy_drop",))]
    assert rules(OpenVINOSpec(bias_correction="full"), detector) == [("REG476", ("bias_correction",))]
    assert rules(OpenVINOSpec(), detector) == []
    assert rules(OpenVINOSpec(accuracy_drop=0.1, bias_correction="full"), classifier) == []


def test_importing_nncf_leaves_no_traces() -> None:
    """Loggers keep their class, torch its functions, and no figures are sent."""
    code = """
import logging, os, torch
from unittest.mock import MagicMock
from registry_quantization.openvino_nncf.package import nncf
import torch._dynamo
spaces = (torch, torch.nn.functional, torch.Tensor, torch.nn.Module, torch.nn.Conv2d, torch.nn.Linear)
before = [{name: id(value) for name, value in vars(space).items() if callable(value)} for space in spaces]
found = nncf()
import nncf.torch, nncf.telemetry.wrapper
assert logging.getLoggerClass() is logging.Logger
assert isinstance(nncf.telemetry.wrapper.telemetry, MagicMock)
assert "NNCF_CI" not in os.environ
for space, own in zip(spaces, before):
    for name, value in own.items():
        assert id(vars(space)[name]) == value, (space, name)
print("clean")
"""
    kept = {key: value for key, value in os.environ.items() if key != "NNCF_CI"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=kept)
    assert done.stdout.strip().endswith("clean"), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lraspp_mobilenet_v3_large", "deeplabv3_resnet50", "fcn_resnet50"])
def test_segmentation_models_are_rounded_whole(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = _stirred(registry.build(name))
    picture = torch.rand(1, 3, 128, 160)
    made = quantized(ALL, model, [picture])
    ran = len(layers_of(model)) - sum(each.startswith("aux") for each in layers_of(model))
    assert made.float_layers == ()
    assert rounded(made)[0] >= ran
    with torch.no_grad():
        assert decibels(model(picture)["out"], made(picture)["out"]) > 10
    own = registry.default_registry()
    exported(own, made, target_spec(own, "openvino"), tmp_path / "model.xml")


@pytest.fixture(scope="module")
def photographs(shared_data: Path) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """MobileNetV3-Small with real weights, photographs (128, 3, 224, 224) and their classes."""
    pil = pytest.importorskip("PIL.Image")
    weights = next((shared_data / "weights_mbv3_small_torchvision").glob("*.safetensors"))
    model = registry.build("mobilenet_v3_small", weights=str(weights)).eval()
    task = registry.default_registry().task(model.spec)
    folder = shared_data / "caltech101_imagenet"
    with (folder / "labels.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    pictures = [task.preprocess(pil.open(folder / "images" / row["file"]).convert("RGB")) for row in rows]
    return model, torch.stack(pictures), torch.tensor([int(row["index"]) for row in rows])


def _hits(model: Any, pictures: torch.Tensor, classes: torch.Tensor) -> int:
    with torch.no_grad():
        found = torch.cat([model(batch).argmax(1) for batch in pictures.split(16)])
    return int((found == classes).sum())


@pytest.mark.slow
def test_photographs_are_told_as_in_float(photographs: tuple[Any, torch.Tensor, torch.Tensor]) -> None:
    model, pictures, classes = photographs
    assert _hits(model, pictures, classes) == 84
    made = quantized(OpenVINOSpec(), model, pictures.split(16))
    assert _hits(made, pictures, classes) >= 81
