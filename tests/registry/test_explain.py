"""`registry explain`: what nobody wrote, figures published and measured, and values that can be read back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import registry
from registry.catalog import Explanation
from registry.cli.explain import command, shown
from registry.source import plain, read_value

LARGE = "mobilenet_v3_large"
NARROW = "kind: model\nname: mine\nextends: mobilenet_v3_large\nbackbone:\n  width_mult: 0.75\n  norm: auto\n"


def explained(reference: object, overrides: Any = None, kind: str = "model") -> Explanation:
    return registry.explain(str(reference), overrides=overrides, kind=kind)


def printed(*arguments: object) -> str:
    result = CliRunner().invoke(command, list(map(str, arguments)))
    assert result.exception is None, result.exception
    return result.output


def settings(text: str) -> list[list[str]]:
    """Setting and place of each line that has one."""
    return [line.rsplit("  # ", 1) for line in text.splitlines() if "  # " in line]


@pytest.fixture
def narrow(tmp_path: Path) -> Path:
    file = tmp_path / "m.yaml"
    file.write_text(NARROW, encoding="utf-8")
    return file


# ---- defaults --------------------------------------------------------------------------------------------------------


def test_defaults_are_what_nobody_wrote(narrow: Path) -> None:
    found = {".".join(map(str, d.path)): d.value for d in explained(narrow).defaults()}
    assert {path: value for path, value in found.items() if path.startswith("backbone.norm")} == {
        "backbone.norm.eps": 1e-5,
        "backbone.norm.momentum": 0.1,
    }
    assert found["task.preprocessing.mean"] == [0.485, 0.456, 0.406]
    assert found["backbone.blocks.14.dilation"] == 1
    assert found["budget.macs"] is None
    assert "backbone.width_mult" not in found
    assert "backbone.blocks.14.stride" not in found
    assert "task.preprocessing.crop" not in found


def test_null_where_it_stands_for_the_default_is_a_default_too() -> None:
    found = explained(LARGE, {"backbone.width_mult": None, "backbone.output_stride": None})
    paths = {d.path: d.value for d in found.defaults()}
    assert paths["backbone", "width_mult"] == 1.0
    assert ("backbone", "output_stride") not in paths  # null is a value of its own there
    assert found.origin(("backbone", "width_mult")) is None
    assert str(found.origin(("backbone", "output_stride"))).startswith("overrides:1")


def test_settings_and_defaults_are_the_whole_spec() -> None:
    """Laid over one another in this order they give the spec back."""
    for name, kind in ((LARGE, "model"), ("fasterrcnn_mnv3_large_fpn", "model"), ("resnet50", "backbone")):
        found = explained(name, kind=kind)
        paths = {s.path for s in found.settings} | {d.path for d in found.defaults()}

        def missing(value: Any, path: tuple[str | int, ...], paths: set[Any] = paths) -> list[Any]:
            if path in paths and not isinstance(value, dict):
                return []
            items = list(value.items() if isinstance(value, dict) else enumerate(value)) if value else []
            row = path in paths
            return [m for key, item in items for m in ([] if row else missing(item, (*path, key)))] or (
                [] if items or row else [path]
            )

        assert missing(found.spec.model_dump(mode="json"), ()) == []


def test_each_value_has_its_place(narrow: Path) -> None:
    found = explained(narrow, ["head.dropout=0.5"])
    assert str(found.origin(("backbone", "norm", "kind"))) == f"{narrow}:6:9"
    assert found.origin(("backbone", "norm", "eps")) is None
    assert str(found.origin(("backbone", "width_mult"))) == f"{narrow}:5:15"
    assert str(found.origin(("head", "dropout"))) == "--set:1:14"
    row = found.origin(("backbone", "blocks", 3, "kernel"))
    assert row is not None
    line = Path(row.file).read_text(encoding="utf-8").splitlines()[row.line - 1]
    assert line.strip().startswith("- {kernel: 5, expanded:  72, out:  40")
    assert found.origin(("backbone", "blocks", 3, "dilation")) is None


def test_the_text_lists_defaults_after_what_was_written_of_the_same_part(narrow: Path) -> None:
    lines = settings(printed(narrow, "--defaults"))
    texts = [setting.rstrip() for setting, _ in lines]
    places = {setting.rstrip(): place for setting, place in lines}
    assert texts[:6] == [
        "task.type: classification",
        "task.categories: imagenet1k",
        "task.preprocessing: {resize: 256, crop: 224}",
        "task.preprocessing.interpolation: bilinear",
        "task.preprocessing.antialias: true",
        "task.preprocessing.mean: [0.485, 0.456, 0.406]",
    ]
    row = texts.index("backbone.blocks.0: {kernel: 3, expanded: 16, out: 16, se: false, activation: relu, stride: 1}")
    assert texts[row + 1] == "backbone.blocks.0.dilation: 1"
    norm = texts.index("backbone.norm: auto")
    assert texts[norm + 1 : norm + 3] == ["backbone.norm.eps: 1e-05", "backbone.norm.momentum: 0.1"]
    assert places["backbone.norm: auto"].endswith("m.yaml:6")
    assert places["backbone.norm.eps: 1e-05"] == "default"
    assert texts[-3:] == ["budget.parameters: null", "budget.macs: null", "budget.size_mb: null"]
    assert "default" not in [place for _, place in settings(printed(narrow))]
    assert {place for _, place in settings(printed(narrow))} < {place for _, place in lines}


def test_a_part_has_defaults_too() -> None:
    texts = [
        setting.rstrip()
        for setting, place in settings(printed("mobilenet_v3_small", "--kind", "backbone", "--defaults"))
    ]
    assert "width_mult: 1.0" in texts
    assert "norm.momentum: 0.01" in texts


# ---- figures ---------------------------------------------------------------------------------------------------------


def figures(text: str) -> list[str]:
    return text.partition("\nfigures\n")[2].partition("\n\n")[0].splitlines()


def test_published_figures_are_a_line_where_the_document_has_them(narrow: Path) -> None:
    assert figures(printed(LARGE)) == ["  published  5,483,032 parameters, 217 M multiply-adds (torchvision)"]
    assert figures(printed("lraspp_mnv3_large_320")) == [
        "  published  3,221,538 parameters (as the larger one; only the images differ)"
    ]
    assert figures(printed(narrow)) == []
    assert figures(printed("mobilenet_v3_large", "--kind", "backbone")) == []


@pytest.mark.parametrize(
    ("assignment", "published"),
    [
        ("backbone.width_mult=0.5", False),
        ("backbone=mobilenet_v3_small", False),
        ("head.num_classes=1000", False),
        ("accepts=[REG207]", True),
        ("figures.source=me", True),
    ],
)
def test_a_model_that_an_override_changed_has_no_published_figures(assignment: str, published: bool) -> None:
    assert (explained(LARGE, [assignment]).figures() is not None) == published
    assert bool(figures(printed(LARGE, "--set", assignment))) == published


def test_measured_figures_are_those_of_the_built_model(narrow: Path) -> None:
    # published: 3,377,576 parameters and 140 M multiply-adds; frozen or not, the norms' factors are counted
    assert figures(printed(narrow, "--measure")) == [
        "  measured   3,377,576 parameters, 140 M multiply-adds at 224x224"
    ]
    assert figures(printed(f"{LARGE}_075", "--measure")) == [
        "  published  3,377,576 parameters, 140 M multiply-adds (counted from torchvision's implementation)",
        "  measured   3,377,576 parameters, 140 M multiply-adds at 224x224",
    ]


def test_figures_are_measured_at_the_models_own_size() -> None:
    def size(*arguments: str) -> list[int]:
        data = json.loads(printed(*arguments, "--measure", "--format", "json"))
        found: list[int] = data["measured"]["image_size"]
        return found

    assert size("mobilenet_v3_small", "--set", "task.preprocessing.crop=64") == [64, 64]
    assert size("mobilenet_v3_small", "--set", "task.preprocessing.crop=null") == [224, 224]


def test_json_carries_the_same(narrow: Path) -> None:
    data = json.loads(printed(f"{LARGE}_075", "--defaults", "--measure", "--format", "json"))
    assert data["published"] == {
        "parameters": 3_377_576,
        "macs": 140e6,
        "source": "counted from torchvision's implementation",
    }
    assert data["measured"]["parameters"] == 3_377_576
    assert data["measured"]["macs"] == pytest.approx(140e6, rel=0.01)
    assert {"path": "backbone.norm.eps", "value": 0.001} in data["defaults"]
    assert {"path": "task.preprocessing.std", "value": [0.229, 0.224, 0.225]} in data["defaults"]
    plain_ = json.loads(printed(narrow, "--format", "json"))
    assert not {"defaults", "measured"} & set(plain_)
    assert plain_["published"] == {"parameters": None, "macs": None, "source": None}
    changed = json.loads(printed(LARGE, "--set", "head.dropout=0", "--format", "json"))
    assert changed["published"] is None


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_measuring_without_torch_names_the_extra() -> None:
    script = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['registry', 'explain', 'mobilenet_v3_small', '--measure']\n"
        "from registry.cli.group import main; main()"
    )
    result = run(script)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "error: measuring a model needs the package `torch`; install it with: pip install 'vision-registry[torch]'\n"
    )


def test_only_models_are_measured() -> None:
    result = CliRunner().invoke(command, ["mobilenet_v3_small", "--kind", "backbone", "--measure"])
    assert result.exit_code == 2
    assert result.output.endswith("Error: --measure counts a model, and this is a backbone\n")


def test_listing_defaults_imports_no_torch() -> None:
    result = run(
        "import sys\nfrom registry.cli.explain import command\n"
        f"command(['{LARGE}', '--defaults'], standalone_mode=False)\n"
        "assert not {'torch', 'torchvision', 'numpy', 'PIL'} & set(sys.modules)\n"
    )
    assert result.returncode == 0, result.stderr


# ---- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1.0, "1.0"),
        ("relu", "relu"),
        ("1.0", '"1.0"'),
        ("null", '"null"'),
        ("", '""'),
        ("acc@1", "acc@1"),
        ("MobileNetV3, a classifier", "MobileNetV3, a classifier"),
        (["a, b", "c"], '["a, b", c]'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ({"kernel": 3, "se": False}, "{kernel: 3, se: false}"),
        ("https://example.org/#a", "https://example.org/#a"),
    ],
)
def test_a_value_is_shown_as_yaml_writes_it(value: object, text: str) -> None:
    assert shown(value) == text


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)))
def test_what_is_shown_reads_back(value: object) -> None:
    found = plain(read_value(shown(value), "value"))
    assert json.dumps(found) == json.dumps(value)
