"""What every task does unless it says otherwise: names of classes, pictures, and errors that name the task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import pytest
import torch
from PIL import Image

from registry.errors import RegistryError
from registry.specs import TaskSpec
from registry.tasks import Metric, Task


class SmellingSpec(TaskSpec):
    type: Literal["smelling"] = "smelling"


class Smelling(Task[SmellingSpec, str]):
    """The least that a task must write itself."""

    formats: ClassVar[tuple[str, ...]] = ("nose", "mouth")

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        return torch.full((3, 1, 1), float(image.width))

    def collate(self, inputs: list[torch.Tensor]) -> Any:
        return torch.stack(inputs)

    def postprocess(self, output: Any, sizes: Sequence[tuple[int, int]]) -> list[str]:
        return ["rose" for _ in sizes]

    def as_data(self, result: str) -> dict[str, Any]:
        return {"smell": result}

    def as_text(self, result: str) -> str:
        return result

    def draw(self, image: Image.Image, result: str) -> Image.Image:
        return Image.new("RGB", (image.width, len(result)))


class Silent(Smelling):
    formats = ()


def smelling(*categories: str) -> Smelling:
    return Smelling(SmellingSpec(), categories or None)


def test_a_class_is_called_by_its_name_or_else_by_its_number() -> None:
    assert [smelling("rose", "smoke").label(index) for index in (0, 1)] == ["rose", "smoke"]
    assert smelling().label(7) == "class 7"
    with pytest.raises(IndexError):
        smelling("rose").label(1)


def test_a_format_that_the_task_does_not_write_is_told_with_those_it_does() -> None:
    with pytest.raises(RegistryError) as caught:
        smelling().as_format("ear", "rose", 1)
    assert str(caught.value) == "the task `smelling` writes no `ear`; it writes text, json, nose, mouth"
    with pytest.raises(RegistryError, match=r"it writes text, json$"):
        Silent(SmellingSpec(), None).as_format("ear", "rose", 1)
    assert Task.formats == ()


def test_what_a_task_does_not_do_is_an_error_that_names_it() -> None:
    task: Any = smelling()
    with pytest.raises(RegistryError, match=r"^the task `smelling` does not say how to train$"):
        task.losses(torch.nn.Identity(), None, None, None)
    with pytest.raises(RegistryError, match=r"^the task `smelling` makes up no examples$"):
        task.example(None, 1, (8, 8), torch.Generator())
    with pytest.raises(RegistryError, match=r"^the task `smelling` does not say how its results are measured$"):
        task.metric(None)


def test_the_picture_of_a_prediction_is_the_drawing() -> None:
    pictures = smelling().pictures(Image.new("RGB", (5, 9)), "rose")
    assert {end: picture.size for end, picture in pictures.items()} == {".png": (5, 4)}


def test_inputs_and_targets_stay_as_they_are_unless_a_task_changes_them() -> None:
    task = smelling()
    assert task.as_input(Image.new("RGB", (6, 2))).flatten().tolist() == [6.0] * 3
    targets = [object(), object()]
    assert task.collate_targets(targets) == targets
    accepting: Any = task
    assert accepting.check_output(object(), None, None) is None


def test_a_task_and_a_metric_that_lack_a_method_are_not_made() -> None:
    task: Any = Task
    with pytest.raises(TypeError, match="abstract"):
        task(SmellingSpec(), None)
    metric: Any = Metric
    with pytest.raises(TypeError, match="abstract"):
        metric()
    assert Metric.higher_is_better is True
