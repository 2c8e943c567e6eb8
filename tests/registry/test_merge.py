"""`extends`, named parts and overrides: what a document means, and which line set each of its values."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

import registry
from registry.catalog import dotted
from registry.diagnostics import SpecError
from registry.errors import UnknownNameError
from registry.registry import Registry, Settings
from registry.specs import BackboneSpec, FeatureMap, HeadSpec, Listed, Spec, TaskSpec

# ---- the parts that the documents below are made of ------------------------------------------------------------------


class Tuning(Spec):
    """Settings inside a part."""

    low: Annotated[int, Field(description="A number.")] = 1
    high: Annotated[int, Field(description="A number.")] = 2
    notch: Annotated[int | None, Field(description="A number; null: none.")] = 50


class Soft(Spec):
    """One of two variants."""

    kind: Annotated[Literal["soft"], Field(description="Which.")] = "soft"
    softness: Annotated[float, Field(description="Of this variant alone.")] = 0.5


class Hard(Spec):
    """The other variant."""

    kind: Annotated[Literal["hard"], Field(description="Which.")] = "hard"


class Ear(BackboneSpec):
    """A part with scalars, a list, a table and a mapping."""

    type: Literal["ear"] = "ear"
    width: Annotated[int, Field(ge=1, description="A number.")] = 8
    gain: Annotated[float, Field(gt=0, description="A number.")] = 1.0
    steps: Annotated[Listed[int], Field(description="A list.")] = (1, 2)
    table: Annotated[Listed[Tuning], Field(description="Rows.")] = ()
    tuning: Annotated[Tuning, Field(description="A mapping.")] = Tuning()
    touch: Annotated[Soft | Hard, Field(discriminator="kind", description="A variant.")] = Soft()

    def feature_maps(self) -> tuple[FeatureMap, ...]:
        return (FeatureMap(name="c1", channels=self.width, stride=4, module="a"),)


class Eye(BackboneSpec):
    """A part of another type that shares one setting."""

    type: Literal["eye"] = "eye"
    width: Annotated[int, Field(ge=1, description="A number.")] = 16

    def feature_maps(self) -> tuple[FeatureMap, ...]:
        return (FeatureMap(name="c1", channels=self.width, stride=4, module="a"),)


class Mouth(HeadSpec):
    """The head."""

    type: Literal["mouth"] = "mouth"
    task: ClassVar[str] = "speaking"


class Speaking(TaskSpec):
    """The task."""

    type: Literal["speaking"] = "speaking"


class Plugin:
    """Brings the parts, and the documents of a folder if there is one."""

    def __init__(self, package: str | None) -> None:
        self.package = package

    @registry.hookimpl
    def registry_parts(self, register: Any) -> None:
        for kind, found in (("backbone", Ear), ("backbone", Eye), ("head", Mouth), ("task", Speaking)):
            name = found.__name__
            getattr(register, kind)(name.lower(), spec=f"{__name__}:{name}", target=f"{__name__}:{name}")
        if self.package is not None:
            register.catalog(self.package, ".")


BODY = "task: speaking\nhead: {type: mouth, num_classes: 2}\n"
#: What is shipped under the names that documents below refer to.
SHELF = {
    "backbones.yaml": (
        "kind: backbone\nname: big_ear\naliases: [large_ear]\nsummary: a big one\ntype: ear\nwidth: 64\ngain: 2.0\n"
        "references: [{title: t, url: 'https://a'}]\n"
        "---\nkind: backbone\nname: loud_ear\nextends: big_ear\ngain: 9.0\n"
        "---\nkind: backbone\nname: fine_ear\nextends: big_ear\nsteps: [7]\n"
    ),
    "base.yaml": "kind: model\nname: base\naliases: [root]\nsummary: the base\nbackbone: {type: ear, gain: 1.5}\n"
    + BODY,
    "heir.yaml": "kind: model\nname: heir\nextends: ./base.yaml\nbackbone: {width: 10}\n",
}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of the parts and documents above; the working folder is empty."""
    package = f"shelf_{abs(hash(tmp_path))}"
    write({f"site/{package}/{name}": text for name, text in SHELF.items()}, tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    importlib.invalidate_caches()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Registry([Plugin(package)])


def write(files: dict[str, str], folder: Path | None = None) -> None:
    for name, text in files.items():
        path = (folder or Path.cwd()) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def model(name: str, *lines: str, extends: str | None = None) -> str:
    head = f"kind: model\nname: {name}\n" + (f"extends: {extends}\n" if extends else BODY)
    return head + "".join(f"{line}\n" for line in lines)


def ear(made: Registry, reference: str, overrides: Settings | None = None) -> Ear:
    backbone = made.load_spec(reference, overrides=overrides).backbone
    assert isinstance(backbone, Ear)
    return backbone


def refused(made: Registry, reference: str, overrides: Settings | None = None) -> list[str]:
    with pytest.raises(SpecError) as caught:
        made.load_spec(reference, overrides=overrides)
    return list(map(str, caught.value.diagnostics))


# ---- one document over another ---------------------------------------------------------------------------------------


def test_mappings_merge_key_by_key(made: Registry) -> None:
    write({
        "a.yaml": model("a", "backbone: {type: ear, width: 3, tuning: {low: 10, high: 20}}"),
        "b.yaml": model("b", "backbone: {gain: 2.5, tuning: {high: 30}}", extends="./a.yaml"),
    })  # fmt: skip
    found = ear(made, "b.yaml")
    assert (found.width, found.gain) == (3, 2.5)
    assert found.tuning == Tuning(low=10, high=30)


def test_lists_and_scalars_are_replaced(made: Registry) -> None:
    write({
        "a.yaml": model("a", "backbone: {type: ear, width: 3, steps: [1, 2, 3], table: [{low: 5}, {low: 6}]}"),
        "b.yaml": model("b", "backbone: {width: 4, steps: [9], table: [{high: 7}]}", extends="./a.yaml"),
    })  # fmt: skip
    found = ear(made, "b.yaml")
    assert (found.width, found.steps) == (4, (9,))
    assert found.table == (Tuning(high=7),)


def test_null_removes_what_was_inherited(made: Registry) -> None:
    write({
        "a.yaml": model("a", "budget: {macs: 5}", "backbone: {type: ear, width: 3, gain: 7.0, steps: [3]}"),
        "b.yaml": model("b", "budget:", "backbone: {width: null, steps: ~}", extends="./a.yaml"),
    })  # fmt: skip
    spec = made.load_spec("b.yaml")
    assert spec.backbone == Ear(gain=7.0)
    assert spec.budget.macs is None


def test_null_means_none_where_a_setting_can_be_none(made: Registry) -> None:
    """`notch: null` is "none" in a document that inherits nothing; it is the same in an heir, not the default of 50."""
    write({
        "a.yaml": model("a", "backbone: {type: ear, tuning: {notch: null}}"),
        "b.yaml": model("b", "backbone: {type: ear, tuning: {notch: 60}}"),
        "c.yaml": model("c", "backbone: {tuning: {notch: null}}", extends="./b.yaml"),
    })  # fmt: skip
    assert ear(made, "a.yaml").tuning.notch is None
    assert ear(made, "c.yaml").tuning.notch is None


def test_another_type_drops_the_settings_of_the_old_one(made: Registry) -> None:
    write({
        "a.yaml": model("a", "backbone: {type: ear, width: 3, gain: 7.0}"),
        "b.yaml": model("b", "backbone: {type: eye}", extends="./a.yaml"),
        "c.yaml": model("c", "backbone: {type: ear, gain: 2.0}", extends="./b.yaml"),
    })  # fmt: skip
    assert made.load_spec("b.yaml").backbone == Eye()
    assert made.load_spec("c.yaml").backbone == Ear(gain=2.0)


def test_the_same_type_said_again_keeps_the_settings(made: Registry) -> None:
    write({
        "a.yaml": model("a", "backbone: {type: ear, width: 3}"),
        "b.yaml": model("b", "backbone: {type: ear, gain: 2.0}", extends="./a.yaml"),
    })  # fmt: skip
    assert ear(made, "b.yaml") == Ear(width=3, gain=2.0)


def test_another_variant_drops_the_settings_of_the_old_one(made: Registry) -> None:
    write({
        "a.yaml": model("a", "backbone: {type: ear, touch: {kind: soft, softness: 0.9}}"),
        "b.yaml": model("b", "backbone: {touch: {kind: hard}}", extends="./a.yaml"),
    })  # fmt: skip
    assert ear(made, "b.yaml").touch == Hard()


def test_a_later_parent_lies_over_an_earlier_one(made: Registry) -> None:
    write({
        "a.yaml": model("a", "backbone: {type: ear, width: 3, gain: 3.0}"),
        "b.yaml": model("b", "backbone: {type: ear, width: 4}"),
        "c.yaml": model("c", extends="[./a.yaml, ./b.yaml]"),
        "d.yaml": model("d", extends="[./b.yaml, ./a.yaml]"),
    })  # fmt: skip
    assert ear(made, "c.yaml") == Ear(width=4, gain=3.0)
    assert ear(made, "d.yaml") == Ear(width=3, gain=3.0)


def test_a_diamond_keeps_what_one_branch_has_set(made: Registry) -> None:
    """The right branch only inherits the gain, so it does not undo what the left one says."""
    write({
        "top.yaml": model("top", "backbone: {type: ear, gain: 1.5, width: 5}"),
        "left.yaml": model("left", "backbone: {gain: 2.5}", extends="./top.yaml"),
        "right.yaml": model("right", "backbone: {steps: [4]}", extends="./top.yaml"),
        "m.yaml": model("m", extends="[./left.yaml, ./right.yaml]"),
    })  # fmt: skip
    assert ear(made, "m.yaml") == Ear(gain=2.5, width=5, steps=(4,))


def test_a_diamond_inside_a_part_keeps_what_one_branch_has_set(made: Registry) -> None:
    """`loud_ear` sets the gain of `big_ear` to 9; `fine_ear` only inherits 2."""
    write({"m.yaml": model("m", "backbone: {extends: [loud_ear, fine_ear]}")})
    assert ear(made, "m.yaml") == Ear(width=64, gain=9.0, steps=(7,))


def test_what_a_document_says_about_itself_is_never_inherited(made: Registry) -> None:
    write({"a.yaml": model("a", "figures: {parameters: 5}", extends="base"), "m.yaml": model("m", extends="./a.yaml")})
    assert made.load_spec("a.yaml").figures.parameters == 5
    spec = made.load_spec("m.yaml")
    assert (spec.name, spec.aliases, spec.summary, spec.figures.parameters) == ("m", (), "", None)


def test_an_alias_serves_as_a_parent(made: Registry) -> None:
    write({"m.yaml": model("m", extends="root")})
    assert ear(made, "m.yaml").gain == 1.5


def test_a_catalog_document_may_extend_a_file_beside_it(made: Registry) -> None:
    assert ear(made, "heir") == Ear(width=10, gain=1.5)


def test_a_path_is_relative_to_the_file_that_says_it(made: Registry) -> None:
    write({
        "a.yaml": model("wrong", "backbone: {type: ear, width: 1}"),
        "sub/a.yaml": model("a", "backbone: {type: ear, width: 3}"),
        "sub/b.yaml": model("b", extends="a.yaml"),
        "sub/deep/c.yaml": model("c", extends="../b.yaml"),
        "d.yaml": model("d", extends="sub/deep/c.yaml"),
    })  # fmt: skip
    for name in ("sub/b.yaml", "sub/deep/c.yaml", "d.yaml"):
        assert ear(made, name).width == 3


def test_a_file_that_changed_is_read_again(made: Registry) -> None:
    write({"a.yaml": model("a", "backbone: {type: ear, width: 3}"), "b.yaml": model("b", extends="./a.yaml")})
    assert ear(made, "b.yaml").width == 3
    write({"a.yaml": model("a", "backbone: {type: ear, width: 4}")})
    assert ear(made, "b.yaml").width == 4


# ---- parents that lead nowhere ---------------------------------------------------------------------------------------


def test_a_circle_is_told_with_its_path(made: Registry) -> None:
    write({
        "a.yaml": model("a", extends="./b.yaml"),
        "b.yaml": model("b", extends="./c.yaml"),
        "c.yaml": model("c", extends="[base, ./a.yaml]"),
    })  # fmt: skip
    (text,) = refused(made, "a.yaml")
    message = "error: the documents extend one another in a circle: a -> b -> c -> a [REG109]"
    assert text.endswith(message)
    assert os.path.realpath(text.split(":")[0]) in {str(Path.cwd() / f"{name}.yaml") for name in "abc"}


def test_a_document_that_extends_itself_is_a_circle(made: Registry) -> None:
    write({"a.yaml": model("a", extends="./a.yaml")})
    assert [text.partition(": error: ")[2] for text in refused(made, "a.yaml")] == [
        "the documents extend one another in a circle: a -> a [REG109]"
    ]


def test_a_circle_through_a_part_is_told(made: Registry) -> None:
    write({
        "m.yaml": model("m", "backbone: ./x.yaml"),
        "x.yaml": "kind: backbone\nname: x\nextends: ./y.yaml\n",
        "y.yaml": "kind: backbone\nname: y\nextends: ./x.yaml\n",
    })  # fmt: skip
    (text,) = refused(made, "m.yaml")
    assert text.endswith("error: the documents extend one another in a circle: x -> y -> x [REG109]")


@pytest.mark.parametrize(
    ("extends", "expected"),
    [
        ("bas", "m.yaml:3:10: error: unknown model `bas`; did you mean `base`? [REG108]"),
        ("[base, hair]", "m.yaml:3:17: error: unknown model `hair`; did you mean `heir`? [REG108]"),
        ("leaves", "m.yaml:3:10: error: unknown model `leaves`; known: `base`, `heir`, `root` [REG108]"),
        ("big_ear", "m.yaml:3:10: error: unknown model `big_ear`; there is a backbone of that name [REG108]"),
        ("[]", "m.yaml:3:10: error: `extends` takes a name, a path, or a list of them [REG103]"),
        ("3", "m.yaml:3:10: error: `extends` takes a name, a path, or a list of them [REG103]"),
        ("{a: b}", "m.yaml:3:10: error: `extends` takes a name, a path, or a list of them [REG103]"),
        ("[base, 1]", "m.yaml:3:10: error: `extends` takes a name, a path, or a list of them [REG103]"),
    ],
)
def test_a_parent_that_nobody_has_is_told_with_the_nearest(made: Registry, extends: str, expected: str) -> None:
    write({"m.yaml": model("m", extends=extends)})
    assert refused(made, "m.yaml") == [expected]


def test_a_missing_parent_file_is_told_where_it_is_referred_to(made: Registry) -> None:
    write({"m.yaml": model("m", extends="./nowhere.yaml")})
    (text,) = refused(made, "m.yaml")
    assert text.startswith("m.yaml:3:10: error: there is no such file")


UNREACHABLE = ["nul", "home", "loop", "long"]


@pytest.mark.parametrize(
    "extends", ['"\\0.yaml"', "~no_such_user/a.yaml", "./loop.yaml", f"./{'a' * 300}.yaml"], ids=UNREACHABLE
)
@pytest.mark.parametrize("line", ["extends: {}", "backbone: {}", "backbone: {{extends: {}}}"])
def test_a_path_that_cannot_be_followed_is_told_where_it_is_written(made: Registry, extends: str, line: str) -> None:
    Path("loop.yaml").symlink_to("loop.yaml")
    write({"m.yaml": f"kind: model\nname: m\n{line.format(extends)}\n"})
    with pytest.raises(SpecError) as caught:
        made.load_spec("m.yaml")
    (found,) = caught.value.diagnostics
    assert (found.span.file, found.span.line) == ("m.yaml", 3)


@pytest.mark.parametrize(
    "path", ["\0.yaml", "~no_such_user/a.yaml", "./loop.yaml", f"./{'a' * 300}.yaml"], ids=UNREACHABLE
)
def test_a_file_that_cannot_be_found_is_an_error_not_a_traceback(made: Registry, path: str) -> None:
    Path("loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(SpecError) as caught:
        made.load_spec(path)
    assert [found.rule for found in caught.value.diagnostics] == ["REG001"]
    assert [found.rule for found in made.validate(path)] == ["REG001"]


@pytest.mark.parametrize("extends", ["../a.yaml", "/etc/a.yaml", "sub/../../a.yaml", "~/a.yaml", "./link.yaml"])
def test_a_path_that_leaves_the_root_is_refused(made: Registry, tmp_path: Path, extends: str) -> None:
    write({"a.yaml": model("a", "backbone: {type: ear}")}, tmp_path)
    Path("link.yaml").symlink_to(tmp_path / "a.yaml")
    write({"m.yaml": model("m", extends=extends)})
    root = Path.cwd()
    assert refused(made, "m.yaml") == [f"m.yaml:3:10: error: the path `{extends}` leaves {root} [REG111]"]


@pytest.mark.parametrize("typed", ["{far}/wide.yaml", "../wide.yaml", "./near.yaml"])
def test_a_path_that_the_user_types_may_lead_anywhere(made: Registry, tmp_path: Path, typed: str) -> None:
    wide = "kind: backbone\nname: wide\nsummary: Wide\ntype: ear\nwidth: 7\n"
    write({"m.yaml": model("m", "backbone: {type: ear}"), "near.yaml": wide})
    outside = Path.cwd().parent
    (outside / "wide.yaml").write_text(wide, encoding="utf-8")
    spec = made.load_spec("m.yaml", overrides=[f"backbone={typed.format(far=outside)}"])
    assert spec.backbone == Ear(width=7)


def test_a_file_elsewhere_may_refer_into_its_own_folder_only(made: Registry, tmp_path: Path) -> None:
    write({"far/a.yaml": model("a", "backbone: {type: ear}"), "far/m.yaml": model("m", extends="a.yaml")}, tmp_path)
    assert ear(made, str(tmp_path / "far/m.yaml")) == Ear()
    write({"b.yaml": model("b", "backbone: {type: ear}"), "far/n.yaml": model("n", extends="../b.yaml")}, tmp_path)
    file = tmp_path / "far/n.yaml"
    expected = f"{file}:3:10: error: the path `../b.yaml` leaves {tmp_path / 'far'} [REG111]"
    assert refused(made, str(file)) == [expected]


def test_a_parent_file_with_several_documents_is_refused(made: Registry) -> None:
    write({"a.yaml": model("a") + "---\n" + model("b"), "m.yaml": model("m", extends="./a.yaml")})
    (text,) = refused(made, "m.yaml")
    assert text == "m.yaml:3:10: error: `./a.yaml`: the file holds 2 model documents; one was expected [REG108]"


def test_a_parent_that_is_no_yaml_is_told_in_its_own_file(made: Registry) -> None:
    write({"a.yaml": "kind: [\nb: c\n", "m.yaml": model("m", extends="./a.yaml")})
    (text,) = refused(made, "m.yaml")
    assert os.path.realpath(text.split(":")[0]) == str(Path.cwd() / "a.yaml")
    assert text.endswith("[REG003]")


# ---- parts by name ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["big_ear", "large_ear", "{extends: big_ear}", "{extends: [big_ear]}"])
def test_a_part_may_be_named(made: Registry, name: str) -> None:
    write({"m.yaml": model("m", f"backbone: {name}")})
    assert ear(made, "m.yaml") == Ear(width=64, gain=2.0)


def test_a_part_may_be_a_file(made: Registry) -> None:
    write({
        "parts/x.yaml": "kind: backbone\nname: x\nextends: big_ear\ngain: 5.0\n",
        "m.yaml": model("m", "backbone: ./parts/x.yaml"),
    })  # fmt: skip
    assert ear(made, "m.yaml") == Ear(width=64, gain=5.0)


def test_a_part_may_be_a_bare_type_that_needs_no_settings(made: Registry) -> None:
    write({"m.yaml": model("m", "backbone: eye")})
    assert made.load_spec("m.yaml").backbone == Eye()


def test_a_part_extends_a_named_one_and_adds_to_it(made: Registry) -> None:
    write({"m.yaml": model("m", "backbone: {extends: big_ear, gain: 3.0, tuning: {low: 0}}")})
    assert ear(made, "m.yaml") == Ear(width=64, gain=3.0, tuning=Tuning(low=0))


def test_a_part_of_several_named_ones_takes_the_later_over_the_earlier(made: Registry) -> None:
    write({
        "x.yaml": "kind: backbone\nname: x\ntype: ear\nwidth: 1\ngain: 4.0\n",
        "m.yaml": model("m", "backbone: {extends: [big_ear, ./x.yaml], steps: []}"),
    })  # fmt: skip
    assert ear(made, "m.yaml") == Ear(width=1, gain=4.0, steps=())


@pytest.mark.parametrize("line", ["backbone: big_ear", "backbone: {extends: big_ear}"])
def test_a_part_named_by_an_heir_keeps_nothing_of_the_inherited_one(made: Registry, line: str) -> None:
    write({
        "a.yaml": model("a", "backbone: {type: ear, gain: 7.0, steps: [3], tuning: {low: 10}}"),
        "b.yaml": model("b", line, extends="./a.yaml"),
    })  # fmt: skip
    assert ear(made, "b.yaml") == Ear(width=64, gain=2.0)


def test_settings_of_an_heir_lie_over_an_inherited_named_part(made: Registry) -> None:
    write({
        "a.yaml": model("a", "backbone: big_ear"),
        "b.yaml": model("b", "backbone: {gain: 3.0}", extends="./a.yaml"),
    })  # fmt: skip
    assert ear(made, "b.yaml") == Ear(width=64, gain=3.0)


def test_a_part_that_nobody_has_is_told_with_the_nearest(made: Registry) -> None:
    write({"m.yaml": model("m", "backbone: big_eer")})
    assert refused(made, "m.yaml") == [
        "m.yaml:5:11: error: unknown backbone `big_eer`; did you mean `big_ear`? [REG108]"
    ]


def test_a_document_of_a_part_resolves_too(made: Registry) -> None:
    assert made.explain("loud_ear", kind="backbone").spec == Ear(width=64, gain=9.0)


# ---- where each value comes from -------------------------------------------------------------------------------------


def origins(made: Registry, reference: str, overrides: Settings | None = None) -> dict[str, tuple[object, str]]:
    """Value and `file:line` of each setting; files by their bare names."""
    settings = made.explain(reference, overrides=overrides).settings
    return {dotted(s.path): (s.value, f"{os.path.basename(s.span.file)}:{s.span.line}") for s in settings}


def test_every_setting_tells_the_file_and_line_that_set_it(made: Registry) -> None:
    write({
        "top.yaml": "kind: model\nname: top\ntask:\n  type: speaking\nhead:\n  type: mouth\n  num_classes: 2\n",
        "m.yaml": (
            "kind: model\nname: m\nextends: ./top.yaml\n\nhead: {num_classes: 3}\n"
            "backbone:\n  extends: big_ear\n  steps: [1, 2]\n"
            "  table:\n    - {low: 1, high: 2}\n    - low: 3\n  tuning:\n    notch: 4\n"
        ),
    })  # fmt: skip
    found = origins(made, "m.yaml")
    assert {key: found[key] for key in found if key not in ("kind", "name")} == {
        "task.type": ("speaking", "top.yaml:4"),
        "head.type": ("mouth", "top.yaml:6"),
        "head.num_classes": (3, "m.yaml:5"),
        "backbone.type": ("ear", "backbones.yaml:5"),
        "backbone.width": (64, "backbones.yaml:6"),
        "backbone.gain": (2.0, "backbones.yaml:7"),
        "backbone.steps": ([1, 2], "m.yaml:8"),
        "backbone.table.0": ({"low": 1, "high": 2}, "m.yaml:10"),
        "backbone.table.1.low": (3, "m.yaml:11"),
        "backbone.tuning.notch": (4, "m.yaml:13"),
    }
    assert found["name"] == ("m", "m.yaml:2")


def test_settings_come_in_the_order_of_the_merged_document(made: Registry) -> None:
    write({
        "a.yaml": model("a", "backbone: {type: ear, gain: 1.5, width: 5}"),
        "b.yaml": model("b", "backbone: {steps: [1], width: 6}", extends="./a.yaml"),
    })  # fmt: skip
    keys = [key for key in origins(made, "b.yaml") if key.startswith("backbone")]
    assert keys == ["backbone.type", "backbone.gain", "backbone.width", "backbone.steps"]


def test_a_row_of_one_line_of_which_an_item_was_overridden_is_told_item_by_item(made: Registry) -> None:
    write({"m.yaml": model("m", "backbone: {type: ear, steps: [1, 2]}")})
    found = origins(made, "m.yaml", ["backbone.steps.1=5"])
    assert found["backbone.steps.0"] == (1, "m.yaml:5")
    assert found["backbone.steps.1"] == (5, "--set:1")


def test_an_explanation_holds_the_spec_and_the_feature_maps(made: Registry) -> None:
    found = made.explain("heir")
    assert (found.kind, found.name, found.spec) == ("model", "heir", made.load_spec("heir"))
    assert found.features == (FeatureMap(name="c1", channels=10, stride=4, module="a"),)
    assert made.explain("big_ear", kind="backbone").features[0].channels == 64


def test_a_value_from_a_merge_key_tells_the_line_of_the_anchor(made: Registry) -> None:
    write({"m.yaml": model("m", "backbone:", "  type: ear", "  tuning: &t {low: 3}", "  table:", "    - <<: *t")})
    assert origins(made, "m.yaml")["backbone.table.0.low"] == (3, "m.yaml:7")


def test_a_file_has_one_name_in_diagnostics_however_it_was_reached(made: Registry) -> None:
    """An error of a parent is told once, though both documents are validated."""
    write({
        "a.yaml": model("a", "backbone: {type: ear, width: 0}"),
        "b.yaml": model("b", extends="./a.yaml"),
    })  # fmt: skip
    assert list(map(str, made.validate("a.yaml", "b.yaml"))) == [
        "a.yaml:5:30: error: must be at least 1, got 0 [REG104]"
    ]
    (found,) = made.validate("b.yaml")
    assert str(found) == "a.yaml:5:30: error: must be at least 1, got 0 [REG104]"
    assert [(str(note.span), note.message) for note in found.related] == [("b.yaml:2:7", "inherited by the model `b`")]


# ---- overrides -------------------------------------------------------------------------------------------------------

SAME: Iterable[Settings] = [
    {"backbone.width": 3, "backbone.tuning.low": 7},
    {"backbone": {"width": 3, "tuning": {"low": 7}}},
    {"backbone": {"width": 3, "tuning.low": 7}},
    {"backbone.tuning": {"low": 7}, "backbone": {"width": 3}},
    ["backbone.width=3", "backbone.tuning.low=7"],
    ["backbone={width: 3, tuning: {low: 7}}"],
    [" backbone . width = 3 ", "backbone.tuning={low: 0x7}"],
    ["backbone.width=9", "backbone.tuning.low=7", "backbone.width=3"],
]


@pytest.mark.parametrize("overrides", SAME, ids=str)
def test_settings_are_laid_over_the_document_in_every_form(made: Registry, overrides: Settings) -> None:
    assert ear(made, "base", overrides) == Ear(gain=1.5, width=3, tuning=Tuning(low=7))


def test_a_single_assignment_needs_no_list(made: Registry) -> None:
    assert ear(made, "base", "backbone.width=3").width == 3


@pytest.mark.parametrize(
    ("assignment", "steps"),
    [
        ("backbone.steps=[5]", (5,)),
        ("backbone.steps=[]", ()),
        ("backbone.steps.1=5", (1, 5)),
        ("backbone.steps.0=5", (5, 2)),
    ],
)
def test_a_list_is_replaced_whole_or_at_an_index(made: Registry, assignment: str, steps: tuple[int, ...]) -> None:
    write({"m.yaml": model("m", "backbone: {type: ear, steps: [1, 2]}")})
    assert ear(made, "m.yaml", [assignment]).steps == steps


def test_a_row_of_a_table_is_changed_in_place(made: Registry) -> None:
    write({"m.yaml": model("m", "backbone: {type: ear, table: [{low: 5, high: 6}, {low: 7}]}")})
    assert ear(made, "m.yaml", ["backbone.table.0.high=9"]).table == (Tuning(low=5, high=9), Tuning(low=7))
    assert ear(made, "m.yaml", {"backbone.table.1": {"high": 9}}).table[1] == Tuning(low=7, high=9)


@pytest.mark.parametrize(
    ("text", "value"), [("a=b", "a=b"), ("no", "no"), (" x y ", "x y"), ("'1'", "1"), ('"a: b"', "a: b"), ("é", "é")]
)
def test_values_of_assignments_are_read_as_yaml(made: Registry, text: str, value: str) -> None:
    assert made.load_spec("base", overrides=[f"summary={text}"]).summary == value


def test_a_part_is_replaced_by_name_and_keeps_nothing(made: Registry) -> None:
    for overrides in (["backbone=big_ear"], {"backbone": "big_ear"}):
        assert ear(made, "base", overrides) == Ear(width=64, gain=2.0)
    assert ear(made, "base", ["backbone=big_ear", "backbone.width=3"]) == Ear(width=3, gain=2.0)
    assert ear(made, "base", ["backbone.width=3", "backbone=big_ear"]) == Ear(width=64, gain=2.0)


def test_a_part_of_another_type_drops_the_old_settings(made: Registry) -> None:
    for overrides in (["backbone={type: eye}"], {"backbone": {"type": "eye"}}, ["backbone.type=eye"]):
        assert made.load_spec("base", overrides=overrides).backbone == Eye()


def test_a_part_given_as_a_path_is_found_from_the_working_folder(made: Registry) -> None:
    """Who types a path means the folder he is in, not the one that the model was shipped in."""
    write({"x.yaml": "kind: backbone\nname: x\ntype: ear\nwidth: 3\n"})
    assert ear(made, "base", ["backbone=./x.yaml"]) == Ear(width=3)


def test_a_spec_in_hand_serves_as_an_override(made: Registry) -> None:
    assert ear(made, "base", {"backbone": Ear(width=3)}) == Ear(width=3)


def test_null_in_an_override_does_what_null_does_in_an_heir(made: Registry) -> None:
    for overrides in (["backbone={gain: null}"], ["backbone.gain=null"], ["backbone.gain="], {"backbone.gain": None}):
        assert ear(made, "base", overrides).gain == 1.0  # the default; the document says 1.5
    assert ear(made, "base", ["backbone.tuning.notch=null"]).tuning.notch is None


def test_an_override_tells_its_own_text_as_the_place(made: Registry) -> None:
    assert refused(made, "base", ["backbone.width=0"]) == ["--set:1:16: error: must be at least 1, got 0 [REG104]"]
    assert refused(made, "base", {"backbone.width": 0}) == ["overrides:1:18: error: must be at least 1, got 0 [REG104]"]
    with pytest.raises(SpecError) as caught:
        made.load_spec("base", overrides=["backbone.width=0"])
    span = caught.value.diagnostics[0].span
    assert (span.source.line(1), span.end_column) == ("backbone.width=0", 17)


FORM = "error: an override has the form `key.key=value`; write for instance `backbone.in_channels=1` [REG113]"


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("backbone.width", f"--set:1:1: {FORM}"),
        ("=1", f"--set:1:1: {FORM}"),
        ("backbone..width=1", f"--set:1:1: {FORM}"),
        ("", f"--set:1:1: {FORM}"),
        ("backbone.widht=1", "--set:1:1: error: unknown key `widht` in `backbone`; did you mean `width`? [REG101]"),
        (
            "bacbone.width=1",
            "--set:1:1: error: unknown key `bacbone`; did you mean `backbone` or `backbone_weights`? [REG101]",
        ),
        ("backbone.gain.x=1", "--set:1:1: error: `backbone.gain` is a single value and has no `x` [REG113]"),
        ("name.x=1", "--set:1:1: error: `name` is a single value and has no `x` [REG113]"),
        ("backbone=big_eer", "--set:1:10: error: unknown backbone `big_eer`; did you mean `big_ear`? [REG108]"),
        ("backbone.width=[", None),
        ("backbone.width=!x 1", "--set:1:16: error: the tag `!x` is not allowed; write the value alone [REG113]"),
        ("backbone.width=1\n---\n2", "--set:1:16: error: one value was expected, not several documents [REG113]"),
    ],
)
def test_an_override_that_leads_nowhere_is_told(made: Registry, assignment: str, expected: str | None) -> None:
    (text,) = refused(made, "base", [assignment])
    if expected is None:
        assert text.startswith("--set:1:16: error: not YAML: ")
    else:
        assert text == expected


@pytest.mark.parametrize("index", ["3", "-1", "x", "1.5", "²"])
def test_what_is_no_index_of_a_list_is_told_with_the_range(made: Registry, index: str) -> None:
    write({"m.yaml": model("m", "backbone: {type: ear, steps: [1, 2, 3]}")})
    if index == "1.5":  # the item 1, and `5` inside it
        expected = "--set:1:1: error: `backbone.steps.1` is a single value and has no `5` [REG113]"
    else:
        expected = "--set:1:1: error: a list of 3 items takes an index from 0 to 2 [REG113]"
    assert refused(made, "m.yaml", [f"backbone.steps.{index}=1"]) == [expected]


def test_the_range_of_a_short_list_makes_sense(made: Registry) -> None:
    write({"m.yaml": model("m", "backbone: {type: ear, steps: [1], table: []}")})
    (one,) = refused(made, "m.yaml", ["backbone.steps.1=1"])
    assert "1 items" not in one
    (empty,) = refused(made, "m.yaml", ["backbone.table.0=1"])
    assert "to -1" not in empty


def test_empty_keys_are_refused_in_mappings_as_in_assignments(made: Registry) -> None:
    for overrides in ({"": 1}, {"backbone..width": 1}, {"backbone": {"": 1}}):
        (text,) = refused(made, "base", overrides)
        assert text.endswith("[REG113]")


def test_an_endless_path_is_an_error_not_a_traceback(made: Registry) -> None:
    with pytest.raises(SpecError):
        made.load_spec("base", overrides=["a" + ".a" * 5000 + "=1"])


def test_overrides_leave_the_document_as_it_was(made: Registry) -> None:
    before = made.load_spec("base")
    assert made.load_spec("base", overrides={"backbone.width": 3}) != before
    assert made.load_spec("base") == before


# ---- references ------------------------------------------------------------------------------------------------------


def test_a_spec_in_hand_is_a_reference(made: Registry) -> None:
    spec = made.load_spec("heir")
    assert made.load_spec(spec) == spec
    assert ear(made, "heir", {"backbone.width": 3}) == made.load_spec(spec, overrides={"backbone.width": 3}).backbone


def test_a_name_is_never_taken_for_a_file(made: Registry) -> None:
    write({"base": model("wrong")})
    assert made.load_spec("base").name == "base"
    Path("nameless").touch()
    with pytest.raises(UnknownNameError):
        made.load_spec("nameless")


def test_a_path_object_is_always_a_file(made: Registry) -> None:
    write({"base": model("from_file", "backbone: eye")})
    assert made.load_spec(Path("base")).name == "from_file"


def test_a_model_of_unknown_name_is_told_with_the_nearest(made: Registry) -> None:
    with pytest.raises(UnknownNameError) as caught:
        made.load_spec("bass")
    assert str(caught.value) == "unknown model `bass`; did you mean `base`?"


def test_a_file_with_several_models_is_refused(made: Registry) -> None:
    write({"m.yaml": model("a") + "---\n" + model("b"), "n.yaml": "kind: backbone\nname: x\ntype: ear\n"})
    assert refused(made, "m.yaml") == ["m.yaml:7:7: error: the file holds 2 model documents; one was expected [REG108]"]
    assert refused(made, "n.yaml") == ["n.yaml:1:1: error: the file holds no model document; one was expected [REG108]"]


def test_counts_given_as_arguments_win_over_the_document(made: Registry) -> None:
    spec = made.load_spec("base", num_classes=7, in_channels=1)
    assert (spec.head.num_classes, spec.backbone.in_channels) == (7, 1)


def test_class_names_are_dropped_where_another_class_count_is_asked_for(made: Registry) -> None:
    write(
        {"m.yaml": model("m", "backbone: eye").replace("task: speaking", "task: {type: speaking, categories: [a, b]}")}
    )
    assert made.load_spec("m.yaml").task.categories == ("a", "b")
    assert made.load_spec("m.yaml", num_classes=2).task.categories == ("a", "b")
    assert made.load_spec("m.yaml", num_classes=3).task.categories is None
