"""The guide of recipes: its examples run, and it leaves out no setting, no document and no rule's word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import registry_recipes
from registry_recipes.augmentation_specs import AugmentationSpec
from registry_recipes.average_specs import AveragingSpec, EmaSpec, QuantizationAwareSpec
from registry_recipes.optimizer_specs import AdamWSpec, RMSpropSpec, SGDSpec
from registry_recipes.schedule_specs import RateNoiseSpec, ScheduleSpec, WarmupSpec
from registry_recipes.specs import TrainingSpec

import registry

GUIDE = Path(__file__).parents[3] / "docs" / "recipes.md"
TEXT = GUIDE.read_text(encoding="utf-8")
CATALOG = Path(str(registry_recipes.__file__)).parent / "catalog"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_an_example_of_a_document_is_valid_without_a_warning(tmp_path: Path, text: str) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(text, encoding="utf-8")
    assert registry.validate(path) == ()


@pytest.mark.parametrize("text", blocks("python"))
def test_an_example_in_python_runs(text: str) -> None:
    names: dict[str, object] = {}
    exec(compile(text, str(GUIDE), "exec"), names)
    rates = names["rates"]
    assert isinstance(rates, list)
    assert len(rates) == 50 * 20
    assert max(rates) == pytest.approx(5e-4)


def test_every_document_is_listed() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \| [^|]+ \| [^|]+ \|", TEXT, flags=re.MULTILINE))
    assert listed == {path.stem for path in CATALOG.glob("*.yaml")}


def test_every_setting_is_named() -> None:
    rows = TEXT.partition("## Settings")[2].partition("### Augmentation")[0]
    for spec_class in (
        TrainingSpec,
        RMSpropSpec,
        SGDSpec,
        AdamWSpec,
        WarmupSpec,
        RateNoiseSpec,
        EmaSpec,
        AveragingSpec,
    ):
        assert [name for name in spec_class.model_fields if name != "type" and f"`{name}`" not in rows] == []
    assert [name for name in QuantizationAwareSpec.model_fields if f"`{name}`" not in rows] == []


def test_every_schedule_and_augmentation_is_explained() -> None:
    for union in (ScheduleSpec, AugmentationSpec):
        kinds = [member.model_fields["kind"].default for member in get_args(get_args(union)[0])]
        assert [kind for kind in kinds if not re.search(rf"^\| `{kind}` \|", TEXT, flags=re.MULTILINE)] == []
