"""Schemes on a small classifier and detector: what is rounded, what stays float, and that the model is left alone."""

from __future__ import annotations

import copy
import math
import operator
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from registry_export.flow import exported, target_spec
from registry_quantization.choice import choose, inputs_of
from registry_quantization.pt2e.clipping import bounds_of
from registry_quantization.signal import decibels, kind_of, layer_signals, layers_of
from registry_quantization.specs import X86Spec, XnnpackSpec
from torch import nn

import registry
from registry.errors import RegistryError

pytest.importorskip("torchao")


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    built = registry.build("mobilenet_v3_digits_48")
    with torch.no_grad():  # batch norms that are not the identity
        for module in built.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
                module.weight.uniform_(0.5, 1.5)
    return built.eval()


@pytest.fixture(scope="module")
def batches() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(8, 1, 48, 48, generator=generator) for _ in range(4)]


def target(spec: Any) -> Any:
    return registry.default_registry().host.target(spec)


def rounded(made: Any) -> tuple[int, int]:
    """Layers with an integer weight, and all."""
    nodes = [
        node for node in made.graph.graph.nodes if str(node.target) in ("aten.conv2d.default", "aten.linear.default")
    ]
    return sum("dequantize" in str(node.args[1].target) for node in nodes), len(nodes)


@pytest.mark.parametrize("spec", [XnnpackSpec(least_signal=None), X86Spec(least_signal=None)], ids=["xnnpack", "x86"])
def test_layers_become_integers_and_the_model_stays(spec: Any, model: Any, batches: list[torch.Tensor]) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    made = target(spec)(spec, model, batches)
    assert rounded(made) == (len(layers_of(model)), len(layers_of(model)))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert made.spec is model.spec
    assert made.quantization is spec
    assert made.float_layers == ()
    with torch.no_grad():
        wanted, found = model(batches[0]), made(batches[0])
        single = made(batches[0][:1])
    assert single.shape == (1, 10)
    assert 3 < decibels(wanted, found) < 100
    again = pickle.loads(pickle.dumps(made))
    with torch.no_grad():
        assert torch.equal(again(batches[1]), made(batches[1]))


def test_what_a_pattern_names_and_what_is_noisy_stays_float(model: Any, batches: list[torch.Tensor]) -> None:
    spec = XnnpackSpec(least_signal=None, float_modules=("classifier.*",), depthwise=False)
    choice = choose(spec, model, batches)
    depthwise = {name for name, layer in layers_of(model).items() if kind_of(layer) == "depthwise"}
    assert depthwise
    assert set(choice.left) == depthwise | {name for name in layers_of(model) if name.startswith("classifier.")}
    made = target(spec)(spec, model, batches)
    assert made.float_layers == choice.left
    assert rounded(made)[0] == len(choice.quantized)
    signals = layer_signals(model, batches)
    assert [each.decibels for each in signals] == sorted(each.decibels for each in signals)
    noisiest = [each.name for each in signals if each.decibels < signals[2].decibels + 1e-9]
    cut = choose(XnnpackSpec(least_signal=signals[2].decibels + 1e-9), model, batches)
    assert set(cut.left) == set(noisiest)


def test_signal_of_a_layer_is_that_of_its_rounding() -> None:
    """One weight of 1 takes 127 steps, so that 0.3 is rounded to 38/127; inputs of 0 and 255 take 255 steps and are exact."""
    layer = nn.Sequential(nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        layer[0].weight.copy_(torch.tensor([[1.0, 0.3]]))
    inputs = torch.tensor([[0.0, 255.0]])
    (found,) = layer_signals(layer.eval(), [inputs], outputs=False)
    exact, noise = 0.3 * 255, (38 / 127 - 0.3) * 255
    assert found.decibels == pytest.approx(10 * math.log10(exact**2 / noise**2), abs=1e-3)


@pytest.mark.slow
def test_a_model_that_is_trained_starts_as_the_float_one_and_ends_in_integers(
    model: Any, batches: list[torch.Tensor]
) -> None:
    from torchao.quantization.pt2e import disable_fake_quant, enable_fake_quant

    scheme = target(XnnpackSpec())
    spec = XnnpackSpec(least_signal=None)
    prepared = scheme.prepare(spec, model, batches)
    with torch.no_grad():
        prepared(batches[0])
        prepared.apply(disable_fake_quant)
        # norms keep an epsilon of 0.001, which torchao takes for 0.00001
        torch.testing.assert_close(prepared(batches[0]), model(batches[0]), rtol=1e-4, atol=1e-5)
        prepared.apply(enable_fake_quant)
    prepared.train()
    norms = {key: value.clone() for key, value in prepared.named_buffers() if key.endswith("running_mean")}
    loss = nn.functional.cross_entropy(prepared(batches[0]), torch.arange(8))
    loss.backward()
    assert all(parameter.grad is not None for parameter in prepared.parameters())
    moved = {key: value.clone() for key, value in prepared.named_buffers() if key in norms}
    assert norms.keys()
    assert not any(torch.equal(norms[key], moved[key]) for key in norms)
    scheme.freeze_batch_norms(prepared)
    scheme.freeze_observers(prepared)
    prepared(batches[1])
    assert all(torch.equal(value, moved[key]) for key, value in prepared.named_buffers() if key in moved)
    state = copy.deepcopy(prepared.state_dict())
    made = scheme.convert(spec, prepared)
    assert all(torch.equal(value, state[key]) for key, value in prepared.state_dict().items())
    assert rounded(made)[0] == len(layers_of(model))
    prepared.eval()
    with torch.no_grad():
        assert decibels(prepared(batches[0]), made(batches[0])) > decibels(model(batches[0]), made(batches[0])) - 6


def test_only_the_backbone_of_a_detector_is_rounded() -> None:
    torch.manual_seed(0)
    detector: Any = registry.build("fasterrcnn_digits_128").eval()
    images = [[torch.rand(3, 96, 128)], [torch.rand(3, 128, 96)]]
    spec = XnnpackSpec(least_signal=None)
    made = target(spec)(spec, detector, images)
    assert {name.partition(".")[0] for name in made.float_layers} == {"rpn", "roi_heads"}
    count, layers = rounded(made.replaced["dense"])
    assert count == sum(name.startswith("backbone.") for name in layers_of(detector))
    assert layers > count
    (found,) = made([torch.rand(3, 100, 120)])
    assert set(found) == {"boxes", "labels", "scores"}
    with pytest.raises(RegistryError, match="quantize it after training"):
        target(spec).prepare(spec, detector, images)


def test_no_more_batches_are_taken_than_the_scheme_says(batches: list[torch.Tensor]) -> None:
    def endless() -> Any:
        while True:
            yield from batches

    assert len(inputs_of(XnnpackSpec(calibration_batches=5), endless())) == 5
    assert len(inputs_of(XnnpackSpec(), batches)) == len(batches)


def _no_number() -> list[torch.Tensor]:
    return [torch.full((1, 1, 48, 48), math.nan)]


@pytest.mark.parametrize(
    ("settings", "given", "told"),
    [
        ({}, list, "nothing was given to calibrate with"),
        ({}, _no_number, "values that are no numbers"),
        ({"float_modules": ("nothing.*",)}, None, "no module is called `nothing.*`; layers are features.0.0"),
        ({"float_modules": ("*",)}, None, "every layer would stay float"),
        ({"least_signal": 200}, None, "every layer would stay float"),
    ],
)
def test_what_makes_no_sense_is_refused(
    settings: dict[str, Any], given: Any, told: str, model: Any, batches: list[torch.Tensor]
) -> None:
    spec = XnnpackSpec(**settings)
    with pytest.raises(RegistryError) as error:
        target(spec)(spec, model, batches if given is None else given())
    assert told in str(error.value)


def test_ranges_before_a_hard_swish_leave_out_what_it_throws_away() -> None:
    class Both(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return nn.functional.hardswish(image + 1) + nn.functional.relu6(image + 2) + (image + 3)

    graph = torch.export.export(Both(), (torch.zeros(2),)).module()
    adds = [node for node in graph.graph.nodes if str(node.target) == "aten.add.Tensor"]  # type: ignore[union-attr]
    assert [bounds_of(node) for node in adds[:2]] == [(-3.0, math.inf), (0.0, 6.0)]
    assert bounds_of(adds[-1]) is None


@pytest.mark.parametrize("per_channel", [True, False])
def test_biases_of_layers_with_tiny_weights_fit_into_32_bits(
    per_channel: bool, model: Any, batches: list[torch.Tensor]
) -> None:
    """XNNPACK counts a bias in steps of the input's scale times the weight's, which must be less than 2^31."""
    own = copy.deepcopy(model)
    with torch.no_grad():
        own.features[2].block[0][1].weight.zero_()  # a ReLU behind it gives zeros
        own.features[2].block[0][1].bias.fill_(-1.0)
        own.features[2].block[1][0].weight.mul_(1e-9)
        own.features[2].block[1][1].bias.fill_(500.0)
    spec = XnnpackSpec(least_signal=None, per_channel=per_channel)
    made = target(spec)(spec, own, batches)
    graph, seen = made.graph, 0
    for node in graph.graph.nodes:
        if str(node.target) not in ("aten.conv2d.default", "aten.linear.default"):
            continue
        given, weight, bias = node.args[:3]
        scale = weight.args[1]
        scale = torch.tensor(scale) if isinstance(scale, float) else operator.attrgetter(scale.target)(graph)
        steps = operator.attrgetter(bias.target)(graph).abs() / (scale.double() * given.args[1])
        assert float(steps.max()) < 2**31
        seen += 1
    assert seen == len(layers_of(own))
    with torch.no_grad():
        assert decibels(own(batches[0]), made(batches[0])) > 3


@pytest.mark.slow
def test_a_quantized_program_is_read_by_a_process_that_has_made_none(
    model: Any, batches: list[torch.Tensor], tmp_path: Path
) -> None:
    own = registry.default_registry()
    spec = XnnpackSpec(least_signal=None)
    made = target(spec)(spec, model, batches)
    exported(own, made, target_spec(own, "torch-export"), tmp_path / "model.pt2")
    (tmp_path / "made").write_bytes(pickle.dumps(made))
    torch.save((batches[0], made(batches[0])), tmp_path / "batch.pt")
    script = (
        "import pickle, torch, registry; given, wanted = torch.load('batch.pt')\n"
        "for found in (registry.default_registry().load_artefact('model.pt2'), pickle.load(open('made', 'rb'))):\n"
        "    torch.testing.assert_close(found(given), wanted)"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "kind", "suffix"),
    [
        (XnnpackSpec(least_signal=None), "executorch", ".pte"),
        (X86Spec(least_signal=None), "torch-export", ".pt2"),
    ],
    ids=["xnnpack", "x86"],
)
def test_the_file_of_a_quantized_model_answers_as_it_does(
    spec: Any, kind: str, suffix: str, model: Any, batches: list[torch.Tensor], tmp_path: Path
) -> None:
    pytest.importorskip("executorch")
    own = registry.default_registry()
    made = target(spec)(spec, model, batches)
    found = exported(own, made, target_spec(own, kind), tmp_path / f"model{suffix}")
    assert found.artefact is not None
    assert found.artefact.quantization == spec.model_dump(mode="json")
    loaded = own.load_artefact(tmp_path / f"model{suffix}")
    with torch.no_grad():
        torch.testing.assert_close(loaded(batches[0][:1]), made(batches[0][:1]), rtol=1e-4, atol=1e-4)
    if suffix == ".pte":
        whole = exported(own, model, target_spec(own, kind), tmp_path / f"float{suffix}")
        assert found.size < whole.size / 2
