"""Parts defined in Python: they work like installed ones, and are forgotten with their context."""

from __future__ import annotations

import contextvars
import threading
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import AfterValidator

import registry
from registry.errors import ConflictError, PluginError, UnknownNameError
from registry.specs import BackboneSpec, HeadSpec, RecipeSpec


class LinearHeadSpec(HeadSpec):
    type: Literal["linear_test_head"] = "linear_test_head"
    task: ClassVar[str] = "classification"


HEAD = {"type": "linear_test_head", "num_classes": 3}
MODEL = "mobilenet_v3_small"


def types(kind: str = "head") -> list[str]:
    return [part.type for part in registry.default_registry().host.parts if part.kind == kind]


def builds(spec: Any, backbone: Any, backbone_spec: Any) -> Any:
    from torch import nn

    channels = backbone_spec.feature_maps()[-1].channels
    return nn.Sequential(backbone, nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(channels, spec.num_classes))


def test_a_head_defined_at_hand_is_built_and_forgotten() -> None:
    import torch

    before = types()
    with registry.local_parts():
        assert registry.head(LinearHeadSpec)(builds) is builds
        assert types() == [*before, "linear_test_head"]
        model = registry.build(MODEL, overrides={"head": HEAD, "task.categories": None})
        assert model.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 3)
        assert registry.load_spec(model.spec) == model.spec
    assert types() == before
    with pytest.raises(registry.SpecError, match="unknown type of head `linear_test_head`"):
        registry.load_spec(MODEL, overrides={"head": HEAD})


def test_it_is_forgotten_when_the_context_ends_with_an_error() -> None:
    before = types()
    with pytest.raises(RuntimeError, match="boom"):
        fail_in_context()
    assert types() == before


def fail_in_context() -> None:
    with registry.local_parts():
        registry.head(LinearHeadSpec)(builds)
        raise RuntimeError("boom")


def test_contexts_nest_and_the_inner_definition_counts() -> None:
    def other(*_: Any) -> None: ...

    with registry.local_parts():
        registry.head(LinearHeadSpec)(builds)
        with registry.local_parts():
            registry.head(LinearHeadSpec)(other)
            assert target() is other
        assert target() is builds


def test_a_cell_that_runs_twice_replaces_its_part() -> None:
    class Again(HeadSpec):
        type: Literal["linear_test_head"] = "linear_test_head"
        task: ClassVar[str] = "classification"

    with registry.local_parts():
        registry.head(LinearHeadSpec)(builds)
        registry.head(Again)(builds)
        assert registry.default_registry().host.spec_class("head", "linear_test_head") is Again


def target() -> Any:
    host = registry.default_registry().host
    return host.target(LinearHeadSpec(num_classes=2))


def test_the_registry_is_made_anew_only_when_parts_change() -> None:
    plain = registry.default_registry()
    with registry.local_parts():
        assert registry.default_registry() is plain
        registry.head(LinearHeadSpec)(builds)
        assert registry.default_registry() is registry.default_registry() is not plain
    assert registry.default_registry() is plain


def test_a_recipe_and_a_backbone_with_an_initialiser() -> None:
    class EyeSpec(BackboneSpec):
        type: Literal["test_eye"] = "test_eye"

    def init(*_: Any) -> None: ...

    with registry.local_parts():

        @registry.recipe
        class SlowSpec(RecipeSpec):
            type: Literal["test_slow"] = "test_slow"

        registry.backbone(EyeSpec, init=init)(builds)
        host = registry.default_registry().host
        assert host.spec_class("recipe", "test_slow") is SlowSpec
        assert host.init(EyeSpec()) is init


def test_one_called_like_an_installed_one_is_a_conflict_that_names_both() -> None:
    class Twin(HeadSpec):
        type: Literal["mobilenet_v3_classifier"] = "mobilenet_v3_classifier"
        task: ClassVar[str] = "classification"

    with registry.local_parts():
        registry.head(Twin)(builds)
        host = registry.default_registry().host
        with pytest.raises(ConflictError, match=r"vision-registry .*local 0 \(plugin `notebook`\)") as caught:
            host.spec_class("head", "mobilenet_v3_classifier")
        assert "write `vision-registry/mobilenet_v3_classifier` or `local/mobilenet_v3_classifier`" in str(caught.value)
        assert host.spec_class("head", "local/mobilenet_v3_classifier") is Twin


class NamelessSpec(HeadSpec):
    task: ClassVar[str] = "classification"


class BadlyNamedSpec(HeadSpec):
    type: Literal["No Name"] = "No Name"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (3, r"@registry.head takes a subclass of registry.specs.HeadSpec, not 3"),
        (BackboneSpec, r"takes a subclass of registry.specs.HeadSpec"),
        (NamelessSpec, r'NamelessSpec names no type; write: type: Literal\["my_head"\] = "my_head"'),
        (BadlyNamedSpec, r"'No Name' is not a name"),
    ],
)
def test_a_class_that_is_no_spec_of_the_kind_is_refused_and_not_kept(spec: Any, told: str) -> None:
    before = types()
    with registry.local_parts():
        with pytest.raises(PluginError, match=told):
            registry.head(spec)(builds)
        assert types() == before


def test_a_target_that_cannot_be_called_is_refused() -> None:
    with registry.local_parts(), pytest.raises(PluginError, match="target=3 is not of the form"):
        registry.head(LinearHeadSpec)(3)


def test_threads_that_define_parts_leave_all_of_them() -> None:
    def spec(index: int) -> Any:
        return type(
            f"S{index}",
            (RecipeSpec,),
            {
                "__annotations__": {"type": Literal[f"threaded_{index}"]},
                "type": f"threaded_{index}",
                "__module__": __name__,
            },
        )

    with registry.local_parts():
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(registry.recipe, spec(index)))
            for index in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(types("recipe")) >= {f"threaded_{index}" for index in range(20)}
    with pytest.raises(UnknownNameError):
        registry.default_registry().host.part("recipe", "threaded_0")


def test_a_registry_of_given_and_installed_plugins() -> None:
    class Plugin:
        @registry.hookimpl
        def registry_parts(self, register: Any) -> None:
            register.head("linear_test_head", spec=LinearHeadSpec, target=builds)

    made = registry.Registry([Plugin()], installed=True)
    assert made.load_spec(MODEL, overrides={"head": HEAD, "task.categories": None}).head.num_classes == 3
    assert registry.Registry([Plugin()]).list_models() == []


def _refuse(value: str | None) -> str | None:
    if value is not None:
        raise ValueError("names are not for heads; write null")
    return value


class PickySpec(HeadSpec):
    type: Literal["test_picky"] = "test_picky"
    task: ClassVar[str] = "classification"
    names: Annotated[str | None, AfterValidator(_refuse)] = None
    nothing: None = None


def test_what_a_plugins_own_validator_says_is_told_with_its_suggestion() -> None:
    with registry.local_parts():
        registry.head(PickySpec)(builds)
        head = {"type": "test_picky", "num_classes": 3, "names": "a", "nothing": 1}
        with pytest.raises(registry.SpecError) as caught:
            registry.load_spec(MODEL, overrides={"head": head, "task.categories": None})
    told = [(d.rule, d.message, d.suggestion) for d in caught.value.diagnostics]
    assert told == [
        ("REG199", "names are not for heads", "write null"),
        ("REG103", "expected nothing, got 1", None),
    ]


def test_what_names_no_model_is_told() -> None:
    for thing, name in ((None, "NoneType"), (3.5, "float"), (["mobilenet_v3_small"], "list")):
        with pytest.raises(
            registry.RegistryError, match=f"^a model is a name, a path, a spec or a mapping, not a {name}$"
        ):
            registry.load_spec(thing)  # type: ignore[arg-type]  # on purpose


def test_a_model_is_written_as_a_mapping() -> None:
    spec = registry.load_spec({"extends": MODEL, "head": {"num_classes": 4}, "task": {"categories": None}})
    assert (spec.name, spec.head.num_classes) == ("unnamed_model", 4)
    named = registry.load_spec({"name": "mine", "extends": MODEL})
    assert named.name == "mine"
    with pytest.raises(registry.SpecError, match="unknown key `haed`"):
        registry.load_spec({"extends": MODEL, "haed": {}})
    with pytest.raises(registry.RegistryError, match="holds texts, numbers, lists and mappings alone"):
        registry.load_spec({"extends": MODEL, "head": {"num_classes": object()}})
    with pytest.raises(registry.SpecError, match="one model document was expected"):
        registry.load_spec({"kind": "backbone", "extends": MODEL})


def test_a_recipe_with_empty_brackets_is_told_how_it_is_written() -> None:
    with pytest.raises(PluginError, match=r"write @registry\.recipe"):
        registry.recipe()


def fails(spec: Any, backbone: Any, backbone_spec: Any) -> Any:
    return spec.dimm


def test_an_error_of_a_plugins_code_is_told_with_its_line() -> None:
    line = fails.__code__.co_firstlineno + 1
    with registry.local_parts():
        registry.head(LinearHeadSpec)(fails)
        with pytest.raises(registry.RegistryError, match=rf"has no attribute 'dimm' at .*test_current\.py:{line}$"):
            registry.build(MODEL, overrides={"head": HEAD, "task.categories": None})


def test_a_head_with_a_learned_query_is_counted(tmp_path: Any) -> None:
    import torch
    from torch import nn

    from registry.assemble import measure

    class Query(nn.Module):
        def __init__(self, backbone: nn.Module, channels: int) -> None:
            super().__init__()
            self.backbone, self.query = backbone, nn.Parameter(torch.zeros(1, 1, channels))
            self.attention = nn.MultiheadAttention(channels, 1, batch_first=True)
            self.fc = nn.Linear(channels, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            found = self.backbone(images).flatten(2).transpose(1, 2)
            pooled, _ = self.attention(self.query.expand(len(found), -1, -1), found, found)
            return self.fc(pooled[:, 0])  # type: ignore[no-any-return]

    with registry.local_parts():
        registry.head(LinearHeadSpec)(
            lambda spec, backbone, backbone_spec: Query(backbone, backbone_spec.feature_maps()[-1].channels)
        )
        model = registry.build(MODEL, overrides={"head": HEAD, "task.categories": None})
        made = registry.default_registry()
        found = measure(made.host, model.spec, made.task(model.spec), (64, 64))  # type: ignore[arg-type]
    assert found.macs > 3 * 576 * 576  # the projections of the attention alone
