"""What docs/segmentation.md says is so: its training runs, and its settings and numbers are those of the parts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import registry

pytestmark = pytest.mark.usefixtures("one_thread")
GUIDE = (Path(__file__).parents[3] / "docs" / "segmentation.md").read_text(encoding="utf-8")


def test_the_training_of_the_guide_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL) if "optimizer" in block)
    assert code.count("320, 320") == code.count("range(20)") + 1 == 2
    code = code.replace("320, 320", "64, 48").replace("range(20)", "range(3)")  # small and short
    monkeypatch.chdir(tmp_path)
    for folder in ("pictures", "masks"):
        Path(folder).mkdir()
    for index in range(5):
        Image.new("RGB", (90, 70), (40 * index, 90, 30)).save(f"pictures/{index}.jpg")
        mask = Image.new("P", (90, 70), index % 3)
        mask.putpixel((0, 0), 255)
        mask.save(f"masks/{index}.png")
    torch.manual_seed(0)
    held: dict[str, Any] = {}
    exec(code, held)
    assert held["images"].shape == (4, 3, 48, 64)
    assert held["masks"].shape == (4, 48, 64)
    assert held["masks"].dtype == torch.int64
    assert set(held["losses"]) == {"out"}
    assert bool(held["loss"].isfinite())
    assert len(capsys.readouterr().out.splitlines()) == 3
    saved = registry.build("./mine.safetensors")
    assert saved.spec.task.categories == ("background", "leaf", "stem")  # type: ignore[union-attr]  # a plain attribute
    assert saved.eval()(held["images"])["out"].shape == (4, 3, 48, 64)


def test_preprocessing_is_as_the_guide_says() -> None:
    task = registry.default_registry().task(registry.load_spec("lraspp_mnv3_large"))
    found = task.preprocess(Image.new("RGB", (1040, 1560), (0, 51, 255)))  # 51 / 255 = 0.2
    assert found.shape == (3, 780, 520)
    for channel, value, mean, std in zip(found, (0, 0.2, 1), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True):
        torch.testing.assert_close(channel, torch.full_like(channel, (value - mean) / std))
    for number in ("(0.485, 0.456, 0.406)", "(0.229, 0.224, 0.225)", "520 pixels"):
        assert number in GUIDE


@pytest.mark.parametrize("name", registry.list_models(task="segmentation"))
def test_ids_and_weights_of_the_guide_are_the_documents(name: str) -> None:
    spec: Any = registry.load_spec(name)
    assert spec.task.ignore_index == 255
    if getattr(spec.head, "aux", None) is not None:
        assert spec.head.aux.weight == 0.5


@pytest.mark.parametrize(
    "backbone", ["mobilenet_v3_large", "mobilenet_v3_small", "mobilenet_v2", "resnet18", "resnet50"]
)
def test_every_backbone_has_an_output_stride_and_mobilenet_v3_alone_is_dilated(backbone: str) -> None:
    gone = {"weights": None, "default_weights": None, "backbone_weights": None}
    changed = {**gone, "backbone": backbone, "backbone.output_stride": 16}
    assert registry.load_spec("lraspp_mnv3_large", overrides=changed).backbone.feature_maps()[-1].stride == 16
    dilated = {**gone, "backbone": backbone, "backbone.dilated": True}
    if backbone.startswith("mobilenet_v3"):
        assert registry.load_spec("lraspp_mnv3_large", overrides=dilated).backbone.feature_maps()[-1].stride == 16
        return
    with pytest.raises(registry.SpecError, match="unknown key `dilated`"):
        registry.load_spec("lraspp_mnv3_large", overrides=dilated)
