"""Schema files: they are up to date, valid themselves, accept what ships, and know every plugin."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Literal

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from pydantic import BaseModel, BeforeValidator, Field

import registry
from registry.catalog import KINDS
from registry.catalog.catalog import Catalog
from registry.cli.schema import command
from registry.diagnostics import errors
from registry.errors import RegistryError
from registry.host import Candidate, PluginHost
from registry.host.records import Origin
from registry.registry import Registry
from registry.schema import schema_of, text_of, write
from registry.source import plain, read_bytes
from registry.specs import BackboneSpec, HeadSpec, NormSpec, Rename, Spec, TaskSpec
from registry.specs.model import SOURCE

ROOT = Path(__file__).resolve().parents[3]
UPDATE = "REGISTRY_PLUGINS= registry schema --out schemas"
FILES = {**{kind: kind for kind in KINDS}, "document": None}


@functools.cache
def built_in() -> Registry:
    """The registry of the built-in plugins alone."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("REGISTRY_PLUGINS", "")
        return Registry()


@functools.cache
def built_in_schema(kind: str | None) -> dict[str, Any]:
    return schema_of(built_in().host, built_in().library.catalog, kind)


def refused(schema: dict[str, Any], document: Any) -> list[str]:
    """What the schema says against a document."""
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(document)]


# ---- the files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_what_the_spec_classes_say(name: str) -> None:
    path = ROOT / "schemas" / f"{name}.schema.json"
    written = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if written != built_in_schema(FILES[name]):
        pytest.fail(f"{path.relative_to(ROOT)} is not up to date; run: {UPDATE}", pytrace=False)


def test_there_are_no_other_files() -> None:
    assert sorted(path.name for path in (ROOT / "schemas").iterdir()) == sorted(f"{name}.schema.json" for name in FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_schema_is_one(name: str) -> None:
    schema = built_in_schema(FILES[name])
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    targets = set(re.findall(r'"\$ref": "#/\$defs/([^"/]+)', text_of(schema)))
    assert targets == set(schema["$defs"])  # none is missing, and none is there for nothing


@pytest.mark.parametrize("name", FILES)
def test_its_examples_are_valid(name: str) -> None:
    schema = built_in_schema(FILES[name])
    examples = schema.get("examples", [])
    assert [refused(schema, example) for example in examples] == [[]] * len(examples)
    if name in ("model", "backbone", "document"):
        assert examples != []


# ---- documents -------------------------------------------------------------------------------------------------------


def shipped() -> Iterator[tuple[str, Any]]:
    for document in built_in().library.catalog.documents:
        yield f"{document.kind} {document.name}", plain(document.node)


def in_the_guides() -> Iterator[tuple[str, Any]]:
    """Code blocks of the guides that are whole documents."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)):
            if not re.search(r"^kind: ", block, re.M):
                continue  # a piece of a document
            for node in read_bytes(block.encode(), page.name):
                document = plain(node)
                if isinstance(document, dict) and {"kind", "name"} <= set(document):
                    yield f"{page.name} {number}", document


def by_name(documents: Iterator[tuple[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("document", [pytest.param(document, id=name) for name, document in documents])


@by_name(shipped())
def test_what_ships_is_accepted(document: Any) -> None:
    assert refused(built_in_schema(document["kind"]), document) == []
    assert refused(built_in_schema(None), document) == []


@by_name(in_the_guides())
def test_what_the_guides_show_is_accepted(document: Any) -> None:
    text = json.dumps(document)
    if any(d.rule == "REG107" for d in built_in().library.validate_text(text.encode(), "guide.json")):
        pytest.skip("its type is that of a plugin that the guide makes")
    assert refused(built_in_schema(document["kind"]), document) == []
    assert refused(built_in_schema(None), document) == []


def test_the_guides_have_documents() -> None:
    assert len(list(in_the_guides())) >= 3


MODEL: dict[str, Any] = {
    "kind": "model",
    "name": "mine",
    "task": {"type": "classification"},
    "backbone": "mobilenet_v3_small",
    "head": {"type": "mobilenet_v3_classifier", "num_classes": 2},
}
HEIR = {"kind": "model", "name": "mine", "extends": "mobilenet_v3_small"}
BACKBONE = {"kind": "backbone", "name": "mine", "type": "resnet"}

ENDS = r"\\.[yY][aA][mM][lL]$|\\.[yY][mM][lL]$|\\.[jJ][sS][oO][nN]$"

#: Settings laid over a document, and the whole of what the schema says against it.
MISTAKES: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    (MODEL, {}, []),
    (MODEL, {"backbone": {"extends": ["mobilenet_v3_small"], "width_mult": 0.5}}, []),
    (MODEL, {"backbone": {"type": "vision-registry/resnet", "norm": "group"}}, []),
    (MODEL, {"backbone": {"type": "resnet", "norm": {"kind": "group", "groups": 4}}}, []),
    (MODEL, {"backbone": {"type": "resnet", "norm": {"groups": 4}}}, ["$.backbone.norm: 'kind' is a required property"]),
    (MODEL, {"recipe": None, "weights": None, "figures": None}, []),
    (
        MODEL,
        {"backbone": {"type": "resnet", "width": 1}},
        ["$.backbone: Additional properties are not allowed ('width' was unexpected)"],
    ),
    (MODEL, {"head": {**MODEL["head"], "dropout": 1}}, ["$.head.dropout: 1 is greater than or equal to the maximum of 1"]),
    (MODEL, {"backbone": {"type": "resnet", "layers": []}}, ["$.backbone.layers: [] should be non-empty"]),
    (MODEL, {"backbone": {"type": "mobilenet_v3"}}, ["$.backbone: 'blocks' is a required property"]),
    (MODEL, {"backbone": {"norm": "auto"}}, ["$.backbone: 'type' is a required property"]),
    (MODEL, {"head": None}, ["$.head: None is not of type 'object'", "$.head: None is not of type 'string'"]),
    (MODEL, {"spec": 2}, ["$.spec: 1 was expected"]),
    (MODEL, {"spec": None}, ["$.spec: 1 was expected"]),
    (MODEL, {"wieghts": {}}, ["$: Additional properties are not allowed ('wieghts' was unexpected)"]),
    (HEIR, {"name": "mine.YaML"}, [r"$.name: 'mine.YaML' should not be valid under {'pattern': '" + ENDS + "'}"]),
    (HEIR, {"weights": {"V1": {"source": "elsewhere"}}}, ["$.weights.V1.source: 'elsewhere' does not match " + repr(SOURCE)]),
    (HEIR, {"extends": []}, ["$.extends: [] should be non-empty", "$.extends: [] is not of type 'string'"]),
    (HEIR, {"backbone": {"norm": {"groups": 4}}, "head": {"num_classes": 3}}, []),
    (HEIR, {"head": {"pyramid": {"out_channels": 8}}}, []),
    (HEIR, {"head": {"type": "faster_rcnn", "pyramid": {"out_channels": 8}}}, []),
    (HEIR, {"backbone": {"blocks": None}}, ["$.backbone.blocks: None is not of type 'array'"]),
    (HEIR, {"backbone": {"blocks": [{"kernel": 3}]}}, ["$.backbone.blocks[0]: 'expanded' is a required property"]),
    (HEIR, {"weights": {"IMAGENET1K_V1": {"task": {"top_k": 3, "preprocessing": {"crop": None}}}}}, []),
    (HEIR, {"weights": {"V1": {"task": {"top_k": 0}}}}, ["$.weights.V1.task.top_k: 0 is less than the minimum of 1"]),
    (BACKBONE, {"layers": [1, 1], "in_channels": None}, []),
    (BACKBONE, {"extends": "resnet18", "type": "resnet", "layers": [1, 1]}, []),
    (BACKBONE, {"output_stride": 4}, ["$.output_stride: 4 is not one of [8, 16, 32, None]"]),
    (BACKBONE, {"type": "mobilenet_v2"}, ["$: 'blocks' is a required property"]),
    (BACKBONE, {"figures": {}}, ["$: Additional properties are not allowed ('figures' was unexpected)"]),
    ({"kind": "recipe", "name": "mine", "extends": "other"}, {}, []),
]  # fmt: skip


def leaves(error: Any) -> Iterator[str]:
    """An error, or all that it stems from."""
    if error.context:
        for inner in error.context:
            yield from leaves(inner)
    else:
        yield f"{error.json_path}: {error.message}"


@pytest.mark.parametrize(("document", "settings", "expected"), MISTAKES)
@pytest.mark.parametrize("of_kind", [True, False], ids=["its kind", "any kind"])
def test_mistakes_are_told_where_they_are(
    document: dict[str, Any], settings: dict[str, Any], expected: list[str], of_kind: bool
) -> None:
    schema = built_in_schema(document["kind"] if of_kind else None)
    told = [t for e in Draft202012Validator(schema).iter_errors({**document, **settings}) for t in leaves(e)]
    assert set(expected) <= set(told)
    assert bool(told) == bool(expected)


# ---- what editors show -----------------------------------------------------------------------------------------------


def test_settings_are_described_with_their_defaults() -> None:
    settings = built_in_schema("backbone")["$defs"]["backbone.resnet:settings"]["properties"]
    assert settings["stem_channels"] == {
        "description": "Channels of stem and first stage's 3x3 convolutions; doubles by stage.",
        "default": 64,
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": 4096,
    }
    assert settings["block"]["enum"] == ["basic", "bottleneck", None]


def test_types_are_explained_by_their_classes() -> None:
    choices = built_in_schema("model")["$defs"]["backbone:type"]["anyOf"]
    about = "A stem, inverted residuals as the table says, and a last 1x1 convolution."
    assert {"const": "mobilenet_v3", "description": about} in choices


def test_names_of_the_catalog_are_offered() -> None:
    offered = built_in_schema("model")["$defs"]["backbone:name"]["examples"]
    assert set(built_in().library.catalog.names("backbone")) < set(offered)


# ---- plugins ---------------------------------------------------------------------------------------------------------


class Lens:
    """A class that pydantic knows nothing of."""


class Shade(Spec):
    """Shade."""

    depth: Annotated[int, Field(ge=1, description="How dark.")]
    inner: Annotated[Shade | None, Field(description="A shade inside.")] = None


def _counted(value: Any) -> Any:
    return len(value) if isinstance(value, str) else value


class Eye(BackboneSpec):
    """An eye.

    And more about it.
    """

    model_config = {"arbitrary_types_allowed": True}
    type: Annotated[Literal["eye.v1"], Field(description="Type.")] = "eye.v1"
    width: Annotated[int, Field(ge=1, description="Channels.")] = 8
    norm: Annotated[NormSpec | None, Field(description="Norm.")] = None
    shade: Annotated[Shade, Field(description="Shade.")]
    letters: Annotated[
        int, BeforeValidator(_counted, json_schema_input_type=int | str), Field(description="Count.")
    ] = 1
    lens: Annotated[Lens | None, Field(description="Lens.")] = None


class OtherEye(BackboneSpec):
    """Another eye of the same name."""

    type: Annotated[Literal["eye.v1"], Field(description="Type.")] = "eye.v1"
    height: Annotated[int, Field(description="Height.")] = 8


class Ear(BackboneSpec):
    """An ear."""

    renamed_keys: ClassVar[dict[str, Rename]] = {
        "size": Rename("width", until="2.0"),
        "hue": Rename("shade", until="3.0"),
    }
    type: Annotated[Literal["ear"], Field(description="Type.")] = "ear"
    width: Annotated[int, Field(ge=1, description="Channels.")]
    shade: Annotated[int, Field(ge=1, description="Shade.")] = 1


class Mouth(HeadSpec):
    type: Literal["mouth"] = "mouth"
    task: ClassVar[str] = "speaking"


class Speaking(TaskSpec):
    """Speaking."""

    type: Literal["speaking"] = "speaking"


class NoSpec(BaseModel):
    """Not the spec of a part."""


def plugin(renames: dict[str, str] | None = None, **parts: tuple[str, str]) -> Any:
    """A plugin that registers classes of this module, by kind."""

    class Plugin:
        @registry.hookimpl
        def registry_parts(self, register: Any) -> None:
            for kind, (type_name, class_name) in parts.items():
                getattr(register, kind)(
                    type_name, spec=f"third_party:{class_name}", target="third_party:build", renames=renames
                )

    return Plugin()


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("third_party")
    vars(module).update({c.__name__: c for c in (Eye, OtherEye, Ear, Mouth, Speaking, NoSpec)})
    monkeypatch.setitem(sys.modules, "third_party", module)


FACE: dict[str, Any] = {
    "kind": "model",
    "name": "face",
    "task": {"type": "speaking"},
    "backbone": {"type": "eye.v1", "shade": {"depth": 2}},
    "head": {"type": "mouth", "num_classes": 2},
}


@pytest.mark.usefixtures("third_party")
def test_the_parts_of_a_third_party_are_in_the_schema() -> None:
    made = Registry(
        plugins=[plugin(backbone=("eye.v1", "Eye"), head=("mouth", "Mouth"), task=("speaking", "Speaking"))]
    )
    schema = schema_of(made.host, made.library.catalog, "model")
    Draft202012Validator.check_schema(schema)
    assert schema["$defs"]["backbone.eye.v1"]["description"] == "An eye."
    assert "description" not in schema["$defs"]["head.mouth"]
    assert list(schema["$defs"]["backbone:type"]["anyOf"][0].items()) == [
        ("const", "eye.v1"),
        ("description", "An eye."),
    ]
    assert not [name for name in schema["$defs"] if "resnet" in name]
    eye = FACE["backbone"]
    right: list[dict[str, Any]] = [
        {},
        {"norm": "group", "letters": "abc"},
        {"lens": 1},  # a class that has no JSON Schema may hold anything, for all that the schema knows
        {"shade": {"depth": 1, "inner": {"depth": 1, "inner": None}}},
        {"type": "local/eye.v1"},
    ]
    for settings in right:
        assert refused(schema, {**FACE, "backbone": {**eye, **settings}}) == [], settings
    wrong: list[dict[str, Any]] = [
        {"width": 0},
        {"type": "eyexv1"},
        {"shade": {}},
        {"shade": {"depth": 1, "inner": {"depht": 1}}},
        {"letters": 0.5},
        {"height": 2},
    ]
    for settings in wrong:
        assert refused(schema, {**FACE, "backbone": {**eye, **settings}}) != [], settings
    heir = {"kind": "model", "name": "face2", "extends": "face", "backbone": {"shade": {"inner": {}}}}
    assert refused(schema, heir) == []


@pytest.mark.usefixtures("third_party")
def test_a_type_of_two_distributions_is_called_by_both_names() -> None:
    candidates = [
        Candidate(Origin(name, name, "1"), functools.partial(plugin, backbone=("eye.v1", class_name)))
        for name, class_name in (("one", "Eye"), ("two", "OtherEye"))
    ]
    host = PluginHost(candidates)
    schema = schema_of(host, Catalog(host), "backbone")
    document = {"kind": "backbone", "name": "mine"}
    assert refused(schema, {**document, "type": "one/eye.v1", "shade": {"depth": 1}}) == []
    assert refused(schema, {**document, "type": "two/eye.v1", "height": 1}) == []
    assert refused(schema, {**document, "type": "two/eye.v1", "width": 1}) != []
    assert refused(schema, {**document, "type": "eye.v1"}) != []
    assert refused(schema, {**document, "type": "three/eye.v1"}) != []


@pytest.mark.usefixtures("third_party")
def test_names_that_were_given_up_are_accepted_and_shown_as_such() -> None:
    made = Registry(plugins=[plugin({"old_ear": "1.5"}, backbone=("ear", "Ear"))])
    schema = schema_of(made.host, made.library.catalog, "backbone")
    Draft202012Validator.check_schema(schema)

    def agreed(**settings: Any) -> bool:
        document = {"kind": "backbone", "name": "mine", **settings}
        found = made.library.validate_text(json.dumps(document).encode(), "ear.json")
        accepted = refused(schema, document) == []
        assert accepted == (not errors(found)), found
        return accepted

    assert agreed(type="ear", width=1, shade=2)
    assert agreed(type="ear", size=1)
    assert agreed(type="old_ear", size=1, hue=None)
    assert agreed(type="local/old_ear", width=1, hue=1)
    assert not agreed(type="ear")
    assert not agreed(type="ear", width=1, size=1)
    assert not agreed(type="ear", size=0)
    assert not agreed(type="older_ear", width=1)
    assert schema["$defs"]["backbone.ear:settings"]["properties"]["size"] == {
        "description": "Now called `width`; read until release 2.0.",
        "deprecated": True,
        "type": "integer",
        "minimum": 1,
    }
    former = {"const": "old_ear", "description": "Now called `ear`; read until release 1.5.", "deprecated": True}
    assert former in schema["$defs"]["backbone:type"]["anyOf"]


@pytest.mark.usefixtures("third_party")
def test_a_type_that_cannot_be_used_is_left_out() -> None:
    made = Registry(plugins=[plugin(backbone=("eye", "NoSpec"), head=("mouth", "Missing"))])
    schema = schema_of(made.host, made.library.catalog)
    Draft202012Validator.check_schema(schema)
    assert refused(schema, {"kind": "backbone", "name": "mine", "type": "eye"}) != []


# ---- the verb --------------------------------------------------------------------------------------------------------


def test_the_verb_prints_the_schema_of_a_kind_or_of_any() -> None:
    printed = json.loads(CliRunner().invoke(command, ["task"]).output)
    assert printed == schema_of(registry.default_registry().host, registry.default_registry().library.catalog, "task")
    assert set(json.loads(CliRunner().invoke(command, []).output)["properties"]) == {"kind"}
    assert CliRunner().invoke(command, ["tasks"]).exit_code == 2


def test_the_verb_writes_files(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "schemas"
    done = CliRunner().invoke(command, ["--out", str(folder)])
    assert done.exit_code == 0
    assert done.output.splitlines() == [str(folder / f"{name}.schema.json") for name in FILES]
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.schema.json" for name in FILES)
    one = CliRunner().invoke(command, ["head", "--out", str(tmp_path)])
    assert one.output == f"{tmp_path / 'head.schema.json'}\n"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match=r"file/export\.schema\.json cannot be written: "):
        write(built_in().host, built_in().library.catalog, tmp_path / "file", ["export"])


def test_validation_does_not_import_the_schemas(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("kind: model\nname: mine\nextends: mobilenet_v3_small\n", encoding="utf-8")
    code = (
        "import sys\n"
        "from registry.cli.group import cli\n"
        f"cli.main(['validate', {str(tmp_path / 'm.yaml')!r}], standalone_mode=False)\n"
        "print([name for name in sys.modules if name.startswith(('registry.schema', 'pydantic.json_schema.'))])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
