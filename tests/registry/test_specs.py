"""Spec classes forbid unknown keys, are frozen, strict and described; a digest stands for every setting."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import math
import os
import pkgutil
import subprocess
import sys
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Literal, Union

import pytest
from pydantic import Field, ValidationError

import registry
from registry.errors import UnknownNameError
from registry.registry import Registry
from registry.specs import (
    PART_KINDS,
    BackboneSpec,
    BudgetSpec,
    DatasetSpec,
    ExportSpec,
    FeatureMap,
    FiguresSpec,
    Finding,
    HeadSpec,
    Listed,
    ModelSpec,
    PartSpec,
    QuantizationSpec,
    RecipeSpec,
    ReferenceSpec,
    Spec,
    TaskSpec,
    WeightsSpec,
)

# ---- every spec class of the core and of the built-in plugins --------------------------------------------------------


def below(spec_class: type[Spec]) -> Iterator[type[Spec]]:
    for child in spec_class.__subclasses__():
        yield child
        yield from below(child)


def every_spec_class() -> list[type[Spec]]:
    """All of them: every module of the core is imported, and every module that a built-in part's spec comes from."""
    for module in pkgutil.walk_packages(registry.__path__, "registry."):
        importlib.import_module(module.name)
    parts = [part for part in Registry().host.parts if part.origin.distribution == "vision-registry"]
    modules = {part.spec.partition(":")[0] for part in parts}
    for name in modules:
        importlib.import_module(name)
    packages = {"registry", *(name.partition(".")[0] for name in modules)}
    found = {c for c in below(Spec) if c.__module__.partition(".")[0] in packages}
    return [Spec, *sorted(found, key=lambda c: (c.__module__, c.__qualname__))]


CLASSES = every_spec_class()
each_class = pytest.mark.parametrize("spec_class", CLASSES, ids=lambda c: c.__name__)


def refusals(spec_class: type[Spec], **given: Any) -> dict[str, set[str]]:
    """Kinds of errors by key; keys that are missing do not count."""
    found: dict[str, set[str]] = {}
    try:
        spec_class.model_validate(given)
    except ValidationError as error:
        for item in error.errors():
            if item["type"] != "missing":
                found.setdefault(str(item["loc"][0]), set()).add(item["type"])
    return found


def fields_of(spec_class: type[Spec], wanted: type) -> list[str]:
    """Fields that take values of one type, or null beside it."""
    return [
        name
        for name, field in spec_class.model_fields.items()
        if set(alternatives(field.annotation)) - {type(None)} == {wanted}
    ]


def alternatives(annotation: Any) -> tuple[Any, ...]:
    union = typing.get_origin(annotation) in (Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)


def test_the_walk_meets_the_core_and_the_plugins() -> None:
    names = {c.__name__ for c in CLASSES}
    assert {"Spec", "ModelSpec", "FeatureMap", "WeightsSpec", "EnvelopeSpec", "BackboneSpec", "ExportSpec"} <= names
    assert any(not c.__module__.startswith("registry.") for c in CLASSES)


@each_class
def test_unknown_keys_are_forbidden(spec_class: type[Spec]) -> None:
    assert refusals(spec_class, no_such_key=1)["no_such_key"] == {"extra_forbidden"}


@each_class
def test_specs_are_frozen(spec_class: type[Spec]) -> None:
    spec = spec_class.model_construct()
    for name in (*spec_class.model_fields, "no_such_key"):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(spec, name, 1)
        with pytest.raises(ValidationError, match="frozen"):
            delattr(spec, name)


@each_class
def test_every_field_is_described(spec_class: type[Spec]) -> None:
    assert [name for name, field in spec_class.model_fields.items() if not field.description] == []


@each_class
def test_every_class_says_in_its_docstring_what_it_is(spec_class: type[Spec]) -> None:
    assert inspect.cleandoc(spec_class.__dict__.get("__doc__") or "") != ""


#: For each type of field what a lenient reader would take for it.
LOOKALIKES: dict[type, list[Any]] = {
    int: ["1", True, 1.0, "", b"1"],
    float: ["1", True, "0.5", math.nan, math.inf, -math.inf],
    bool: [0, 1, "true", "no", 1.0],
    str: [1, True, 0.5, b"x", ["x"]],
}


@each_class
@pytest.mark.parametrize("wanted", LOOKALIKES, ids=lambda wanted: wanted.__name__)
def test_no_value_is_taken_for_one_of_another_type(spec_class: type[Spec], wanted: type) -> None:
    for name in fields_of(spec_class, wanted):
        for wrong in LOOKALIKES[wanted]:
            assert refusals(spec_class, **{name: wrong}).get(name), (name, wrong)


@each_class
def test_a_whole_number_serves_where_any_number_does(spec_class: type[Spec]) -> None:
    for name in fields_of(spec_class, float):
        assert "float_type" not in refusals(spec_class, **{name: 1}).get(name, set())


@each_class
def test_choices_of_numbers_take_neither_truth_values_nor_fractions(spec_class: type[Spec]) -> None:
    """`True == 1 == 1.0` in Python, so a Literal alone would take all three."""
    for name, field in spec_class.model_fields.items():
        for choices in map(typing.get_args, filter(is_literal, alternatives(field.annotation))):
            for choice in choices:
                if type(choice) is int:
                    assert not refusals(spec_class, **{name: choice}).get(name), (name, choice)
                    assert refusals(spec_class, **{name: float(choice)}).get(name), (name, float(choice))
                    if choice in (0, 1):
                        assert refusals(spec_class, **{name: bool(choice)}).get(name), (name, bool(choice))


def is_literal(annotation: Any) -> bool:
    return typing.get_origin(annotation) is Literal


# ---- a small family of specs, to see the base classes at work --------------------------------------------------------


class Eye(BackboneSpec):
    """Two maps, the second twice as wide."""

    type: Literal["eye"] = "eye"
    width: Annotated[int, Field(ge=1, description="Channels of the first map.")] = 8
    gain: Annotated[float, Field(gt=0, description="A number.")] = 1.0
    steps: Annotated[Listed[int], Field(description="A list.")] = (1, 2)

    def feature_maps(self) -> tuple[FeatureMap, ...]:
        return (
            FeatureMap(name="c1", channels=self.width, stride=4, module="a"),
            FeatureMap(name="c2", channels=2 * self.width, stride=8, module="b"),
        )


class Mouth(HeadSpec):
    """Needs a map of some stride."""

    type: Literal["mouth"] = "mouth"
    task: ClassVar[str] = "speaking"
    stride: Annotated[int, Field(ge=1, description="Stride of the map that is needed.")] = 8

    def check_backbone(self, backbone: BackboneSpec) -> Iterable[Finding]:
        if self.stride not in [feature.stride for feature in backbone.feature_maps()]:
            yield Finding("REG202", ("stride",), f"no map of stride {self.stride}")


class Speaking(TaskSpec):
    """Has an opinion of its own."""

    type: Literal["speaking"] = "speaking"
    loud: Annotated[bool, Field(description="Loudly.")] = False

    def check(self) -> Iterable[Finding]:
        if self.loud:
            yield Finding("REG201", ("loud",), "be quiet")


class Listening(TaskSpec):
    """Another task."""

    type: Literal["listening"] = "listening"


class Practice(RecipeSpec):
    """Trains listening only."""

    type: Literal["practice"] = "practice"
    tasks: ClassVar[tuple[str, ...]] = ("listening",)


class Family:
    """Knows the classes above by kind and type, as the plugin host does."""

    def spec_class(self, kind: str, type_name: str) -> type[PartSpec]:
        bare = type_name.rpartition("/")[2]
        for found in (Eye, Mouth, Speaking, Listening, Practice):
            if (found.kind, found.model_fields["type"].default) == (kind, bare):
                return found
        raise UnknownNameError(f"unknown type of {kind} `{type_name}`")


def face(**changes: Any) -> ModelSpec:
    given: dict[str, Any] = {"name": "face", "task": Speaking(), "backbone": Eye(), "head": Mouth(num_classes=3)}
    return ModelSpec(**{**given, **changes})


def kinds_of_errors(given: dict[str, Any]) -> list[tuple[str, tuple[str | int, ...]]]:
    with pytest.raises(ValidationError) as caught:
        ModelSpec.model_validate({"name": "face", **given}, context={"types": Family()})
    return [(item["type"], item["loc"]) for item in caught.value.errors()]


MAPPINGS: dict[str, Any] = {
    "task": {"type": "speaking"},
    "backbone": {"type": "eye"},
    "head": {"type": "mouth", "num_classes": 3},
}


def test_parts_become_the_classes_that_their_types_name() -> None:
    spec = ModelSpec.model_validate({"name": "face", **MAPPINGS}, context={"types": Family()})
    assert spec == face()
    assert [type(part) for _, part in spec.parts()] == [Speaking, Eye, Mouth]
    assert [key for key, _ in spec.parts()] == ["task", "backbone", "head"]


def test_a_type_may_name_its_distribution_and_is_kept_without_it() -> None:
    given = {**MAPPINGS, "backbone": {"type": "some-dist/eye"}}
    assert ModelSpec.model_validate({"name": "face", **given}, context={"types": Family()}) == face()


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        ({"type": "ear"}, ("part_type", ("backbone", "type"))),
        ({}, ("missing", ("backbone", "type"))),
        ({"type": 1}, ("string_type", ("backbone", "type"))),
        ({"type": "eye", "width": "8"}, ("int_type", ("backbone", "width"))),
        ({"type": "eye", "weight": 8}, ("extra_forbidden", ("backbone", "weight"))),
        ("eye", ("model_type", ("backbone",))),
        (Mouth(num_classes=3), ("model_type", ("backbone",))),
    ],
)
def test_errors_inside_a_part_name_its_keys(backbone: Any, expected: tuple[str, tuple[str, ...]]) -> None:
    assert kinds_of_errors({**MAPPINGS, "backbone": backbone}) == [expected]


def test_a_part_given_as_a_mapping_needs_a_registry_that_knows_its_type() -> None:
    with pytest.raises(ValidationError) as caught:
        ModelSpec.model_validate({"name": "face", **MAPPINGS})
    assert {item["msg"] for item in caught.value.errors()} == {
        "a part given as a mapping is read through registry.load_spec()"
    }


@pytest.mark.parametrize("name", ["a", "A1", "a-b_c.d", "0"])
def test_names_are_letters_digits_and_three_signs(name: str) -> None:
    assert face(name=name).name == name


@pytest.mark.parametrize("name", ["", ".a", "-a", "_a", "a b", "a/b", "a\n", "é", "a:b"])
def test_other_names_are_refused(name: str) -> None:
    assert refusals(ModelSpec, name=name)["name"] == {"string_pattern_mismatch"}


def test_a_list_setting_is_a_tuple_that_keeps_order_and_strict_items() -> None:
    assert Eye(steps=[3, 1]).steps == (3, 1)  # type: ignore[arg-type]  # pydantic takes a list
    assert refusals(Eye, steps=[1, True])["steps"] == {"int_type"}
    assert refusals(Eye, steps=["1"])["steps"] == {"int_type"}
    assert refusals(Eye, steps="12")["steps"] == {"tuple_type"}
    assert refusals(Eye, steps={1: 2})["steps"] == {"tuple_type"}


@pytest.mark.parametrize("unordered", [{1, 2}, frozenset({1, 2})])
def test_a_list_setting_refuses_a_set_whose_order_would_be_chance(unordered: Any) -> None:
    assert refusals(Eye, steps=unordered).get("steps")


def test_defaults_are_not_shared_between_specs() -> None:
    first, second = face(), face()
    first.weights["x"] = WeightsSpec(source="./x.pth")
    assert second.weights == {}
    assert face().weights == {}


# ---- feature maps, weights, figures, references ----------------------------------------------------------------------

MAP = {"name": "c4", "channels": 160, "stride": 16, "module": "features.13"}


def test_a_feature_map_says_what_a_backbone_offers() -> None:
    feature = FeatureMap(**MAP)  # type: ignore[arg-type]
    assert feature.model_dump() == MAP
    assert feature == FeatureMap(**MAP)  # type: ignore[arg-type]
    assert hash(feature) == hash(FeatureMap(**MAP))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "wrong", "kind"),
    [
        ("channels", 0, "greater_than_equal"),
        ("stride", 0, "greater_than_equal"),
        ("channels", 1.5, "int_type"),
        ("name", "", "string_too_short"),
        ("module", "", "string_too_short"),
    ],
)
def test_a_feature_map_without_channels_stride_or_name_is_refused(key: str, wrong: Any, kind: str) -> None:
    assert refusals(FeatureMap, **{**MAP, key: wrong}) == {key: {kind}}


def test_a_backbone_without_feature_maps_says_so() -> None:
    class Blind(BackboneSpec):
        """Forgets its maps."""

        type: Literal["blind"] = "blind"

    with pytest.raises(TypeError, match=r"^Blind does not define feature_maps\(\)$"):
        Blind().feature_maps()


def test_a_backbone_leaves_head_channels_as_they_are_by_default() -> None:
    assert Eye().head_channels(1280) == 1280


@pytest.mark.parametrize("kind", PART_KINDS)
def test_every_kind_of_part_has_a_base_class(kind: str) -> None:
    bases = (BackboneSpec, HeadSpec, TaskSpec, DatasetSpec, RecipeSpec, QuantizationSpec, ExportSpec)
    assert [base for base in bases if base.kind == kind] != []


def test_part_settings_have_bounds() -> None:
    assert refusals(Eye, in_channels=0) == {"in_channels": {"greater_than_equal"}}
    assert refusals(Mouth, num_classes=0) == {"num_classes": {"greater_than_equal"}}
    assert refusals(Mouth, num_classes=1_000_001) == {"num_classes": {"less_than_equal"}}
    assert refusals(Speaking, categories=[])["categories"] == {"string_type", "too_short"}
    assert Speaking(categories=("a", "b")).categories == ("a", "b")
    assert Speaking(categories="some_list").categories == "some_list"


@pytest.mark.parametrize("digest", ["8738ca79", "A" * 64, "0123456789abcdef"])
def test_a_digest_has_8_to_64_hex_digits(digest: str) -> None:
    assert WeightsSpec(source="./x.pth", sha256=digest).sha256 == digest


@pytest.mark.parametrize("digest", ["8738ca7", "A" * 65, "8738ca7g", "", "8738ca79\n"])
def test_other_digests_are_refused(digest: str) -> None:
    assert refusals(WeightsSpec, source="./x.pth", sha256=digest) == {"sha256": {"string_pattern_mismatch"}}


def test_metrics_are_numbers_by_name() -> None:
    assert WeightsSpec(source="./x.pth", metrics={"acc@1": 74}).metrics == {"acc@1": 74.0}
    assert refusals(WeightsSpec, source="./x.pth", metrics={"acc@1": "74"}) == {"metrics": {"float_type"}}
    assert refusals(WeightsSpec, source="./x.pth", metrics={"acc@1": math.nan}) == {"metrics": {"finite_number"}}


def test_references_are_https() -> None:
    assert ReferenceSpec(title="A paper", url="https://arxiv.org/abs/1").url == "https://arxiv.org/abs/1"
    for url in ("http://arxiv.org", "file:///etc/passwd", "arxiv.org", " https://arxiv.org"):
        assert refusals(ReferenceSpec, title="A paper", url=url) == {"url": {"string_pattern_mismatch"}}


def test_figures_and_budgets_are_not_negative() -> None:
    assert refusals(FiguresSpec, parameters=-1, macs=-1.0).keys() == {"parameters", "macs"}
    assert refusals(BudgetSpec, parameters=0, macs=0, size_mb=0).keys() == {"parameters", "macs", "size_mb"}


def test_a_finding_inside_a_part_gets_the_parts_key() -> None:
    finding = Finding("REG201", ("levels", 0), "message", "suggestion", "warning")
    assert finding.within("head") == Finding("REG201", ("head", "levels", 0), "message", "suggestion", "warning")
    assert finding.within("a", 1).path == ("a", 1, "levels", 0)


# ---- a model as a whole ----------------------------------------------------------------------------------------------


def test_a_model_whose_parts_agree_has_no_findings() -> None:
    assert list(face().check()) == []


def test_a_head_for_another_task_is_found() -> None:
    assert list(face(task=Listening()).check()) == [
        Finding(
            "REG203",
            ("head", "type"),
            "head `mouth` serves the task `speaking`, the model's task is `listening`",
            "set task to `speaking`, or choose a head for `listening`",
            also=(("task", "type"), ("task",), ("head",)),
        )
    ]


def test_a_head_that_needs_another_map_is_found_inside_the_head() -> None:
    found = list(face(head=Mouth(num_classes=3, stride=16)).check())
    assert found == [Finding("REG202", ("head", "stride"), "no map of stride 16", also=(("backbone",),))]


def test_a_parts_own_finding_is_placed_inside_the_part() -> None:
    assert list(face(task=Speaking(loud=True)).check()) == [Finding("REG201", ("task", "loud"), "be quiet")]


def test_a_recipe_for_another_task_is_found() -> None:
    found = list(face(recipe=Practice()).check())
    text = "recipe `practice` does not train `speaking`"
    assert found == [Finding("REG203", ("recipe", "type"), text, also=(("recipe",), ("task", "type"), ("task",)))]


def test_unknown_default_weights_are_found_with_the_known_ones() -> None:
    weights = {"V1": WeightsSpec(source="./a.pth"), "V2": WeightsSpec(source="./b.pth")}
    message = "no weights are called `V3`"
    assert list(face(weights=weights, default_weights="V3").check()) == [
        Finding("REG206", ("default_weights",), message, "known here: `V1`, `V2`")
    ]
    assert list(face(default_weights="V3").check()) == [
        Finding("REG206", ("default_weights",), message, "known here: none")
    ]
    assert list(face(weights=weights, default_weights="V2").check()) == []


# ---- digests ---------------------------------------------------------------------------------------------------------

#: The canonical JSON of `face()`: keys sorted, no spaces, numbers of fields that are not whole with their point.
FACE = (
    '{"accepts":[],"aliases":[],"backbone":{"freeze":"with_weights","gain":1.0,"in_channels":3,"steps":[1,2],'
    '"trainable_stages":null,"type":"eye","width":8},"backbone_weights":null,'
    '"budget":{"macs":null,"parameters":null,"size_mb":null},"default_weights":null,'
    '"figures":{"macs":null,"parameters":null,"source":null},"head":{"num_classes":3,"stride":8,"type":"mouth"},'
    '"kind":"model","name":"face","quantization":null,"recipe":null,"references":[],"renames":{},"spec":1,"summary":"",'
    '"task":{"categories":null,"loud":false,"type":"speaking"},"weights":{}}'
)


def test_a_digest_is_the_sha256_of_the_canonical_json() -> None:
    assert face().digest() == hashlib.sha256(FACE.encode()).hexdigest()


def test_a_digest_covers_texts_beyond_ascii_as_utf_8() -> None:
    expected = FACE.replace('"summary":""', '"summary":"Größe 😀"')
    assert face(summary="Größe 😀").digest() == hashlib.sha256(expected.encode()).hexdigest()


def test_equal_specs_have_equal_digests_however_they_were_written() -> None:
    one, two = WeightsSpec(source="./a.pth"), WeightsSpec(source="./b.pth")
    assert face(backbone=Eye(gain=1)).digest() == face(backbone=Eye(gain=1.0)).digest()
    assert face(weights={"a": one, "b": two}).digest() == face(weights={"b": two, "a": one}).digest()
    read = ModelSpec.model_validate({**MAPPINGS, "name": "face"}, context={"types": Family()})
    assert read.digest() == face().digest()


def test_every_setting_changes_the_digest() -> None:
    changed = [
        face(),
        face(name="face2"),
        face(summary="x"),
        face(aliases=("x",)),
        face(backbone=Eye(width=9)),
        face(backbone=Eye(gain=1.0000000000000002)),
        face(backbone=Eye(steps=(2, 1))),
        face(backbone=Eye(steps=())),
        face(head=Mouth(num_classes=4)),
        face(head=Mouth(num_classes=3, stride=4)),
        face(task=Speaking(loud=True)),
        face(task=Speaking(categories=("a", "b", "c"))),
        face(task=Speaking(categories=("b", "a", "c"))),
        face(task=Listening()),
        face(recipe=Practice()),
        face(weights={"a": WeightsSpec(source="./a.pth")}),
        face(weights={"a": WeightsSpec(source="./a.pth", task={"loud": True})}),
        face(figures=FiguresSpec(parameters=1)),
        face(budget=BudgetSpec(parameters=1)),
        face(references=(ReferenceSpec(title="t", url="https://a"),)),
        face(default_weights="a"),
    ]
    assert len({spec.digest() for spec in changed}) == len(changed)


def test_digests_of_the_catalog_are_the_same_in_every_process() -> None:
    code = (
        "import registry\n"
        "for name in registry.list_models(): print(name, registry.load_spec(name).digest())\n"
        "import sys\nassert 'torch' not in sys.modules"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    here = "".join(f"{name} {registry.load_spec(name).digest()}\n" for name in registry.list_models())
    assert outputs == {here}
