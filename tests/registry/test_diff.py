"""What differs between two specs: settings by meaning, rows of tables, consequences, and what the verb prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

import registry
from registry.catalog import Explanation, dotted
from registry.catalog.diff import Comparison, Side, compare
from registry.catalog.explain import explanation
from registry.cli.diff import command
from registry.source import Mapping, plain, read_bytes
from registry.specs import BackboneSpec, FeatureMap

LARGE = "mobilenet_v3_large"
BLOCK = {"kernel": 3, "expanded": 100, "out": 40, "se": False, "activation": "relu", "stride": 1, "dilation": 1}


def compared(a: Any, b: Any, overrides: Any = None, kind: str = "model", **options: Any) -> Comparison:
    known = registry.default_registry()
    left, right = known.explain(a, kind=kind), known.explain(b, overrides=overrides, kind=kind)
    return compare(left, right, categories=known.categories, **options)


def values(comparison: Comparison) -> dict[str, tuple[object, object]]:
    """Both values by path; `...` where a side has no such setting."""
    return {
        dotted(d.path): (... if d.a is None else d.a.value, ... if d.b is None else d.b.value)
        for d in comparison.differences
    }


def written(folder: Path, text: str, name: str = "m.yaml", extends: str = LARGE) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"kind: model\nname: mine\nextends: {extends}\n{text}", encoding="utf-8")
    return file


def rows_of(reference: str) -> list[dict[str, Any]]:
    spec = registry.default_registry().explain(reference, kind="backbone").spec
    rows: list[dict[str, Any]] = spec.model_dump(mode="json")["blocks"]
    return rows


# ---- settings --------------------------------------------------------------------------------------------------------


def test_a_narrower_model_differs_in_width_and_weights_and_what_follows() -> None:
    found = compared(LARGE, f"{LARGE}_075")
    shown = values(found)
    assert [path for path in shown if path != "accepts"] == [
        "backbone.width_mult",
        "weights.IMAGENET1K_V1",
        "weights.IMAGENET1K_V2",
        "default_weights",
    ]
    assert shown["backbone.width_mult"] == (1.0, 0.75)
    assert shown["default_weights"] == ("IMAGENET1K_V2", None)
    assert shown["weights.IMAGENET1K_V1"][1] is ...
    assert [(c.name, c.a, c.b) for c in found.consequences] == [
        ("parameters", 5_483_032, 3_377_576),
        ("macs", 217e6, 140e6),
    ]
    maps = [(m.name, m.a and m.a.channels, m.b and m.b.channels) for m in found.feature_maps]
    # the stem and the first stage keep their channels, since 12 and 18 are rounded to multiples of 8 within a tenth
    assert maps == [("c2", 40, 32), ("c3", 80, 64), ("c4", 160, 120), ("c5", 960, 720)]


def test_each_side_says_where_it_was_set() -> None:
    first = compared(LARGE, f"{LARGE}_075").differences[0]
    assert first.a is not None
    assert first.b is not None
    assert first.a.origin is None
    lines = Path(first.b.origin.file).read_text(encoding="utf-8").splitlines() if first.b.origin else []
    assert first.b.origin is not None
    assert lines[first.b.origin.line - 1].strip() == "width_mult: 0.75"
    named = compared(LARGE, LARGE, ["backbone.norm=auto"]).differences
    kind = next(d for d in named if d.path == ("backbone", "norm", "kind"))
    eps = next(d for d in named if d.path == ("backbone", "norm", "eps") and d.b is not None)
    assert (str(kind.b and kind.b.origin), eps.b and eps.b.origin) == ("--set:1:15", None)


def test_another_type_is_told_once_with_the_settings_of_each_side_after_it() -> None:
    found = compared("lraspp_mnv3_large", "deeplabv3_mnv3_large")
    head = [d for d in found.differences if d.path[0] == "head"]
    assert [(dotted(d.path), d.a and d.a.value, d.b and d.b.value, d.of) for d in head] == [
        ("head.type", "lraspp", "deeplabv3", None),
        ("head.low", 8, None, ("head",)),
        ("head.inter_channels", 128, None, ("head",)),
        ("head.aux.level", None, 8, ("head",)),
        ("head.aux.weight", None, 0.5, ("head",)),
        ("head.aux.reduction", None, 4, ("head",)),
        ("head.aux.dropout", None, 0.1, ("head",)),
        ("head.channels", None, 256, ("head",)),
        ("head.atrous_rates", None, [12, 24, 36], ("head",)),
        ("head.dropout", None, 0.5, ("head",)),
    ]
    assert not [d for d in found.differences if d.path[0] in ("task", "backbone")]
    assert [(c.name, c.a, c.b) for c in found.consequences] == [
        ("parameters", 3_221_538, 11_029_328),
        ("macs", 2.086e9, 10.452e9),
    ]
    assert found.feature_maps == ()


def test_an_override_of_the_second_changes_it_and_leaves_no_published_figures() -> None:
    assignments = [
        "backbone.width_mult=0.5",
        "head.num_classes=7",
        "task.categories=null",
        "task.preprocessing.crop=96",
    ]
    found = compared(LARGE, LARGE, assignments)
    assert values(found) == {
        "task.categories": ("imagenet1k", None),
        "task.preprocessing.crop": (224, 96),
        "backbone.width_mult": (1.0, 0.5),
        "head.num_classes": (1000, 7),
    }
    assert {str(d.b and d.b.origin).partition(":")[0] for d in found.differences} == {"--set"}
    assert [(c.name, c.a, c.b) for c in found.consequences] == [
        ("classes", 1000, 7),
        ("image_size", (224, 224), (96, 96)),
    ]
    assert [(m.name, m.b and m.b.channels) for m in found.feature_maps] == [
        ("c0", 8),
        ("c1", 16),
        ("c2", 24),
        ("c3", 40),
        ("c4", 80),
        ("c5", 480),
    ]


SAME = {
    "nothing": "",
    "null for what a parent lacks anyway": "quantization: null\nbudget: null\n",
    "defaults written out": "backbone: {width_mult: 1.0, norm: {kind: batch, eps: 0.001, momentum: 0.01}}\n",
    "a whole number for a fraction": "backbone: {width_mult: 1, stochastic_depth: 0}\nhead: {dropout: 2e-1}\n",
    "only what is about the document": "summary: other\naliases: [other]\nreferences: null\nfigures: {parameters: 3}\n",
    "keys in another order": "task: {preprocessing: {crop: 224, resize: 256}, categories: imagenet1k}\n",
    "a list item by item": "task:\n  preprocessing:\n    mean:\n      - 0.485\n      - 0.456\n      - 0.406\n",
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME.keys())
def test_what_is_only_written_differently_is_the_same(text: str, tmp_path: Path) -> None:
    found = compared(LARGE, written(tmp_path, text))
    assert (found.differences, found.feature_maps, found.consequences) == ((), (), ())


def test_a_word_for_a_variant_and_a_list_that_is_named_mean_what_they_stand_for(tmp_path: Path) -> None:
    word = written(tmp_path, "backbone: {norm: auto}\n")
    variant = written(tmp_path, "backbone: {norm: {kind: auto, eps: 1e-5}}\n", "n.yaml")
    assert compared(word, variant).differences == ()
    names = registry.default_registry().categories(registry.load_spec("lraspp_mnv3_large").task)
    assert names is not None
    assert len(names) == 21
    assert compared("lraspp_mnv3_large", "lraspp_mnv3_large", {"task.categories": list(names)}).differences == ()
    other = [*names[:20], "kite"]
    shown = values(compared("lraspp_mnv3_large", "lraspp_mnv3_large", {"task.categories": other}))
    assert shown == {"task.categories": ("voc21", other)}


def test_a_long_list_of_names_is_compared_item_by_item() -> None:
    names = [f"n{index}" for index in range(21)]
    one, other = (
        registry.default_registry().explain("lraspp_mnv3_large", overrides={"task.categories": list_})
        for list_ in (names, [*names[:5], "new", *names[5:19], "last"])
    )
    found = [(dotted(d.path), d.a and d.a.value, d.b and d.b.value) for d in compare(one, other).differences]
    assert found == [
        ("task.categories.5", None, "new"),
        ("task.categories.19", "n19", "last"),
        ("task.categories.20", "n20", None),
    ]


def test_a_file_of_weights_means_the_one_beside_its_document(tmp_path: Path) -> None:
    text = "weights: {w: {source: SOURCE}}\ndefault_weights: w\n"
    one = written(tmp_path / "one", text.replace("SOURCE", "./w.pth"))
    two = written(tmp_path / "two", text.replace("SOURCE", "./w.pth"))
    same = written(tmp_path / "two", text.replace("SOURCE", "../one/w.pth"), "n.yaml")
    assert values(compared(one, two)) == {"weights.w.source": ("./w.pth", "./w.pth")}
    assert compared(one, same).differences == ()


def test_a_setting_by_a_name_that_was_given_up_has_its_line(tmp_path: Path) -> None:
    text = "weights: {w: {source: ./w.pth,\n  licence: MIT}}\ndefault_weights: w\n"
    left = written(tmp_path, text.replace(",\n  licence: MIT", ""))
    found = compared(left, written(tmp_path, text, "n.yaml")).differences
    assert [(dotted(d.path), d.a and d.a.origin, d.b and d.b.origin and d.b.origin.line) for d in found] == [
        ("weights.w.license", None, 5)
    ]


def test_everything_includes_what_is_about_the_documents_alone(tmp_path: Path) -> None:
    found = compared(LARGE, written(tmp_path, ""), everything=True)
    assert [dotted(d.path) for d in found.differences] == [
        "name",
        "aliases",
        "summary",
        "figures.parameters",
        "figures.macs",
        "figures.source",
    ]
    assert [(c.name, c.b) for c in found.consequences] == [("parameters", None), ("macs", None)]
    parts = compared(LARGE, "mobilenet_v3_small", kind="backbone", everything=True).differences
    assert [dotted(d.path) for d in parts][:2] == ["name", "summary"]
    assert str(parts[0].a and parts[0].a.value) == LARGE
    head = [d.b and d.b.origin and d.b.origin.line for d in parts[:2]]
    small = Path(str(parts[0].b and parts[0].b.origin and parts[0].b.origin.file)).read_text(encoding="utf-8")
    assert [small.splitlines()[int(str(line)) - 1].partition(":")[0] for line in head] == ["name", "summary"]


def test_a_checkpoint_is_compared_by_the_spec_in_it(tmp_path: Path) -> None:
    overrides = {"backbone.width_mult": 0.35, "task.preprocessing.crop": 64}
    model = registry.build("mobilenet_v3_small", overrides=overrides, num_classes=3)
    file = registry.save(model, tmp_path / "tiny.safetensors")
    shown = values(compared("mobilenet_v3_small", file))
    assert shown == {
        "task.categories": ("imagenet1k", None),
        "task.preprocessing.crop": (224, 64),
        "backbone.width_mult": (1.0, 0.35),
        "head.num_classes": (1000, 3),
    }


class Left(BackboneSpec):
    """A part of one distribution."""

    type: Literal["eye"] = "eye"
    level: bool | int | float | str | None = None

    def feature_maps(self) -> tuple[FeatureMap, ...]:
        return ()


class Right(Left):
    """A part of the same type of another distribution."""


def explained(spec_class: type[Left], text: str) -> Explanation:
    """The explanation of a backbone's settings written as YAML."""
    (root,) = read_bytes(f"kind: backbone\nname: a\n{text}".encode(), "a.yaml")
    assert isinstance(root, Mapping)
    written_settings = {key: value for key, value in plain(root).items() if key == "level"}
    return explanation("backbone", "a", root, spec_class(type="eye", **written_settings))


@pytest.mark.parametrize(
    ("a", "b", "differ"),
    [
        ("1", "1.0", False),
        ("0", "-0.0", False),
        ("1e3", "1000", False),
        ("1", "true", True),
        ("0.0", "false", True),
        ("1", "'1'", True),
        ("null", "false", True),
        ("null", "''", True),
    ],
)
def test_numbers_are_equal_by_value_and_nothing_else_is(a: str, b: str, differ: bool) -> None:
    left, right = explained(Left, f"type: eye\nlevel: {a}\n"), explained(Left, f"type: eye\nlevel: {b}\n")
    assert [d.path for d in compare(left, right).differences] == [("level",)] * differ


def test_one_type_of_two_distributions_is_two_types() -> None:
    left = explained(Left, "type: one/eye\n")
    assert values(compare(left, explained(Right, "type: two/eye\n"))) == {"type": ("one/eye", "two/eye")}
    assert values(compare(left, explained(Left, "type: eye\n"))) == {}


# ---- rows ------------------------------------------------------------------------------------------------------------


def test_an_inserted_row_is_one_difference_and_leaves_the_rest_alone() -> None:
    rows = rows_of(LARGE)
    found = compared(LARGE, LARGE, {"blocks": [*rows[:4], BLOCK, *rows[4:]]}, kind="backbone")
    assert values(found) == {"blocks.4": (..., BLOCK)}
    assert found.differences[0].b is not None
    gone = compared(LARGE, LARGE, {"blocks": [*rows[:4], *rows[5:]]}, kind="backbone")
    removed = {"kernel": 5, "expanded": 120, "out": 40, "se": True, "activation": "relu", "stride": 1, "dilation": 1}
    # rows 4 and 5 are alike, so which of them is gone cannot be told
    assert list(values(gone).values()) == [(removed, ...)]
    assert next(iter(values(gone))) in ("blocks.4", "blocks.5")


def test_a_row_that_changed_after_one_that_was_put_in_has_both_places() -> None:
    rows = rows_of(LARGE)
    changed = {**rows[6], "expanded": 250}
    found = compared(LARGE, LARGE, {"blocks": [BLOCK, *rows[:6], changed, *rows[7:]]}, kind="backbone").differences
    assert [(d.a and d.a.path, d.b and d.b.path) for d in found] == [
        (None, ("blocks", 0)),
        (("blocks", 6, "expanded"), ("blocks", 7, "expanded")),
    ]
    assert [(d.a and d.a.value, d.b and d.b.value) for d in found] == [(None, BLOCK), (240, 250)]


def test_of_two_new_rows_the_one_that_is_like_the_old_one_is_that_one_changed() -> None:
    rows = rows_of(LARGE)
    alien = {"kernel": 11, "expanded": 7, "out": 9, "se": True, "activation": "silu", "stride": 1, "dilation": 4}
    wider = {**rows[1], "expanded": 65}
    for blocks, at, new in (([rows[0], alien, wider], 2, 1), ([rows[0], wider, alien], 1, 2)):
        found = compared(LARGE, LARGE, {"blocks": [*blocks, *rows[2:]]}, kind="backbone").differences
        assert {(d.a and d.a.path, d.b and d.b.path) for d in found} == {
            (("blocks", 1, "expanded"), ("blocks", at, "expanded")),
            (None, ("blocks", new)),
        }


ROW = st.builds(
    lambda kernel, out, se: {"kernel": kernel, "expanded": 2 * out, "out": out, "se": se, "activation": "relu"},
    st.sampled_from([3, 5]),
    st.sampled_from([8, 16, 24]),
    st.booleans(),
)
NORM = st.sampled_from(["auto", "batch", {"kind": "frozen_batch"}, {"kind": "batch", "eps": 0.001, "momentum": 0.01}])
OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "blocks": st.lists(ROW, min_size=1, max_size=6),
        "width_mult": st.sampled_from([1, 1.0, 0.5, 2]),
        "norm": NORM,
        "squeeze_excitation": st.sampled_from([{}, {"ratio": 2}, {"gate": "sigmoid", "ratio": 4}]),
        "in_channels": st.sampled_from([1, 3]),
    },
)


def sides(comparison: Comparison) -> set[tuple[object, object]]:
    def told(side: Side | None) -> object:
        return None if side is None else (side.path, repr(side.value), str(side.origin))

    return {(told(d.a), told(d.b)) for d in comparison.differences}


@settings(max_examples=150, deadline=None)
@given(OVERRIDES, OVERRIDES)
def test_nothing_differs_from_itself_and_the_other_way_round_is_the_mirror(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    known = registry.default_registry()
    a, b = (known.explain(LARGE, overrides=overrides, kind="backbone") for overrides in (one, other))
    assert compare(a, a).differences == ()
    there, back = compare(a, b), compare(b, a)
    assert sides(there) == {(right, left) for left, right in sides(back)}
    assert len(there.differences) == len(back.differences) == len(sides(there))
    assert bool(there.differences) == (a.spec.model_dump() != b.spec.model_dump())
    assert {m.name: (m.a, m.b) for m in there.feature_maps} == {m.name: (m.b, m.a) for m in back.feature_maps}


# ---- the verb --------------------------------------------------------------------------------------------------------


def invoked(*arguments: object, **options: Any) -> Result:
    return CliRunner().invoke(command, list(map(str, arguments)), **options)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The whole command line in a process of its own."""
    script = "import registry.cli.group as g; g._VERBS.setdefault('diff', ''); g.main()"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_the_text_says_path_values_and_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = json.dumps(rows_of(LARGE)[:4])
    text = f"backbone:\n  blocks: {rows}\n"
    written(tmp_path, f"{text}figures: {{parameters: 1000}}\n", "a.yaml")
    written(
        tmp_path,
        f"{text}  squeeze_excitation: {{ratio: 2}}\nhead: {{num_classes: 2}}\ntask: {{categories: null}}\n",
        "b.yaml",
    )
    found = invoked("a.yaml", "b.yaml", "--set", f"backbone.blocks={json.dumps([BLOCK, *rows_of(LARGE)[:4]])}")
    assert found.exception is None, found.exception
    assert found.output.splitlines()[0].startswith("~ task.categories: imagenet1k -> null  ")
    assert [line.split("  # ")[0].rstrip() for line in found.output.splitlines()] == [
        "~ task.categories: imagenet1k -> null",
        "+ backbone.blocks.0: {kernel: 3, expanded: 100, out: 40, se: false, activation: relu, stri...",
        "~ backbone.squeeze_excitation.ratio: 4 -> 2",
        "~ head.num_classes: 1000 -> 2",
        "",
        "consequences",
        "  classes        1,000 -> 2",
    ]
    assert [line.split("  # ")[1] for line in found.output.splitlines()[1:3]] == ["--set:1", "default -> b.yaml:6"]


def test_the_text_groups_the_settings_of_two_types() -> None:
    lines = [
        line.split("  # ")[0].rstrip()
        for line in invoked("lraspp_mnv3_large", "deeplabv3_mnv3_large").output.splitlines()
    ]
    assert lines[:7] == [
        "~ head.type: lraspp -> deeplabv3",
        "  head of A",
        "    - head.low: 8",
        "    - head.inter_channels: 128",
        "  head of B",
        "    + head.aux.level: 8",
        "    + head.aux.weight: 0.5",
    ]
    assert lines[-3:] == [
        "consequences",
        "  parameters     3,221,538 -> 11,029,328",
        "  multiply-adds  2.09 G -> 10.5 G",
    ]


def test_a_row_that_moved_has_both_numbers_and_maps_stand_in_a_table() -> None:
    rows = rows_of(LARGE)
    blocks = json.dumps([BLOCK, *rows[:3], {**rows[3], "out": 48}, *rows[4:]])
    found = invoked(LARGE, LARGE, "--kind", "backbone", "--set", f"blocks={blocks}").output
    assert "\n~ blocks.3(4).out: 40 -> 48  " in found
    assert found.endswith("\nfeature maps\n  LEVEL  CHANNELS  STRIDE\n  c2     40 -> 48  8\n")


def test_json_has_every_difference_with_plain_values() -> None:
    found = json.loads(invoked(LARGE, f"{LARGE}_075", "--format", "json").output)
    assert found["a"] == {"given": LARGE, "name": LARGE}
    assert found["b"] == {"given": f"{LARGE}_075", "name": f"{LARGE}_075", "set": []}
    assert (found["kind"], found["same"]) == ("model", False)
    first, second, *_ = found["differences"]
    file, _, line = first.pop("b_origin").rpartition(":")
    assert file.endswith("registry_mobilenet/catalog/mobilenet_v3_large_075.yaml")
    assert Path(file).read_text(encoding="utf-8").splitlines()[int(line) - 1].strip() == "width_mult: 0.75"
    assert first == {
        "path": "backbone.width_mult",
        "b_path": "backbone.width_mult",
        "a": 1.0,
        "b": 0.75,
        "a_origin": "default",
    }
    assert second["a"]["metrics"] == {"acc@1": 74.042, "acc@5": 91.34}
    assert (second["b"], second["b_origin"], second["b_path"]) == (None, None, None)
    assert found["feature_maps"][0] == {
        "name": "c2",
        "a": {"channels": 40, "stride": 8, "module": "features.4"},
        "b": {"channels": 32, "stride": 8, "module": "features.4"},
    }
    assert found["consequences"] == {
        "parameters": {"a": 5_483_032, "b": 3_377_576},
        "macs": {"a": 217e6, "b": 140e6},
    }


def test_exit_codes(tmp_path: Path) -> None:
    file = written(tmp_path, "")
    assert [(r.output, r.exit_code) for r in [invoked(LARGE, file, "--exit-code")]] == [("same\n", 0)]
    same = json.loads(invoked(LARGE, file, "--format", "json").output)
    assert (same["same"], same["differences"], same["feature_maps"], same["consequences"]) == (True, [], [], {})
    assert invoked(LARGE, f"{LARGE}_075").exit_code == 0
    assert invoked(LARGE, f"{LARGE}_075", "--exit-code").exit_code == 1
    assert invoked(LARGE, f"{LARGE}_075", "--exit-code", "--format", "json").exit_code == 1
    assert invoked(LARGE, file, "--exit-code", "--all").exit_code == 1
    assert invoked(LARGE).exit_code == 2


def test_colour_is_for_terminals() -> None:
    arguments = (LARGE, LARGE, "--set", "head.dropout=0.5")
    assert invoked(*arguments).output == "~ head.dropout: 0.2 -> 0.5  # " + invoked(*arguments).output.split("# ")[1]
    assert "\x1b[" not in invoked(*arguments).output
    assert "\x1b[33m~ head.dropout: 0.2 -> 0.5\x1b[0m  \x1b[2m# " in invoked(*arguments, color=True).output


BROKEN = "m.yaml:4:12: error: unknown key `width_mlt` in `backbone` [REG101]"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["mobilenet_v3_small", "mobilenet_v3_smal"],
            2,
            "error: unknown model `mobilenet_v3_smal`; did you mean `mobilenet_v3_small` or `mobilenet_v3_small_075`",
        ),
        (["mobilenet_v3_small", "m.yaml"], 1, BROKEN),
        (["m.yaml", "mobilenet_v3_small"], 1, BROKEN),
        (["mobilenet_v3_small", "gone.yaml"], 1, "gone.yaml:1:1: error: there is no such file [REG001]\n"),
        (["mobilenet_v3_small", "gone.safetensors"], 1, "error: "),
        (
            ["mobilenet_v3_small", "mobilenet_v3_small", "--set", "backbone.blocks.99.out=3"],
            1,
            "--set:1:1: error: a list of 11 items takes an index from 0 to 10 [REG113]\n",
        ),
    ],
)
def test_mistakes_end_in_one_clear_message(arguments: list[str], code: int, message: str, tmp_path: Path) -> None:
    written(tmp_path, "backbone: {width_mlt: 2}\n")
    result = run("diff", *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr


def test_comparing_imports_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom registry.cli.diff import command\n"
        f"command(['{LARGE}', 'resnet50'], standalone_mode=False)\n"
        "assert not {'torch', 'torchvision', 'numpy', 'PIL'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
