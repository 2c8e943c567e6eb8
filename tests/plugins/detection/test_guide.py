"""What docs/detection.md says is so: settings, backbones, norms, multiply-adds, average precision; tables are whole."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import registry

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
GUIDE = (Path(__file__).parents[3] / "docs" / "detection.md").read_text(encoding="utf-8")
GONE = {"weights": None, "default_weights": None, "backbone_weights": None}
DOCUMENTS = {
    "Faster R-CNN": "fasterrcnn_mnv3_large_fpn",
    "RetinaNet": "retinanet_resnet50_fpn",
    "SSDlite": "ssdlite320_mnv3_large",
}


def rows(title: str) -> list[list[str]]:
    """Cells of the table under a heading, header first."""
    section = GUIDE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def block(language: str, word: str) -> str:
    """The block of code that holds a word."""
    (found,) = (code for code in re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL) if word in code)
    return str(found)


@pytest.mark.parametrize("page", ["README.md", "docs/detection.md", "docs/segmentation.md"])
def test_no_table_is_cut_in_two(page: str) -> None:
    """Lines of a table follow each other: each run of them begins with a header and its rule."""
    text = (Path(__file__).parents[3] / page).read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert tables
    for table in tables:
        assert re.fullmatch(r"\|(?:-+\|)+", table.splitlines()[1]), table.splitlines()[0]


# ---- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", [1, 2, 3])
def test_the_settings_of_the_table_are_there_with_the_defaults_in_brackets(column: int) -> None:
    header, *settings = rows("Settings")
    head = registry.load_spec(DOCUMENTS[header[column]]).head
    found = [cell for row in settings for cell in re.findall(r"`([\w.]+)`(?: \(([\d.]+)\))?", row[column])]
    assert len(found) >= len(settings)
    for path, default in found:
        owner: Any = head
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        field = type(owner).model_fields[name]
        if default:
            assert field.default == float(default), path


@pytest.mark.parametrize(
    ("document", "setting"),
    [
        ("fasterrcnn_mnv3_large_320_fpn", "head.box.score_threshold"),
        ("retinanet_resnet50_fpn", "head.score_threshold"),
        ("ssdlite320_mnv3_large", "head.score_threshold"),
    ],
)
def test_the_heads_own_threshold_cuts_before_that_of_the_task(document: str, setting: str) -> None:
    """Scores that `--score 0` would show are gone; with a lower setting of the head they are there."""
    torch.manual_seed(0)
    image = [torch.rand(3, 64, 64)]
    small = {
        "fasterrcnn_mnv3_large_320_fpn": {"head.image.min_size": 64},
        "retinanet_resnet50_fpn": {"head.image.min_size": 64},
    }
    models = {
        least: registry.build(document, overrides={**small.get(document, {}), setting: least}).eval()
        for least in (0.0, 0.9)
    }
    models[0.9].load_state_dict(models[0.0].state_dict())
    assert len(models[0.0](image)[0]["scores"]) > 0
    assert len(models[0.9](image)[0]["scores"]) == 0
    assert f"`{setting}`" in GUIDE


# ---- another backbone ------------------------------------------------------------------------------------------------


def test_nothing_of_the_old_backbone_is_kept(tmp_path: Path) -> None:
    text = block("yaml", "extends: resnet18")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    spec = registry.load_spec(tmp_path / "mine.yaml")
    theirs = registry.load_spec("resnet18")
    assert spec.backbone.type == "resnet"
    assert spec.backbone.norm.kind == "auto"  # type: ignore[attr-defined]  # of this backbone
    assert spec.backbone.trainable_stages == 3
    assert spec.backbone_weights is not None
    assert spec.backbone_weights.source == theirs.weights["IMAGENET1K_V1"].source
    assert spec.backbone_weights.sha256 == theirs.weights["IMAGENET1K_V1"].sha256
    registry.build(tmp_path / "mine.yaml", device="meta")
    (tmp_path / "mine.yaml").write_text(text.replace(", norm: auto, trainable_stages: 3", ""), encoding="utf-8")
    assert registry.load_spec(tmp_path / "mine.yaml").backbone == theirs.backbone


@pytest.mark.parametrize(
    "overrides",
    [{"backbone": "resnet18", "backbone.norm": "auto"}, ["backbone=resnet18", "backbone.norm=auto"]],
    ids=["mapping", "assignments"],
)
def test_overrides_swap_a_backbone_as_the_guide_says(overrides: Any) -> None:
    backbone: Any = registry.load_spec("fasterrcnn_mnv3_small_320_fpn", overrides=overrides).backbone
    assert (backbone.type, backbone.norm.kind, backbone.trainable_stages) == ("resnet", "auto", None)


# ---- norms and stages ------------------------------------------------------------------------------------------------


def norms() -> list[str]:
    lines = block("yaml", "kind: frozen_batch").splitlines()
    return [line.split("#")[0].removeprefix("norm:").strip() for line in lines]


@pytest.mark.parametrize("written", [*norms(), "batch", "frozen_batch", "group"])
def test_every_norm_of_the_guide_is_taken(written: str) -> None:
    base = [f"{key}=null" for key in GONE]
    set_to = [f"backbone.norm={written}"]
    spec: Any = registry.load_spec("fasterrcnn_mnv3_small_320_fpn", overrides=[*base, *set_to])
    kind = spec.backbone.norm.kind
    assert kind == ("auto" if written == "auto" else re.sub(r".*kind: (\w+).*", r"\1", written))
    for document, key in (
        ("fasterrcnn_mnv3_small_320_fpn", "head.pyramid.norm"),
        ("ssdlite320_mnv3_large", "head.norm"),
    ):
        changed = [*base, f"{key}={written}"]
        if kind == "auto":
            with pytest.raises(registry.SpecError):
                registry.load_spec(document, overrides=changed)
        else:
            registry.build(document, overrides=changed, device="meta")


STAGES = {
    "MobileNetV3-Large": "mobilenet_v3_large",
    "MobileNetV3-Small": "mobilenet_v3_small",
    "MobileNetV2": "mobilenet_v2",
    "ResNet of any depth": "resnet50",
}


@pytest.mark.parametrize("row", range(1, 1 + len(STAGES)))
@pytest.mark.filterwarnings("ignore::registry.RegistryWarning")
def test_the_table_of_stages_says_where_training_begins(row: int) -> None:
    header, *table = rows("Norms and frozen stages")
    name, *cells = table[row - 1]
    backbone = STAGES[name.removeprefix("first trained layer, ")]
    for stages, first in zip(header[1:], cells, strict=True):
        changed = {**GONE, "backbone": backbone, "backbone.trainable_stages": int(stages), "backbone.freeze": "always"}
        if not first:
            with pytest.raises(registry.SpecError, match="cannot be trained"):
                registry.load_spec("fasterrcnn_mnv3_small_320_fpn", overrides=changed)
            continue
        model = registry.build("fasterrcnn_mnv3_small_320_fpn", overrides=changed, device="meta")
        body = model.get_submodule("backbone.body")
        trained = [layer for layer, p in body.named_parameters() if p.requires_grad]
        assert (trained[0].split(".")[0] if trained else "none") == first


# ---- multiply-adds ---------------------------------------------------------------------------------------------------

#: Two linear layers on 7x7 cells of 256 channels, then scores and four corrections for each of 91 classes.
PER_PROPOSAL = 7 * 7 * 256 * 1024 + 1024 * 1024 + 1024 * (91 + 4 * 91)


@pytest.mark.parametrize("row", [1, 2, 3])
def test_multiply_adds_are_those_of_the_spec_and_published_ones_of_other_numbers_of_proposals(row: int) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    name, fixed, proposals, built, published = rows("Multiply-adds")[row]
    spec: Any = registry.load_spec(name.strip("`"))
    model = registry.build(name.strip("`"), device="meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        levels = list(
            model.get_submodule("backbone")(torch.empty(1, 3, *spec.head.image_size(), device="meta")).values()
        )
        model.get_submodule("rpn.head")(levels)
    without = int(fixed.replace(",", ""))
    assert counter.get_total_flops() // 2 == without
    assert spec.head.rpn.post_nms_top_n_test == int(proposals)
    assert f"{PER_PROPOSAL:,}" == "14,359,552"
    assert "14,359,552" in GUIDE
    count = without + int(proposals) * PER_PROPOSAL
    assert count / 1e9 == pytest.approx(float(built.removesuffix(" G")), rel=0.005)
    assert spec.figures.macs / 1e9 == float(published.removesuffix(" G"))
    counted = 1000 if spec.head.rpn.score_threshold == 0 else 0  # by what was published
    assert spec.figures.macs == pytest.approx(without + counted * PER_PROPOSAL, rel=1e-4)


# ---- average precision -----------------------------------------------------------------------------------------------


def test_the_average_precision_of_the_guide_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two objects of two classes; one is found exactly, the other by a box of 0.64 of its area."""
    pytest.importorskip("pycocotools")
    monkeypatch.chdir(tmp_path)
    objects = [
        {"id": 1, "image_id": 139, "category_id": 1, "bbox": [10, 10, 50, 50], "area": 2500, "iscrowd": 0},
        {"id": 2, "image_id": 285, "category_id": 2, "bbox": [10, 10, 50, 50], "area": 2500, "iscrowd": 0},
    ]
    truth = {
        "images": [{"id": number, "file_name": f"{number}.jpg", "width": 100, "height": 80} for number in (139, 285)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": objects,
    }
    Path("instances.json").write_text(json.dumps(truth), encoding="utf-8")
    task = registry.default_registry().task(registry.load_spec("fasterrcnn_mnv3_large_320_fpn"))
    results = []
    for number, corners in ((139, [10.0, 10, 60, 60]), (285, [10.0, 10, 50, 50])):
        label = 1 if number == 139 else 2
        output = {"boxes": torch.tensor([corners]), "labels": torch.tensor([label]), "scores": torch.tensor([0.9])}
        results += task.as_format("coco", task.postprocess([output], [(80, 100)])[0], number)
    Path("results.json").write_text(json.dumps(results), encoding="utf-8")
    code = block("python", "COCOeval")
    held: dict[str, Any] = {}
    exec(code, held)
    # 40 * 40 / (50 * 50) = 0.64 overlaps enough at 0.5, 0.55 and 0.6 of the ten thresholds
    assert held["evaluation"].stats[0] == pytest.approx((1 + 0.3) / 2)
    assert held["evaluation"].stats[1] == pytest.approx(1)
    assert capsys.readouterr().out.splitlines()[-1] == "AP 0.650, at an overlap of 0.5 1.000"
    exec(code.replace("# evaluation.params.imgIds = [139, 285]", "evaluation.params.imgIds = [139]"), held)
    assert held["evaluation"].stats[0] == pytest.approx(1)
