"""The scheme `onnx`: which layers are integers in the graph, that outputs stay close, and files and photographs."""

from __future__ import annotations

import csv
import importlib
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from registry_export.common import feed
from registry_export.flow import exported, target_spec
from registry_export.onnx_files import graph
from registry_export.specs import OnnxSpec as OnnxTarget
from registry_quantization.onnx_runtime.effects import output_signals
from registry_quantization.onnx_runtime.layers import name_nodes, scope_of
from registry_quantization.onnx_runtime.ranges import find_ranges
from registry_quantization.onnx_runtime.rounding import plan
from registry_quantization.signal import decibels, kind_of, layers_of
from registry_quantization.specs import OnnxSpec
from torch import nn

import registry
from registry.errors import MissingExtraError, RegistryError

onnx: Any = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

#: Settings under which no layer stays float for its noise.
WHOLE: dict[str, Any] = {"least_signal": None, "least_output_signal": None}


def lively(name: str, **overrides: Any) -> Any:
    """A model of random weights with batch norms that are not the identity."""
    torch.manual_seed(0)
    built: Any = registry.build(name, overrides=overrides or None)
    with torch.no_grad():
        for module in built.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]  # every norm here has one
                module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]  # every norm here has one
                module.weight.uniform_(0.5, 1.5)
    return built.eval()


@pytest.fixture(scope="module")
def model() -> Any:
    return lively("mobilenet_v3_digits_48")


@pytest.fixture(scope="module")
def batches() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(4, 1, 48, 48, generator=generator) for _ in range(2)]


def quantized(spec: OnnxSpec, model: nn.Module, batches: Any) -> Any:
    return registry.default_registry().host.target(spec)(spec, model, batches)


def integer_weights(data: bytes) -> list[Any]:
    """Weights of convolutions and products that are dequantized integers, in the order of the graph."""
    found = onnx.load_from_string(data).graph
    made = {name: node for node in found.node for name in node.output}
    constants = {each.name: each for each in found.initializer}
    weights = []
    for node in found.node:
        source = made.get(node.input[1]) if node.op_type in ("Conv", "Gemm", "MatMul") else None
        if source is not None and source.op_type == "DequantizeLinear":
            integers, scale = (onnx.numpy_helper.to_array(constants[name]) for name in source.input[:2])
            assert integers.dtype == np.int8
            weights.append((integers, scale, node))
    return weights


def float_weights(data: bytes) -> list[Any]:
    """Weights of convolutions and products that are float constants."""
    found = onnx.load_from_string(data).graph
    constants = {each.name: each for each in found.initializer}
    return [
        onnx.numpy_helper.to_array(constants[node.input[1]])
        for node in found.node
        if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in constants
    ]


def test_all_layers_become_integers_and_the_model_stays(model: Any, batches: list[torch.Tensor]) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    spec = OnnxSpec(**WHOLE)
    made = quantized(spec, model, batches)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert len(integer_weights(made.data)) == len(layers_of(model))
    assert float_weights(made.data) == []
    assert (made.spec, made.quantization, made.float_layers) == (model.spec, spec, ())
    with torch.no_grad():
        wanted, found = model(batches[0]), made(batches[0])
    assert made(batches[0][:1]).shape == (1, 10)
    assert 10 < decibels(wanted, found) < 100
    again = pickle.loads(pickle.dumps(made))
    assert torch.equal(again(batches[1]), made(batches[1]))
    assert (again.float_layers, again.quantization) == (made.float_layers, spec)
    assert quantized(spec, model, batches).data == made.data


def test_the_integers_are_those_of_the_chosen_layers(batches: list[torch.Tensor]) -> None:
    """A model without batch norms keeps its weights, so that each integer weight can be held against its layer."""
    torch.manual_seed(0)
    plain = lively("mobilenet_v3_digits_48")
    for parent in list(plain.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.Identity())
    spec = OnnxSpec(**WHOLE, float_modules=("classifier.*", "features.2*"), depthwise=False)
    made = quantized(spec, plain, batches)
    layers = layers_of(plain)
    left = {
        name
        for name, layer in layers.items()
        if name.startswith(("classifier.", "features.2")) or kind_of(layer) == "depthwise"
    }
    assert set(made.float_layers) == left
    rounded = integer_weights(made.data)
    wanted = [layer.weight.detach().numpy() for name, layer in layers.items() if name not in left]  # type: ignore[operator]  # a tensor
    assert len(rounded) == len(wanted)
    for (integers, scale, _), weight in zip(rounded, wanted, strict=True):
        peaks = np.abs(weight).reshape(len(weight), -1).max(1)
        np.testing.assert_allclose(scale, peaks / 127, rtol=1e-2)
        steps = scale.reshape(-1, *[1] * (weight.ndim - 1))
        assert np.abs(integers * steps - weight).max() <= scale.max() / 2 * 1.01
    kept = float_weights(made.data)
    assert sorted(each.tobytes() for each in kept) == sorted(
        layers[name].weight.detach().numpy().tobytes()  # type: ignore[operator]  # a tensor
        for name in left
    )


def test_float_nodes_take_no_rounded_tensors_but_those_of_quantized_layers(
    model: Any, batches: list[torch.Tensor]
) -> None:
    """A sum takes what a block was given as it is, though the block's first layer takes it rounded."""
    made = quantized(OnnxSpec(**WHOLE, float_modules=("*.block.2.*",)), model, batches)
    found = onnx.load_from_string(made.data).graph
    rounded_by = {node.output[0]: node.input[0] for node in found.node if node.op_type == "QuantizeLinear"}
    assert len(set(rounded_by.values())) == len(rounded_by)  # no tensor is rounded twice
    back = {
        node.output[0]: rounded_by[node.input[0]]
        for node in found.node
        if node.op_type == "DequantizeLinear" and node.input[0] in rounded_by
    }
    producers = {name: node.op_type for node in found.node for name in node.output}
    for node in found.node:
        for name in node.input:
            if name in back and node.op_type not in ("Conv", "Gemm"):
                assert producers[back[name]] in ("Conv", "Relu", "Clip")


@pytest.mark.parametrize(
    "settings",
    [
        {"ranges": "quantile"},
        {"ranges": "min_max", "symmetric": True},
        {"symmetric": True, "per_channel": False},
        {"operations": "all", "reduce_range": True},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_settings(settings: dict[str, Any], model: Any, batches: list[torch.Tensor]) -> None:
    made = quantized(OnnxSpec(**WHOLE, **settings), model, batches)
    weights = integer_weights(made.data)
    assert len(weights) == len(layers_of(model))
    per_channel = settings.get("per_channel", True)
    assert all(scale.size == (len(integers) if per_channel else 1) for integers, scale, node in weights)
    peak = max(np.abs(integers.astype(int)).max() for integers, _, _ in weights)
    assert peak == (64 if settings.get("reduce_range") else 127)
    found = onnx.load_from_string(made.data).graph
    zeros = [each for node in found.node if node.op_type == "QuantizeLinear" for each in node.input[2:]]
    values = {each.name: onnx.numpy_helper.to_array(each) for each in found.initializer}
    assert {str(values[name].dtype) for name in zeros} == {"int8" if settings.get("symmetric") else "uint8"}
    if settings.get("symmetric"):
        assert all((values[name] == 0).all() for name in zeros)
    sums = [node for node in found.node if node.op_type == "Add"]
    back = {node.output[0] for node in found.node if node.op_type == "DequantizeLinear"}
    assert sums
    if settings.get("operations") == "all":
        assert all(name in back for node in sums for name in node.input)
    with torch.no_grad():
        assert decibels(model(batches[0]), made(batches[0])) > 8


def test_layers_that_spoil_the_outputs_stay_float() -> None:
    """A tensor that is 100 and a little: eight bits leave nothing of the little, which is all that the outputs show."""

    class Shown(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = nn.Conv2d(1, 4, 1), nn.Conv2d(1, 4, 1), nn.Conv2d(8, 8, 1)
            with torch.no_grad():
                self.first.weight.fill_(0.1)
                self.first.bias.fill_(100.0)  # type: ignore[union-attr]  # it has one
            self.spec = registry.load_spec("mobilenet_v3_digits_48")

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            first = self.first(images)
            both = torch.cat([(first - first.mean((2, 3), keepdim=True)) * 10, self.second(images)], 1)
            made: torch.Tensor = self.third(both)
            return made

    torch.manual_seed(0)
    model, batch = Shown().eval(), torch.randn(8, 1, 48, 48) + 0.5
    assert quantized(OnnxSpec(least_output_signal=None), model, [batch]).float_layers == ()
    made = quantized(OnnxSpec(), model, [batch])
    assert made.float_layers == ("first",)
    assert len(integer_weights(made.data)) == 2
    with pytest.raises(RegistryError, match=r"every layer would stay float.*least_output_signal"):
        quantized(OnnxSpec(least_output_signal=200), model, [batch])


def test_signal_of_the_outputs_is_that_of_the_rounding() -> None:
    """Of 0 to 255, whole steps are exact; a value of 100.4 is rounded to 100."""
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Mul", ["x", "two"], ["y"], "product")],
            "graph",
            [onnx.helper.make_tensor_value_info("x", 1, [2])],
            [onnx.helper.make_tensor_value_info("y", 1, [2])],
            [onnx.numpy_helper.from_array(np.array(2.0, dtype=np.float32), "two")],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=8,
    )
    picture = np.array([100.4, 255], dtype=np.float32)
    planned = plan(made.graph, [], ["product"])
    found = output_signals(onnx, made, planned, {"x": (0.0, 255.0)}, ["y"], [picture])
    wanted = 10 * np.log10((100.4**2 + 255**2) / 0.4**2)
    assert found["x"] == pytest.approx(wanted, abs=1e-2)


def _one_tensor() -> Any:
    return onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["x"], ["y"], "same")],
            "graph",
            [onnx.helper.make_tensor_value_info("x", 1, [None])],
            [onnx.helper.make_tensor_value_info("y", 1, [None])],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=8,
    )


def test_ranges_are_those_of_the_values() -> None:
    values = np.linspace(-1, 3, 4001, dtype=np.float32)
    wild = np.append(values, np.float32(40))
    everything, nothing = (-np.inf, np.inf), (-0.5, np.inf)

    def found(bounds: Any, method: Any, pictures: list[Any], *, around_zero: bool = False) -> Any:
        return find_ranges(onnx, _one_tensor(), {"y": bounds}, pictures, method, around_zero=around_zero)["y"]

    assert found(everything, "min_max", [values, wild]) == (-1, 40)
    assert found(nothing, "min_max", [values]) == (-0.5, 3)
    assert found(everything, "min_max", [values], around_zero=True) == (-3, 3)
    assert found(everything, "quantile", [values] * 3 + [wild])[1] == pytest.approx(3, abs=0.1)
    assert found(everything, "min_max", [np.zeros(3, dtype=np.float32)]) == (0, 0)


def test_ranges_on_a_histogram_are_those_of_least_error() -> None:
    values = np.random.default_rng(0).normal(size=60_000).astype(np.float32) ** 3

    def error(low: float, high: float) -> float:
        scale = (high - low) / 255
        zero = round(-low / scale)
        return float(
            (((np.rint(values / scale) + zero).clip(0, 255) - zero) * scale - values).astype(float).__pow__(2).sum()
        )

    whole = (float(values.min()), float(values.max()))
    found = find_ranges(onnx, _one_tensor(), {"y": (-np.inf, np.inf)}, [values], "histogram", around_zero=False)["y"]
    assert whole[0] < found[0] < 0 < found[1] < whole[1]
    others = [(whole[0] * below, whole[1] * above) for below in (1, 0.75, 0.5, 0.25) for above in (1, 0.75, 0.5, 0.25)]
    assert error(*found) <= 1.01 * min(error(*other) for other in others)


def test_ranges_before_a_hard_swish_leave_out_what_it_throws_away() -> None:
    """A hard swish is a node, or a hard sigmoid and a product; what something else takes too keeps all of its values."""
    nodes = [onnx.helper.make_node("Conv", ["x", f"w{index}"], [f"c{index}"], f"conv{index}") for index in range(4)]
    nodes += [
        onnx.helper.make_node("HardSwish", ["c0"], ["y0"]),
        onnx.helper.make_node("HardSigmoid", ["c1"], ["s1"]),
        onnx.helper.make_node("Mul", ["c1", "s1"], ["y1"]),
        onnx.helper.make_node("HardSigmoid", ["c2"], ["y2"]),
        onnx.helper.make_node("HardSwish", ["c3"], ["s3"]),
        onnx.helper.make_node("Add", ["c3", "s3"], ["y3"]),
    ]
    planned = plan(onnx.helper.make_graph(nodes, "graph", [], []), [f"conv{index}" for index in range(4)], [])
    inf = float("inf")
    assert planned.bounds == {
        "x": (-inf, inf),
        "c0": (-3, inf),
        "c1": (-3, inf),
        "c2": (-3, 3),
        "c3": (-inf, inf),
    }
    assert planned.inputs == {"x"}


@pytest.mark.parametrize("exporter", ["trace", pytest.param("export", marks=pytest.mark.slow)])
def test_nodes_are_known_by_names_where_weights_are_the_same(exporter: str, batches: list[torch.Tensor]) -> None:
    same = lively("mobilenet_v3_digits_48")
    layers = layers_of(same)
    with torch.no_grad():
        for layer in layers.values():
            layer.weight.fill_(0.01)  # type: ignore[operator]  # a tensor
    spec = OnnxTarget()
    found = onnx.load_from_string(graph(spec, same, feed(spec, same, batches[0]), exporter))
    told = name_nodes(onnx, found.graph, layers, list(layers)[:5], list(layers))
    assert list(told.values()) == list(layers)  # nodes come in the order in which layers are called


def test_a_layer_that_is_not_found_or_not_told_apart_is_an_error() -> None:
    weight = np.ones((2, 2), dtype=np.float32)

    def made(name: str) -> Any:
        return onnx.helper.make_graph(
            [onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name)],
            "graph",
            [onnx.helper.make_tensor_value_info("x", 1, [1, 2])],
            [onnx.helper.make_tensor_value_info("y", 1, [1, 2])],
            [onnx.numpy_helper.from_array(weight, "w")],
        )

    one, two, other = (nn.Linear(2, 2, bias=False) for _ in range(3))
    with torch.no_grad():
        one.weight.fill_(1)
        two.weight.fill_(1)
        other.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    with pytest.raises(
        RegistryError, match=r"1 layers of the model were not found in its ONNX graph, `other` the first"
    ):
        name_nodes(onnx, made("n"), {"one": one, "other": other}, ["other"], ["one", "other"])
    with pytest.raises(RegistryError, match=r"the layers one, two have the same weights.*cannot be told apart"):
        name_nodes(onnx, made("n"), {"one": one, "two": two}, ["two"], ["two"])
    assert name_nodes(onnx, made("/model/two/MatMul"), {"one": one, "two": two}, ["two"], ["two"]) == {
        "/model/two/MatMul": "two"
    }


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("/model/features/features.0/features.0.1/Conv", "features.0.1"),
        ("/model/features/features.1/block/block.2/fc1/Conv_1", "features.1.block.2.fc1"),
        ("/model/rpn/head/conv/conv.0/conv.0.0_1/Conv", "rpn.head.conv.0.0"),
        ("/model/Add", ""),
        ("HardSigmoid#3", ""),
    ],
)
def test_names_of_nodes_tell_modules(name: str, scope: str) -> None:
    assert scope_of(SimpleNamespace(name=name, metadata_props=[])) == scope


@pytest.mark.parametrize(
    ("settings", "given", "told"),
    [
        ({}, [], "nothing was given to calibrate with"),
        ({"float_modules": ("nothing.*",)}, None, "no module is called `nothing.*`"),
        ({"float_modules": ("*",)}, None, "every layer would stay float"),
    ],
)
def test_what_makes_no_sense_is_refused(
    settings: dict[str, Any], given: Any, told: str, model: Any, batches: list[torch.Tensor]
) -> None:
    with pytest.raises(RegistryError) as error:
        quantized(OnnxSpec(**settings), model, batches if given is None else given)
    assert told in str(error.value)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_told(
    package: str, model: Any, batches: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.import_module

    def without(name: str) -> Any:
        if name == package:
            raise ImportError(name)
        return find(name)

    monkeypatch.setattr("registry_export.engines.importlib.import_module", without)
    with pytest.raises(
        MissingExtraError, match=rf"`{package}`; install it with: pip install 'vision-registry\[onnx\]'"
    ):
        quantized(OnnxSpec(), model, batches)


def test_a_recipe_with_simulated_rounding_is_refused() -> None:
    recipe = {
        "type": "training",
        "rate": 0.01,
        "epochs": 10,
        "batch_size": 2,
        "optimizer": {"kind": "sgd"},
        "schedule": {"kind": "constant"},
        "augmentation": None,
        "quantization_aware": {"observer_epochs": 4, "batch_norm_epochs": 3},
    }
    spec = registry.load_spec("mobilenet_v3_small", overrides={"recipe": recipe})
    assert [each.rule for each in OnnxSpec().check_model(spec)] == ["REG472"]
    assert list(OnnxSpec().check_model(registry.load_spec("mobilenet_v3_small"))) == []


def test_the_file_answers_as_the_module(model: Any, batches: list[torch.Tensor], tmp_path: Path) -> None:
    own = registry.default_registry()
    spec = OnnxSpec(**WHOLE)
    made = quantized(spec, model, batches)
    found = exported(own, made, target_spec(own, "onnx"), tmp_path / "model.onnx")
    assert found.artefact is not None
    assert found.artefact.quantization == spec.model_dump(mode="json")
    loaded = own.load_artefact(tmp_path / "model.onnx")
    assert torch.equal(loaded(batches[0]), made(batches[0]))
    assert (
        found.size < sum(each.numel() for each in model.parameters()) * 4 * 0.65
    )  # names and scales are a third of it


def _close(network: nn.Module, made: Any, images: torch.Tensor) -> None:
    with torch.no_grad():
        wanted, found = network(images)["out"], made(images)["out"]
    assert decibels(wanted, found) > 15
    assert (wanted.argmax(1) == found.argmax(1)).float().mean() > 0.8


def test_segmentation() -> None:
    network, images = lively("lraspp_mnv3_small"), torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    made = quantized(OnnxSpec(**WHOLE), network, [images])
    assert made.float_layers == ()
    assert len(integer_weights(made.data)) == len(layers_of(network))
    _close(network, made, images)
    assert made(torch.rand(1, 3, 96, 128))["out"].shape == (1, 21, 96, 128)  # not the size that it was calibrated on


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lraspp_mnv3_large", "deeplabv3_mnv3_large", "fcn_mnv3_large"])
def test_files_of_segmentation(name: str, tmp_path: Path) -> None:
    own, network = registry.default_registry(), lively(name)
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    made = quantized(OnnxSpec(), network, [images])
    _close(network, made, images)
    exported(own, made, target_spec(own, "onnx"), tmp_path / "model.onnx")
    assert torch.equal(own.load_artefact(tmp_path / "model.onnx")(images)["out"], made(images)["out"])


def test_the_backbone_of_a_detector(tmp_path: Path) -> None:
    torch.manual_seed(0)
    own, detector = registry.default_registry(), registry.build("fasterrcnn_digits_128").eval()
    images = [[torch.rand(3, 96, 128)], [torch.rand(3, 128, 96)]]
    made = quantized(OnnxSpec(**WHOLE), detector, images)
    layers = layers_of(detector)
    assert set(made.float_layers) == {name for name in layers if not name.startswith("backbone.")}
    assert len(integer_weights(made.data)) == sum(name.startswith("backbone.") for name in layers)
    kept = float_weights(made.data)
    for name in made.float_layers:
        weight = layers[name].weight.detach().numpy()  # type: ignore[operator]  # a tensor
        assert any(np.array_equal(each, weight) or np.array_equal(each, weight.T) for each in kept), name
    exported(own, made, target_spec(own, "onnx"), tmp_path / "model.onnx")
    loaded = own.load_artefact(tmp_path / "model.onnx")
    given = [torch.rand(3, 100, 120)]
    (found,), (wanted,) = loaded(given), made(given)
    assert set(found) == {"boxes", "labels", "scores"}
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


@pytest.mark.slow
def test_a_detector_with_noise_rules_and_everything_rounded(tmp_path: Path) -> None:
    own, detector = registry.default_registry(), lively("fasterrcnn_mnv3_small_320_fpn")
    images = [[torch.rand(3, 240, 320)]]
    made = quantized(OnnxSpec(scope="all", operations="all"), detector, images)
    assert integer_weights(made.data)
    exported(own, made, target_spec(own, "onnx"), tmp_path / "model.onnx")


@pytest.mark.slow
def test_photographs_are_known_as_before(shared_data: Path) -> None:
    """Of 128 photographs, the float model gets 84 right."""
    torch.manual_seed(0)
    weights = next((shared_data / "weights_mbv3_small_torchvision").glob("*.safetensors"))
    network: Any = registry.build("mobilenet_v3_small", weights=str(weights)).eval()
    task: Any = registry.default_registry().task(network.spec)
    folder = shared_data / "caltech101_imagenet"
    rows = list(csv.DictReader((folder / "labels.csv").open(encoding="utf-8")))
    from PIL import Image

    pictures = [task.preprocess(Image.open(folder / "images" / row["file"]).convert("RGB")) for row in rows]
    truth = torch.tensor([int(row["index"]) for row in rows])
    images = task.collate(pictures)
    made = quantized(OnnxSpec(), network, list(images.split(32)))
    with torch.no_grad():
        hits = int((network(images).argmax(1) == truth).sum())
    assert (len(rows), hits) == (128, 84)
    assert int((made(images).argmax(1) == truth).sum()) >= 81
    assert len(made.float_layers) < len(layers_of(network)) / 2
    assert made.size < sum(each.numel() for each in network.parameters()) * 4 / 2
