"""Norms that follow the weights, frozen stages, weights of a backbone alone, accepted warnings, and the shared modules."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Literal

import pytest
import torch
import torchvision
from pydantic import Field
from torch import nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection.backbone_utils import _mobilenet_extractor
from torchvision.ops import FrozenBatchNorm2d

import registry
from registry.modules.checked import Checked
from registry.modules.features import FeatureExtractor
from registry.modules.norm import norm_layer
from registry.registry import Registry
from registry.specs import BackboneSpec, FeatureMap, Finding, FrozenBatchNormSpec, HeadSpec, TaskSpec, WeightsSpec

SMALL, LARGE = "mobilenet_v3_small", "mobilenet_v3_large"
NARROW = {"backbone.width_mult": 0.35}
Names = set[str]


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """State dict of torchvision's narrow MobileNetV3-Small, its statistics not those of a fresh model."""
    torch.manual_seed(3)
    model = torchvision.models.mobilenet_v3_small(width_mult=0.35)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    return dict(model.state_dict())


@pytest.fixture(scope="module")
def file(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That state dict as a file."""
    path = tmp_path_factory.mktemp("weights") / "narrow.pth"
    torch.save(state, path)
    return path


def build(overrides: dict[str, Any] | None = None, **settings: Any) -> nn.Module:
    return registry.build(SMALL, overrides={**NARROW, **(overrides or {})}, **settings)


def refused(overrides: dict[str, Any] | None = None, **settings: Any) -> str:
    with pytest.raises(registry.RegistryError) as caught:
        build(overrides, **settings)
    return str(caught.value)


def norms(model: nn.Module) -> set[tuple[Any, ...]]:
    found = [m for m in model.modules() if isinstance(m, (nn.BatchNorm2d, FrozenBatchNorm2d))]
    assert len(found) == 34  # as many as torchvision's small model has
    return {(type(m), m.eps, getattr(m, "momentum", None)) for m in found}


# ---- norms -----------------------------------------------------------------------------------------------------------

AUTO: list[Any] = ["auto", {"kind": "auto"}]


@pytest.mark.parametrize("norm", AUTO)
def test_an_automatic_norm_is_batch_norm_without_weights_and_frozen_with_them(norm: Any, file: Path) -> None:
    fresh, loaded = build({"backbone.norm": norm}), build({"backbone.norm": norm}, weights=file)
    assert norms(fresh) == {(nn.BatchNorm2d, 1e-5, 0.1)}
    assert norms(loaded) == {(FrozenBatchNorm2d, 1e-5, None)}
    assert norms(build({"backbone.norm": norm}, backbone_weights=file)) == {(FrozenBatchNorm2d, 1e-5, None)}
    dumped = [model.spec.backbone.norm.model_dump() for model in (fresh, loaded)]  # type: ignore[union-attr,operator]
    assert dumped == [{"kind": "batch", "eps": 1e-5, "momentum": 0.1}, {"kind": "frozen_batch", "eps": 1e-5}]


def test_an_automatic_norm_keeps_its_own_numbers(file: Path) -> None:
    norm = {"backbone.norm": {"kind": "auto", "eps": 0.002, "momentum": 0.03}}
    assert norms(build(norm)) == {(nn.BatchNorm2d, 0.002, 0.03)}
    assert norms(build(norm, weights=file)) == {(FrozenBatchNorm2d, 0.002, None)}


def test_the_backbones_own_norm_stays_that_of_its_training() -> None:
    assert norms(build()) == {(nn.BatchNorm2d, 0.001, 0.01)}


def test_a_norm_of_unknown_kind_is_told_as_a_word_too(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(f"kind: model\nname: mine\nextends: {SMALL}\nbackbone: {{norm: {{kind: frozen}}}}\n")
    (mapping,) = registry.validate(path)
    path.write_text(f"kind: model\nname: mine\nextends: {SMALL}\nbackbone: {{norm: frozen}}\n")
    (word,) = registry.validate(path)
    assert (mapping.rule, word.rule) == ("REG105", "REG105")
    assert (word.span.line, word.span.column) == (4, 18)


def test_a_frozen_norm_is_batch_norm_in_eval_with_the_same_eps() -> None:
    torch.manual_seed(0)
    for eps in (0.0, 1e-5, 0.001):
        batch, frozen = nn.BatchNorm2d(5, eps=eps).eval(), norm_layer(FrozenBatchNormSpec(eps=eps))(5)
        values = {k: torch.rand(5) + 0.5 for k in ("weight", "bias", "running_mean", "running_var")}
        batch.load_state_dict(values, strict=False)
        frozen.load_state_dict(values)
        image = torch.randn(2, 5, 4, 3)
        with torch.no_grad():
            torch.testing.assert_close(frozen.train()(image), batch(image))
        assert list(frozen.parameters()) == []


def test_frozen_norms_take_weights_whose_norms_counted(file: Path, state: dict[str, torch.Tensor]) -> None:
    values = build({"backbone.norm": {"kind": "frozen_batch"}}, weights=file).state_dict()
    assert values.keys() == {key for key in state if not key.endswith("num_batches_tracked")}
    assert all(torch.equal(value, state[key]) for key, value in values.items())


# ---- stages ----------------------------------------------------------------------------------------------------------


def trained(model: nn.Module) -> Names:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def by_torchvision(name: str, layers: int, **settings: Any) -> Names:
    """What torchvision's extractor leaves trainable of its own model's `features`."""
    model = getattr(torchvision.models, name)(**settings)
    _mobilenet_extractor(model, fpn=False, trainable_layers=layers)
    return {parameter for parameter in trained(model) if parameter.startswith("features.")}


def with_stages(stages: int | None, **settings: Any) -> dict[str, Any]:
    return {"backbone.trainable_stages": stages, **settings}


@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_the_trained_stages_are_those_of_torchvision(name: str) -> None:
    counts = []
    for stages in range(7 if name == LARGE else 6):
        overrides = with_stages(stages, **{"backbone.freeze": "always"}, **NARROW)
        everything = len(registry.load_spec(name).backbone.feature_maps())
        if stages < everything:
            with pytest.warns(registry.RegistryWarning):
                model = registry.build(name, overrides=overrides, device="meta")
        else:
            model = registry.build(name, overrides=overrides, device="meta")
        found = trained(model)
        expected = by_torchvision(name, stages, width_mult=0.35)
        assert {parameter for parameter in found if parameter.startswith("features.")} == expected
        assert {p for p, _ in model.named_parameters() if p.startswith("classifier.")} <= found
        counts.append(len(expected))
    assert counts == sorted(set(counts))
    assert counts[0] == 0


@pytest.mark.parametrize(("name", "stages"), [(SMALL, 6), (LARGE, 6)])
def test_all_stages_are_the_whole_backbone(name: str, stages: int) -> None:
    overrides = with_stages(stages, **{"backbone.freeze": "always"})
    model = registry.build(name, overrides=overrides, device="meta")
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_random_weights_are_not_frozen_unless_asked_for() -> None:
    model = build(with_stages(2))
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.spec.backbone.trainable_stages is None  # type: ignore[union-attr]


def test_freezing_random_weights_is_said() -> None:
    with pytest.warns(registry.RegistryWarning) as caught:
        model = build(with_stages(2, **{"backbone.freeze": "always"}))
    assert [str(warning.message) for warning in caught] == [
        "`mobilenet_v3_small`: the first 4 of the backbone's 6 stages are frozen with random weights; "
        "load weights, or write backbone.freeze=with_weights"
    ]
    expected = by_torchvision(SMALL, 2, width_mult=0.35)
    assert {name for name in trained(model) if name.startswith("features.")} == expected


@pytest.mark.parametrize("request_", ["weights", "backbone_weights"])
@pytest.mark.parametrize("stages", [0, 3, 6])
def test_loaded_weights_are_frozen_and_stay_so_in_a_checkpoint(
    request_: str, stages: int, file: Path, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    model = build(with_stages(stages), **{request_: file})
    expected = by_torchvision(SMALL, stages, width_mult=0.35)
    assert {name for name in trained(model) if name.startswith("features.")} == expected
    again = registry.build(registry.save(model, tmp_path / "run.safetensors"))
    assert trained(again) == trained(model)
    assert again.spec == model.spec
    values = again.state_dict()
    assert all(torch.equal(values[key], state[key]) for key in values if key.startswith("features."))


def test_a_model_that_was_trained_whole_stays_so_in_a_checkpoint(tmp_path: Path) -> None:
    model = build(with_stages(2, **{"backbone.norm": "auto"}))
    again = registry.build(registry.save(model, tmp_path / "run.safetensors"))
    assert all(parameter.requires_grad for parameter in again.parameters())
    assert norms(again) == {(nn.BatchNorm2d, 1e-5, 0.1)}


def test_more_stages_than_there_are_is_told_where_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(f"kind: model\nname: mine\nextends: {SMALL}\nbackbone:\n  trainable_stages: 7\n")
    assert [str(diagnostic) for diagnostic in registry.validate(path)] == [
        f"{path}:5:21: error: the backbone has 6 stages, so 7 cannot be trained; write 0 to 6, or null for all [REG201]"
    ]


# ---- weights of the backbone alone -----------------------------------------------------------------------------------

SEVEN = {"head.num_classes": 7, "task.categories": None}


def test_a_backbone_starts_from_a_classifier_and_the_head_anew(file: Path, state: dict[str, torch.Tensor]) -> None:
    torch.manual_seed(11)
    values = build(SEVEN, backbone_weights=file).state_dict()
    torch.manual_seed(11)
    fresh = build(SEVEN).state_dict()
    for key, value in values.items():
        assert torch.equal(value, (state if key.startswith("features.") else fresh)[key])
    assert values["classifier.3.weight"].shape == (7, state["classifier.3.weight"].shape[1])
    assert not torch.equal(values["classifier.0.weight"], state["classifier.0.weight"])


FITS_NOT = "w.pth: the weights do not fit the model, nothing was loaded; "
OTHER = "; they belong to another architecture or other settings of it"


@pytest.mark.parametrize(
    ("without", "extra", "expected"),
    [
        ("features.0.0.weight", {}, f"{FITS_NOT}1 missing: features.0.0.weight{OTHER}"),
        (None, {"features.99.0.weight": (1,)}, f"{FITS_NOT}1 unexpected: features.99.0.weight{OTHER}"),
        (
            None,
            {"features.0.1.bias": (9,)},
            f"{FITS_NOT}1 of another shape: features.0.1.bias (9,) instead of (8,){OTHER}",
        ),
        (None, {"features.0.0.weight": (27,)}, "w.pth: `features.0.0.weight` (27,) cannot be adapted to (8, 3, 3, 3)"),
    ],
)
def test_weights_of_another_backbone_are_refused_whole(
    without: str | None, extra: dict[str, Any], expected: str, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    changed = {key: value for key, value in state.items() if key != without}
    torch.save({**changed, **{key: torch.ones(shape) for key, shape in extra.items()}}, tmp_path / "w.pth")
    assert refused(SEVEN, backbone_weights=tmp_path / "w.pth") == expected


def test_a_backbone_of_other_channels_needs_a_rule(file: Path, state: dict[str, torch.Tensor]) -> None:
    assert refused(backbone_weights=file, in_channels=1) == (
        "narrow.pth: the weights take 3 input channels, the model 1; nothing was loaded; "
        'pass adapt_input="sum" (grey copied into every channel gives the same answer), "mean" or "random"'
    )
    assert refused(backbone_weights=file, in_channels=1, adapt_input="random") == (
        'narrow.pth: pass adapt_input="sum" or "mean"; a new first layer needs whole-model weights'
    )
    kernel = state["features.0.0.weight"].sum(1, keepdim=True)
    for channels in (1, 2):
        built = build(backbone_weights=file, in_channels=channels, adapt_input="sum").state_dict()
        torch.testing.assert_close(built["features.0.0.weight"], (kernel / channels).expand(-1, channels, -1, -1))
        same = [key for key in built if key.startswith("features.") and key != "features.0.0.weight"]
        assert all(torch.equal(built[key], state[key]) for key in same)


def test_weights_of_the_model_and_of_its_backbone_are_one_too_many(file: Path) -> None:
    expected = "weights of the whole model and of its backbone were given; keep one"
    assert refused(weights=file, backbone_weights=file) == expected


def test_default_backbone_weights_need_an_entry() -> None:
    assert refused(backbone_weights="default") == (
        "`mobilenet_v3_small` names no weights for its backbone; give a file or a reference"
    )


def test_backbone_weights_are_checked_against_a_digest(file: Path) -> None:
    for given in (file, WeightsSpec(source=str(file))):
        assert "expected one that starts with 00000000" in refused(backbone_weights=given, sha256="00000000")
    assert "expected one that starts with 00000000" in refused(
        backbone_weights=WeightsSpec(source=str(file), sha256="00000000")
    )


def test_the_meta_device_takes_no_backbone_weights(file: Path) -> None:
    expected = "weights cannot be loaded on the meta device, which has no memory"
    assert refused(backbone_weights=file, device="meta") == expected


def document(folder: Path, *lines: str) -> Path:
    head = ["kind: model", "name: mine", f"extends: {SMALL}", "backbone: {width_mult: 0.35, norm: auto}"]
    path = folder / "m.yaml"
    path.write_text("\n".join([*head, *lines, ""]))
    return path


def test_default_backbone_weights_lie_beside_their_document_and_bring_settings(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "w.pth").write_bytes(file.read_bytes())
    settings = "{source: ./w.pth, backbone: {norm: {eps: 0.004, kind: auto}}}"
    path = document(tmp_path / "specs", f"backbone_weights: {settings}")
    monkeypatch.chdir(tmp_path)
    assert norms(registry.build(path, backbone_weights="default")) == {(FrozenBatchNorm2d, 0.004, None)}
    assert norms(registry.build(path, backbone_weights=file)) == {(FrozenBatchNorm2d, 1e-5, None)}
    assert norms(registry.build(path)) == {(nn.BatchNorm2d, 1e-5, 0.1)}


def test_weights_bring_backbone_settings_when_they_are_asked_for(file: Path, tmp_path: Path) -> None:
    entry = f"{{source: {file}, backbone: {{norm: {{kind: batch, eps: 0.003}}}}}}"
    path = document(tmp_path, f"weights: {{OURS: {entry}, OTHER: {{source: {file}}}}}")
    assert norms(registry.build(path, weights="OURS")) == {(nn.BatchNorm2d, 0.003, 0.1)}
    assert norms(registry.build(path, weights="OTHER")) == {(FrozenBatchNorm2d, 1e-5, None)}
    over = registry.build(path, weights="OURS", overrides={"backbone.norm": {"kind": "batch", "eps": 0.005}})
    assert norms(over) == {(nn.BatchNorm2d, 0.005, 0.1)}


@pytest.mark.parametrize("place", ["weights: {OURS: ", "backbone_weights: "])
def test_backbone_settings_of_weights_are_validated(place: str, tmp_path: Path) -> None:
    close = "}" if place.startswith("weights") else ""
    found = []
    for settings in ("widht_mult: 1.0", "trainable_stages: 7"):
        path = document(tmp_path, f"{place}{{source: ./w.pth, backbone: {{{settings}}}}}{close}")
        diagnostics = [d for d in registry.validate(path) if d.severity != "note"]  # the width rounds some counts
        found += [str(diagnostic).removeprefix(f"{path}:") for diagnostic in diagnostics]
    column = len(place) + len("{source: ./w.pth, backbone: {") + 1
    assert found == [
        f"5:{column}: error: unknown key `widht_mult` in `backbone`; did you mean `width_mult`? [REG101]",
        f"5:{column + len('trainable_stages: ')}: error: the backbone has 6 stages, so 7 cannot be trained; "
        "write 0 to 6, or null for all [REG201]",
    ]


# ---- accepted warnings: a small plugin -------------------------------------------------------------------------------


class Eye(BackboneSpec):
    """Two maps of one stride."""

    type: Literal["eye"] = "eye"

    def feature_maps(self) -> tuple[FeatureMap, ...]:
        return tuple(FeatureMap(name=f"c{i}", channels=4, stride=s, module=str(i)) for i, s in ((0, 2), (1, 4), (2, 4)))

    def inner_maps(self) -> tuple[FeatureMap, ...]:
        return (FeatureMap(name="inside", channels=4, stride=4, module="2.0"),)


class Mouth(HeadSpec):
    """Complains as it is told to."""

    type: Literal["mouth"] = "mouth"
    task: ClassVar[str] = "speaking"
    severity: Annotated[Literal["error", "warning"], Field(description="How bad it is.")] = "warning"

    def check_backbone(self, backbone: BackboneSpec) -> Iterable[Finding]:
        yield Finding("REG209", ("severity",), "two maps of one stride", "take one", self.severity)


class Speaking(TaskSpec):
    """Nothing to it."""

    type: Literal["speaking"] = "speaking"


class Toy:
    """Registers the three."""

    @registry.hookimpl
    def registry_parts(self, register: Any) -> None:
        register.backbone("eye", spec="toy_parts:Eye", target="toy_parts:Eye")
        register.head("mouth", spec="toy_parts:Mouth", target="toy_parts:Mouth")
        register.task("speaking", spec="toy_parts:Speaking", target="toy_parts:Speaking")


@pytest.mark.parametrize(
    ("severity", "accepts", "told"),
    [
        ("warning", "[]", True),
        ("warning", "[REG202]", True),
        ("warning", "[REG209]", False),
        ("error", "[REG209]", True),
    ],
)
def test_an_accepted_warning_is_not_told_and_an_error_always_is(
    severity: str, accepts: str, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("toy_parts")
    module.__dict__.update(Eye=Eye, Mouth=Mouth, Speaking=Speaking)
    monkeypatch.setitem(sys.modules, "toy_parts", module)
    path = tmp_path / "m.yaml"
    path.write_text(
        f"kind: model\nname: face\naccepts: {accepts}\ntask: {{type: speaking}}\nbackbone: {{type: eye}}\n"
        f"head: {{type: mouth, num_classes: 2, severity: {severity}}}\n"
    )
    found = [str(diagnostic) for diagnostic in Registry(plugins=[Toy()]).validate(path)]
    assert found == [f"{path}:6:47: {severity}: two maps of one stride; take one [REG209]"] * told


# ---- feature maps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "name"),
    [(2, "c0"), (4, "c2"), (8, None), ("c1", "c1"), ("c2", "c2"), ("inside", "inside"), ("c3", None), ("4", None)],
)
def test_a_stride_means_its_last_map_and_a_name_that_map(level: int | str, name: str | None) -> None:
    found = Eye().find_map(level)
    assert (found and found.name) == name


@pytest.mark.parametrize("overrides", [{}, {"backbone.dilated": True}, {"backbone.width_mult": 0.5}])
@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_inner_maps_are_what_a_forward_yields(name: str, overrides: dict[str, Any]) -> None:
    model = registry.build(name, overrides=overrides, device="meta").eval()
    declared = model.spec.backbone.inner_maps()  # type: ignore[union-attr,operator]
    shapes: dict[str, torch.Size] = {}

    def note(feature: FeatureMap) -> Any:
        return lambda module, args, output: shapes.update({feature.name: output.shape})

    for feature in declared:
        model.get_submodule(feature.module).register_forward_hook(note(feature))
    with torch.no_grad():
        model(torch.empty(1, 3, 64, 128, device="meta"))
    assert len(declared) >= 3
    assert shapes == {f.name: (1, f.channels, 64 // f.stride, 128 // f.stride) for f in declared}


# ---- shared modules --------------------------------------------------------------------------------------------------


class Strict(Checked):
    """Takes two values a row."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.seen = 0

    def check_inputs(self, x: torch.Tensor) -> None:
        self.seen += 1
        if x.shape[-1] != 2:
            raise registry.RegistryError(f"rows must have 2 values and have {x.shape[-1]}")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Applies the layer."""
        output: torch.Tensor = self.layer(x)
        return output


def test_inputs_are_checked_on_a_call_unless_switched_off() -> None:
    module = Strict()
    module(torch.ones(1, 2))
    assert module.seen == 1
    with pytest.raises(registry.RegistryError) as caught:
        module(torch.ones(1, 3))
    assert str(caught.value) == "rows must have 2 values and have 3"
    module.checks_inputs = False
    with pytest.raises(RuntimeError):
        module(torch.ones(1, 3))
    assert module.seen == 2
    assert copy.deepcopy(module).checks_inputs is False


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize("switch", [None, True, False])
@pytest.mark.parametrize("inside", [False, True])
def test_compilers_see_a_plain_module(switch: bool | None, inside: bool) -> None:
    module = Strict()
    if switch is not None:
        module.checks_inputs = switch
    whole: nn.Module = nn.Sequential(module) if inside else module
    x = torch.rand(3, 2)
    expected = nn.functional.linear(x, module.layer.weight, module.layer.bias)
    made = (
        torch.jit.script(whole),
        torch.jit.trace(whole, x, check_trace=False),  # type: ignore[no-untyped-call]  # a check would call the module
        torch.compile(whole, backend="eager", fullgraph=True),
        torch.export.export(whole, (x,)).module(),
    )
    for made_of in made:
        torch.testing.assert_close(made_of(x), expected)
    assert module.seen == 0


def extracted() -> tuple[FeatureExtractor, IntermediateLayerGetter]:
    """The same layers cut by the extractor and by torchvision."""
    torch.manual_seed(2)
    layers = torchvision.models.mobilenet_v3_small(width_mult=0.35).eval()
    maps = {
        "low": FeatureMap(name="c2", channels=8, stride=8, module="features.2"),
        "high": FeatureMap(name="c4", channels=32, stride=32, module="features.9"),
    }
    reference = IntermediateLayerGetter(layers.features, {"2": "low", "9": "high"})
    return FeatureExtractor(layers, maps).eval(), reference


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:.*torch.jit:FutureWarning")
def test_the_extractor_is_torchvisions() -> None:
    extractor, reference = extracted()
    assert list(extractor.state_dict()) == list(reference.state_dict())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = reference(image)
        made = (
            extractor,
            copy.deepcopy(extractor),
            pickle.loads(pickle.dumps(extractor)),
            torch.jit.script(extractor),
            torch.compile(extractor, backend="eager"),
        )
        for made_of in made:
            found = made_of(image)
            assert list(found) == list(expected) == ["low", "high"]
            assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    ("paths", "missing"), [(["0", "5"], "5"), (["0", "1.0"], "1.0"), (["1.0", "0.0"], "0.0"), (["a.0", "b.0"], None)]
)
def test_maps_that_are_not_layers_of_one_stage_are_refused(paths: list[str], missing: str | None) -> None:
    chain = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU()))
    backbone = nn.ModuleDict({"a": chain[0], "b": chain[1]}) if missing is None else chain
    maps = {path: FeatureMap(name=path, channels=1, stride=1, module=path) for path in paths}
    with pytest.raises(ValueError, match="the backbone has no layer") as caught:
        FeatureExtractor(backbone, maps)
    layers = "0, 1" if paths[0] == "0" else "0"
    assert str(caught.value) == f"the backbone has no layer `{missing or 'b.0'}` among {layers}"


def test_an_accepted_rule_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(registry.SpecError) as caught:
        registry.load_spec("mobilenet_v3_small", overrides={"accepts": ["REG207", "REG27"]})
    found = [(d.rule, d.message) for d in caught.value.diagnostics]
    assert found == [("REG105", "there is no rule `REG27`")]
