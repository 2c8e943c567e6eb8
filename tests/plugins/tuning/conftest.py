"""A tiny data set, and searches whose trainings are arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import accelerate
import pytest
import registry_tuning.trials
from registry_tuning.asked import Asked
from registry_tuning.fields import parsed

MODEL = "mobilenet_v3_digits"
SETTINGS = ("recipe.start=random", "recipe.epochs=4", "recipe.batch_size=4", "recipe.reference_batch=null")
PLAIN = (*SETTINGS, "recipe.warmup=null")


@pytest.fixture(scope="session")
def data(dark_and_bright: Callable[[int, int], Path]) -> Path:
    """12 pictures to train on, 4 to validate on."""
    return dark_and_bright(6, 2)


@pytest.fixture
def asked(data: Path, tmp_path: Path) -> Asked:
    """A search of the rate in six trials."""
    return Asked(
        model=MODEL,
        data=f"{data}/",
        recipe="finetune_classification",
        assignments=PLAIN,
        weights=None,
        backbone_weights=None,
        fields=parsed(["recipe.rate=log:1e-4,1e-2"]),
        folds=3,
        trials=6,
        storage=None,
        study="study",
        pruner="none",
        sampler="tpe",
        seed=0,
        folder=tmp_path / "out",
        device="cpu",
        workers=0,
    )


#: What a training's figure is: told its settings, fold and epoch.
Figure = Callable[[Any, str, int], float]


@pytest.fixture
def arithmetic(monkeypatch: pytest.MonkeyPatch) -> Callable[[Figure], list[tuple[str, list[str], list[str]]]]:
    """Puts arithmetic in place of training; returns the list of runs: folder and names of both splits."""

    def install(figure: Figure) -> list[tuple[str, list[str], list[str]]]:
        runs: list[tuple[str, list[str], list[str]]] = []

        def made_run(registry: Any, wanted: Any, accelerator: Any, ready: Any) -> Any:
            def train(told: Callable[[Any], None]) -> None:
                names = [[part.name_of(i) for i in range(len(part))] for part in (ready.training, ready.validation)]
                runs.append((f"{wanted.folder.parent.name}/{wanted.folder.name}", *names))  # type: ignore[arg-type]
                for epoch in range(1, ready.plan.recipe.epochs + 1):
                    told({"epoch": epoch, "figures": {"top1": figure(ready.plan.recipe, wanted.folder.name, epoch)}})

            return SimpleNamespace(train=train, asked_to_stop=False)

        monkeypatch.setattr(registry_tuning.trials, "made_run", made_run)
        monkeypatch.setattr(accelerate.Accelerator, "free_memory", lambda _: None)  # collects garbage for half a second
        return runs

    return install
