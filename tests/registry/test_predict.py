"""`registry predict` with a task of the test's own: options, result formats, image ids, pictures, and files that fail."""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
import torch
from PIL import Image
from pydantic import Field
from torch import nn

import registry
from registry.cli import main, output, pictures
from registry.image_files import find_images
from registry.predictor import Predictor
from registry.registry import Registry
from registry.specs import BackboneSpec, FeatureMap, Finding, HeadSpec, TaskSpec
from registry.tasks import Task

# ---- a task that tells how strong each colour is ---------------------------------------------------------------------


class TintBackboneSpec(BackboneSpec):
    type: Literal["tint_backbone"] = "tint_backbone"

    def feature_maps(self) -> tuple[FeatureMap, ...]:
        return (FeatureMap(name="c0", module="mix", channels=3, stride=1),)


class TintHeadSpec(HeadSpec):
    type: Literal["tint_head"] = "tint_head"
    task: ClassVar[str] = "tint"
    floor: Annotated[float, Field(ge=0, le=1, description="Weaker colours count as absent.")] = 0.0

    def settings_for(self, option: str, value: Any) -> dict[str, Any]:
        return {"floor": value} if option == "score" else {}


class TintSpec(TaskSpec):
    type: Literal["tint"] = "tint"
    most: Annotated[int, Field(ge=1, description="How many colours a result names.")] = 3
    side: Annotated[int | None, Field(ge=1, le=4096, description="Side in pixels; null: keep.")] = None

    def settings_for(self, option: str, value: Any) -> dict[str, Any]:
        return {"top": {"most": value}, "size": {"side": value}}.get(option, {})


class PlainSpec(TaskSpec):
    type: Literal["tint"] = "tint"


def build_backbone(spec: TintBackboneSpec) -> nn.Module:
    return nn.Sequential(OrderedDict(mix=nn.Conv2d(3, 3, 1, bias=False)))


class Tints(nn.Module):
    def __init__(self, backbone: nn.Module, floor: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.floor = floor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-2] > 50:
            raise RuntimeError("too tall\nand more that nobody reads")
        means: torch.Tensor = self.backbone(images).mean((2, 3))
        return means * (means >= self.floor)


def build_head(spec: TintHeadSpec, backbone: nn.Module, model_spec: Any) -> nn.Module:
    return Tints(backbone, spec.floor)


class TintTask(Task[TintSpec, list[tuple[int, float]]]):
    formats: ClassVar[tuple[str, ...]] = ("rows",)

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        if self.spec.side is not None:
            image = image.resize((self.spec.side, self.spec.side))
        values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        return values.reshape(image.height, image.width, 3).permute(2, 0, 1) / 255

    def collate(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(inputs)

    def postprocess(self, output: torch.Tensor, sizes: Sequence[tuple[int, int]]) -> list[list[tuple[int, float]]]:
        rows = [sorted(enumerate(row), key=lambda item: -item[1]) for row in output.tolist()]
        return [[(index, value) for index, value in row if value > 0][: self.spec.most] for row in rows]

    def as_data(self, result: list[tuple[int, float]]) -> dict[str, Any]:
        return {"tints": {self.label(index): round(value, 4) for index, value in result}}

    def as_text(self, result: list[tuple[int, float]]) -> str:
        return "\n".join(f"{self.label(index)} {value:.2f}" for index, value in result)

    def draw(self, image: Image.Image, result: list[tuple[int, float]]) -> Image.Image:
        return image

    def pictures(self, image: Image.Image, result: list[tuple[int, float]]) -> dict[str, Image.Image]:
        return {".png": self.draw(image, result), ".mask.png": image.convert("L")}

    def as_format(self, name: str, result: list[tuple[int, float]], image_id: int) -> list[dict[str, Any]]:
        return [{"image_id": image_id, "tint": index, "value": round(value, 4)} for index, value in result]


class TintPlugin:
    """The parts of this file; a task spec may be given that follows no option."""

    def __init__(self, task_spec: str = "TintSpec") -> None:
        self.task_spec = task_spec

    @registry.hookimpl
    def registry_parts(self, register: Any) -> None:
        register.backbone("tint_backbone", spec=f"{__name__}:TintBackboneSpec", target=f"{__name__}:build_backbone")
        register.head("tint_head", spec=f"{__name__}:TintHeadSpec", target=f"{__name__}:build_head")
        register.task("tint", spec=f"{__name__}:{self.task_spec}", target=f"{__name__}:TintTask")


DOCUMENT = """\
kind: model
name: tints
task: {type: tint, categories: [red, green, blue]}
backbone: {type: tint_backbone}
head: {type: tint_head, num_classes: 3}
"""
#: Red 255 / 255 = 1, green 51 / 255 = 0.2, blue 102 / 255 = 0.4.
COLOUR = (255, 51, 102)


class Bench:
    """A folder with a model `m.yaml`, its weights `w.pth`, which leave colours as they are, and the command line in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.capsys, self.monkeypatch = folder, capsys, monkeypatch
        monkeypatch.chdir(folder)
        Path("m.yaml").write_text(DOCUMENT, encoding="utf-8")
        torch.save({"backbone.mix.weight": torch.eye(3).reshape(3, 3, 1, 1)}, "w.pth")
        self.use(TintPlugin())

    def use(self, plugin: TintPlugin) -> None:
        own = Registry(plugins=[plugin])
        self.monkeypatch.setattr(registry, "default_registry", lambda: own)

    def image(self, name: str, size: tuple[int, int] = (4, 4), colour: tuple[int, int, int] = COLOUR) -> str:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(name, format="PNG")
        return name

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and error output."""
        self.monkeypatch.setattr(sys, "argv", ["registry", *arguments])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as done:
            main()
        captured = self.capsys.readouterr()
        assert isinstance(done.value.code, int)
        return done.value.code, captured.out, captured.err

    def predict(self, *arguments: str) -> tuple[int, str, str]:
        return self.run("predict", "m.yaml", "--weights", "w.pth", *arguments)

    def results(self, *arguments: str) -> list[dict[str, Any]]:
        code, out, err = self.predict("--format", "json", *arguments)
        assert (code, err) == (0, "")
        found: list[dict[str, Any]] = json.loads(out)["results"]
        return found


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, capsys, monkeypatch)


# ---- options ---------------------------------------------------------------------------------------------------------


def test_text_is_what_the_task_says_of_each_file(bench: Bench) -> None:
    bench.image("b.png"), bench.image("a.png", colour=(0, 0, 255))
    assert bench.predict("b.png", "a.png") == (
        0,
        "b.png\n  red 1.00\n  blue 0.40\n  green 0.20\na.png\n  blue 1.00\n",
        "",
    )


@pytest.mark.parametrize(
    ("options", "tints"),
    [
        ([], {"red": 1.0, "blue": 0.4, "green": 0.2}),
        (["--score", "0.3"], {"red": 1.0, "blue": 0.4}),  # the head follows
        (["--score", "1e-05"], {"red": 1.0, "blue": 0.4, "green": 0.2}),
        (["--top", "1"], {"red": 1.0}),  # the task follows
        (["--top", "3", "--score", "0.5"], {"red": 1.0}),
        (["--set", "task.most=2"], {"red": 1.0, "blue": 0.4}),
        (["--set", "task.most=2", "--top", "3"], {"red": 1.0, "blue": 0.4, "green": 0.2}),
    ],
)
def test_options_are_settings_of_the_part_that_follows_them(
    options: list[str], tints: dict[str, float], bench: Bench
) -> None:
    bench.image("x.png")
    assert bench.results("x.png", *options) == [{"file": "x.png", "tints": tints}]


def test_the_size_reaches_the_model(bench: Bench) -> None:
    bench.image("tall.png", (4, 60))
    code, _, err = bench.predict("tall.png", "--size", "51")
    assert (code, "RuntimeError: too tall" in err) == (1, True)
    assert bench.results("tall.png", "--size", "50")[0]["tints"] == {"red": 1.0, "blue": 0.4, "green": 0.2}


@pytest.mark.parametrize(("option", "value"), [("top", "2"), ("size", "8")])
def test_an_option_that_no_part_follows_is_refused(option: str, value: str, bench: Bench) -> None:
    bench.use(TintPlugin("PlainSpec"))
    bench.image("x.png")
    code, out, err = bench.predict("x.png", f"--{option}", value)
    assert (code, out) == (2, "")
    assert err.endswith(f"Error: `--{option}` means nothing to the task `tint`\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--score", "1.5"], "Invalid value for '--score': 1.5 is not in the range 0<=x<=1."),
        (["--score", "-0.1"], "Invalid value for '--score': -0.1 is not in the range 0<=x<=1."),
        (["--top", "0"], "Invalid value for '--top': 0 is not in the range 1<=x<=1000."),
        (["--size", "0"], "Invalid value for '--size': 0 is not in the range 1<=x<=8192."),
        (["--format", "rowz"], "Invalid value for --format: `rowz` is none of text, json, rows"),
        (["--annotations", "gone.json"], "`--annotations` numbers images, which `text` does not"),
    ],
)
def test_wrong_use_is_told_before_anything_is_loaded(options: list[str], message: str, bench: Bench) -> None:
    bench.image("x.png")
    os.remove("w.pth")
    code, out, err = bench.predict("x.png", *options)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == f"Error: {message}"


@pytest.mark.parametrize(("option", "value"), [("size", "5000"), ("score", "nan")])
def test_a_value_that_the_part_refuses_is_told_at_its_option(option: str, value: str, bench: Bench) -> None:
    bench.image("x.png")
    code, out, err = bench.predict("x.png", f"--{option}", value)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"Error: Invalid value for --{option}: {value} is refused: ")


def test_warnings_are_told_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.image("x.png")
    finding = Finding("REG207", ("most",), "more than anyone reads", None, "warning")
    monkeypatch.setattr(TintSpec, "check", lambda self: (finding,))
    code, _, err = bench.predict("x.png", "--top", "3")
    assert code == 0
    assert err.count("more than anyone reads") == 1


# ---- result formats --------------------------------------------------------------------------------------------------


def rows(image_id: int) -> list[dict[str, Any]]:
    return [
        {"image_id": image_id, "tint": 0, "value": 1.0},
        {"image_id": image_id, "tint": 2, "value": 0.4},
        {"image_id": image_id, "tint": 1, "value": 0.2},
    ]


def test_a_result_format_is_one_list_of_all_images(bench: Bench) -> None:
    bench.image("000000000139.png"), bench.image("7.png")
    code, out, err = bench.predict("000000000139.png", "7.png", "--format", "rows")
    assert (code, err) == (0, "")
    assert json.loads(out) == rows(139) + rows(7)


@pytest.mark.parametrize(("first", "second"), [("a.png", "5.png"), ("5.png", "d/05.png")])
def test_images_without_numbers_of_their_own_are_numbered_in_order(first: str, second: str, bench: Bench) -> None:
    bench.image(first), bench.image(second)
    code, out, err = bench.predict(first, second, "--format", "rows", "--top", "3")
    assert code == 0
    assert json.loads(out) == rows(1) + rows(2)
    assert err == "images are numbered from 1 in their order; --annotations FILE gives them their ids\n"


def test_annotations_number_images_by_name(bench: Bench) -> None:
    bench.image("5.png"), bench.image("d/6.png")
    listed = [{"file_name": "6.png", "id": 60, "width": 4}, {"file_name": "5.png", "id": 50}]
    Path("i.json").write_text(json.dumps({"images": listed, "categories": []}), encoding="utf-8")
    code, out, err = bench.predict("5.png", "d", "--format", "rows", "--annotations", "i.json")
    assert (code, err) == (0, "")
    assert json.loads(out) == rows(50) + rows(60)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "error: i.json cannot be read: No such file or directory\n"),
        ("{", "error: i.json has no list `images` of entries with `file_name` and `id`\n"),
        ("[]", "error: i.json has no list `images` of entries with `file_name` and `id`\n"),
        ('{"images": [{"id": 1}]}', "error: i.json has no list `images` of entries with `file_name` and `id`\n"),
        (
            '{"images": [{"file_name": 5, "id": 1}]}',
            "error: i.json has no list `images` of entries with `file_name` and `id`\n",
        ),
        ("[" * 200_000, "error: i.json has no list `images` of entries with `file_name` and `id`\n"),
    ],
    ids=["absent", "cut off", "a list", "no name", "name of a number", "nested"],
)
def test_annotations_that_cannot_serve_are_told(text: str | None, message: str, bench: Bench) -> None:
    bench.image("x.png")
    if text is not None:
        Path("i.json").write_text(text, encoding="utf-8")
    assert bench.predict("x.png", "--format", "rows", "--annotations", "i.json") == (1, "", message)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("1e999", "Infinity"),
        ("NaN", "NaN"),
        ("7.9", "7.9"),
        ("7.0", "7.0"),
        ("true", "true"),
        ("null", "null"),
        ('"7"', '"7"'),
        ("[" + "1, " * 99 + "1]", "[" + "1, " * 13),  # no more than 40 characters of it
    ],
)
def test_ids_that_are_no_whole_numbers_are_told(number: str, shown: str, bench: Bench) -> None:
    bench.image("x.png")
    Path("i.json").write_text('{"images": [{"file_name": "x.png", "id": ' + number + "}]}", encoding="utf-8")
    found = bench.predict("x.png", "--format", "rows", "--annotations", "i.json")
    assert found == (1, "", f"error: i.json: the id of `x.png` is {shown}; write a whole number\n")


def annotate(**ids: int) -> None:
    """Annotations `i.json`; in the names of images `__` stands for a slash, and the suffix is left out."""
    images = [{"file_name": f"{name.replace('__', '/')}.png", "id": number} for name, number in ids.items()]
    Path("i.json").write_text(json.dumps({"images": images}), encoding="utf-8")


def test_annotations_that_give_two_images_one_id_are_told(bench: Bench) -> None:
    bench.image("a.png")
    annotate(a=5, b=6, val__c=5)
    code, out, err = bench.predict("a.png", "--format", "rows", "--annotations", "i.json")
    assert (code, out) == (1, "")
    assert err == "error: i.json: `a.png` and `val/c.png` have the same id 5; give each image an id of its own\n"


@pytest.mark.parametrize("again", ["val/a.png", "./val/a.png", "val//a.png"])
def test_annotations_that_list_an_image_twice_are_told(again: str, bench: Bench) -> None:
    bench.image("b.png")
    images = [{"file_name": "b.png", "id": 1}, {"file_name": "val/a.png", "id": 2}, {"file_name": again, "id": 3}]
    Path("i.json").write_text(json.dumps({"images": images}), encoding="utf-8")
    code, out, err = bench.predict("b.png", "--format", "rows", "--annotations", "i.json")
    assert (code, out) == (1, "")
    assert err == "error: i.json lists `val/a.png` twice, with the ids 2 and 3; list each image once\n"


def test_images_of_one_name_are_told_apart_by_their_folders(bench: Bench) -> None:
    for name in ("d/train/a.png", "d/val/a.png", "d/a.png", "d/test/a.png"):
        bench.image(name)
    annotate(val__a=1, train__a=2, x__train__a=3, a=4)
    files = ["d/val/a.png", "d/train/a.png", "d/test/a.png"]
    code, out, err = bench.predict(*files, "--format", "rows", "--annotations", "i.json")
    # of `train/a.png` and `x/train/a.png` the first is all of d/train/a.png's end; `a.png` alone fits any other folder
    assert (code, err) == (0, "")
    assert json.loads(out) == rows(1) + rows(2) + rows(4)
    bench.monkeypatch.chdir("d/train")
    code, out, err = bench.run(
        "predict",
        "../../m.yaml",
        "--weights",
        "../../w.pth",
        "a.png",
        "--format",
        "rows",
        "--annotations",
        "../../i.json",
    )
    assert (code, err, json.loads(out)) == (0, "", rows(2))


def test_an_image_that_may_be_two_of_the_annotations_does_not_stop_the_others(bench: Bench) -> None:
    bench.image("a.png"), bench.image("val/a.png")
    annotate(val__a=1, train__a=2)
    code, out, err = bench.predict("a.png", "val", "--format", "rows", "--annotations", "i.json")
    assert (code, json.loads(out)) == (1, rows(1))
    assert err == (
        "error: a.png may be `val/a.png` or `train/a.png` of i.json; name it with the folder that tells them apart\n"
    )


def test_an_image_that_the_annotations_do_not_list_is_named(bench: Bench) -> None:
    bench.image("x.png")
    Path("i.json").write_text('{"images": []}', encoding="utf-8")
    code, out, err = bench.predict("x.png", "--format", "rows", "--annotations", "i.json")
    assert (code, out) == (1, "")
    assert err.startswith("error: i.json lists no image `x.png`")


def test_the_images_that_the_annotations_list_are_done_all_the_same(bench: Bench) -> None:
    for name in ("a.png", "5.png", "b.png"):
        bench.image(name)
    Path("i.json").write_text('{"images": [{"file_name": "5.png", "id": 50}]}', encoding="utf-8")
    code, out, err = bench.predict("a.png", "5.png", "b.png", "--format", "rows", "--annotations", "i.json")
    assert (code, json.loads(out)) == (1, rows(50))
    assert err == "error: i.json lists no image `a.png`\nerror: i.json lists no image `b.png`\n"


def test_two_files_that_are_one_image_to_the_annotations_are_refused(bench: Bench) -> None:
    bench.image("d/5.png"), bench.image("e/5.png"), bench.image("a.png")
    Path("i.json").write_text('{"images": [{"file_name": "5.png", "id": 50}]}', encoding="utf-8")
    code, out, err = bench.predict("a.png", "d", "e", "--format", "rows", "--annotations", "i.json")
    first, second = os.path.join("d", "5.png"), os.path.join("e", "5.png")
    assert (code, out) == (1, "")
    assert err == (
        "error: i.json lists no image `a.png`\n"
        f"error: {first} and {second} are one image to i.json; predict them apart\n"
    )


def test_a_task_without_formats_says_what_it_writes(bench: Bench) -> None:
    task = Registry(plugins=[TintPlugin()]).task(Registry(plugins=[TintPlugin()]).load_spec("./m.yaml"))
    with pytest.raises(registry.RegistryError) as caught:
        Task.as_format(task, "lines", [], 1)
    assert str(caught.value) == "the task `tint` writes no `lines`; it writes text, json, rows"


# ---- pictures --------------------------------------------------------------------------------------------------------


def test_every_picture_of_the_task_is_written_under_a_name_of_its_own(bench: Bench) -> None:
    bench.image("a/x.png"), bench.image("b/x.png", colour=(0, 0, 255))
    found = bench.results("a", "b", "--output", "out/deep")
    out = os.path.join("out", "deep")
    names = ["x.png.png", "x.png.mask.png", "x.png-2.png", "x.png-2.mask.png"]
    first, second = ([os.path.join(out, name) for name in pair] for pair in (names[:2], names[2:]))
    assert found == [
        {
            "file": os.path.join("a", "x.png"),
            "tints": {"red": 1.0, "blue": 0.4, "green": 0.2},
            "picture": first[0],
            "pictures": first,
        },
        {"file": os.path.join("b", "x.png"), "tints": {"blue": 1.0}, "picture": second[0], "pictures": second},
    ]
    assert sorted(os.listdir(out)) == sorted(names)
    assert Image.open(second[0]).getpixel((0, 0)) == (0, 0, 255)
    assert Image.open(second[1]).getpixel((0, 0)) == 29  # 0.114 * 255, the weight of blue in Pillow's grey


def test_pictures_beside_the_images_replace_none_of_them(bench: Bench) -> None:
    bench.image("x.png"), bench.image("x.png.png", colour=(0, 0, 255))
    bench.results("x.png", "x.png.png", "--output", ".")
    assert Image.open("x.png.png").getpixel((0, 0)) == (0, 0, 255)
    assert Image.open("x.png-2.png").getpixel((0, 0)) == COLOUR
    assert Image.open("x.png.png.png").getpixel((0, 0)) == (0, 0, 255)


@pytest.mark.parametrize("second", ["e/A", "e/a.mask"])
def test_names_that_would_meet_get_a_number(second: str, bench: Bench) -> None:
    """On a file system that ignores letter case; and the picture of one image where the mask of another lies."""
    found = bench.results(bench.image("d/a"), bench.image(second), "--output", "out")
    name = os.path.basename(second)
    assert [os.path.basename(path) for entry in found for path in entry["pictures"]] == [
        "a.png",
        "a.mask.png",
        f"{name}-2.png",
        f"{name}-2.mask.png",
    ]


def mark(path: str) -> Any:
    with Image.open(path) as picture:
        return picture.info.get("Software")


def test_pictures_of_an_earlier_run_are_replaced_and_no_other_file(bench: Bench) -> None:
    bench.image("same/a.jpg"), bench.image("same/b.jpg")
    Path("same/a.jpg.png").write_bytes(b"mine")
    bench.image("same/b.jpg.mask.png", colour=(1, 2, 3))
    given = ["same/a.jpg", "same/b.jpg", "--output", "same"]
    first = bench.results(*given)
    names = [[os.path.join("same", f"{name}-2{end}") for end in (".png", ".mask.png")] for name in ("a.jpg", "b.jpg")]
    assert [entry["pictures"] for entry in first] == names
    assert Path("same/a.jpg.png").read_bytes() == b"mine"
    assert Image.open("same/b.jpg.mask.png").getpixel((0, 0)) == (1, 2, 3)
    assert [mark(path) for pair in names for path in pair] == ["vision-registry"] * 4
    bench.image("same/a.jpg", colour=(0, 0, 255))
    assert [entry["pictures"] for entry in bench.results(*given)] == names
    assert Image.open(names[0][0]).getpixel((0, 0)) == (0, 0, 255)
    assert len(os.listdir("same")) == 8


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


MARK = chunk(b"tEXt", b"Software\0vision-registry")


@pytest.mark.parametrize(
    ("after_header", "before_end", "replaced"),
    [
        (MARK, b"", True),
        (chunk(b"tEXt", b"Software\0GIMP") + chunk(b"iCCP", bytes(9000)) + MARK, b"", True),
        (chunk(b"tEXt", b"Software\0of-some-camera") + MARK, b"", True),  # as long as the mark
        (chunk(b"tEXt", b"Software\0vision-registry 2"), b"", False),
        (chunk(b"tEXt", b"Comment\0" + MARK), b"", False),
        (chunk(b"tEXt", b"Software\0GIMP"), b"", False),
        (b"", MARK, False),  # behind the pixels, where the pictures do not have it
    ],
)
def test_only_the_mark_tells_a_picture_of_an_earlier_run(
    after_header: bytes, before_end: bytes, replaced: bool, bench: Bench
) -> None:
    bench.image("a"), bench.image("out/a.png", colour=(1, 2, 3))
    data = Path("out/a.png").read_bytes()  # signature and header are 8 and 25 bytes, the end 12
    Path("out/a.png").write_bytes(data[:33] + after_header + data[33:-12] + before_end + data[-12:])
    (found,) = bench.results("a", "--output", "out")
    assert found["picture"] == os.path.join("out", "a.png" if replaced else "a-2.png")


@pytest.mark.parametrize("there", ["folder", "link to nothing", "empty", "cut off"])
def test_whatever_else_has_the_name_stays(there: str, bench: Bench) -> None:
    bench.image("a"), Path("out").mkdir()
    path = Path("out/a.png")
    if there == "folder":
        path.mkdir()
    elif there == "link to nothing":
        path.symlink_to("gone")
    else:
        path.write_bytes(b"" if there == "empty" else b"\x89PNG\r\n\x1a\n\0\0\0\x0dIH")
    (found,) = bench.results("a", "--output", "out")
    assert found["picture"] == os.path.join("out", "a-2.png")
    assert not os.path.exists("out/gone")


@pytest.mark.parametrize("letter", ["a", "é", "図", "🜁"])
def test_long_names_are_shortened_and_stay_apart(letter: str, bench: Bench) -> None:
    most = 255 // len(letter.encode()) - 5
    names = [f"{letter * most}{end}" for end in ("1.jpg", "2.jpg")]
    bench.image(names[0]), bench.image(names[1]), bench.image("d/" + names[1], colour=(0, 0, 255))
    given = [*names, os.path.join("d", names[1]), "--output", "out"]
    found = bench.results(*given)
    written = [os.path.basename(path) for entry in found for path in entry["pictures"]]
    assert len(set(written)) == 6
    ends = [".jpg.png", ".jpg.mask.png"] * 2 + [".jpg-2.png", ".jpg-2.mask.png"]
    for name, end in zip(written, ends, strict=True):
        assert name.startswith(letter * 30)
        assert name.endswith(end)
        assert len(name.encode()) <= 200
    assert sorted(os.listdir("out")) == sorted(written)
    assert bench.results(*given) == found


def test_a_name_of_200_bytes_is_kept_and_one_more_is_not(bench: Bench) -> None:
    fits, longer = "a" * 187 + ".jpg", "a" * 188 + ".jpg"  # 191 and `.mask.png` make 200
    found = bench.results(bench.image(fits), bench.image(longer), "--output", "out")
    assert found[0]["picture"] == os.path.join("out", f"{fits}.png")
    assert os.path.basename(found[1]["picture"]).startswith("a" * 178 + "~")  # 178 + 1 + 8 + 4 + 9 is 200


@pytest.mark.parametrize("form", ["json", "rows", "text"])
def test_a_picture_that_cannot_be_written_loses_no_result(form: str, bench: Bench) -> None:
    bench.image("1.png"), bench.image("2.png")
    written = pictures.write_atomically

    def write(path: Path, data: bytes) -> None:
        if path.name == "1.png.png":
            raise OSError(28, "No space left on device")
        written(path, data)

    bench.monkeypatch.setattr(pictures, "write_atomically", write)
    code, out, err = bench.predict("1.png", "2.png", "--format", form, "--output", "out", "--top", "3")
    failed = os.path.join("out", "1.png.png")
    problem = f"{failed!r} cannot be written: No space left on device"
    assert (code, err) == (1, f"error: {problem}\n")
    left = [os.path.join("out", name) for name in ("1.png.mask.png", "2.png.png", "2.png.mask.png")]
    assert sorted(os.listdir("out")) == sorted(map(os.path.basename, left))
    tints = {"red": 1.0, "blue": 0.4, "green": 0.2}
    if form == "text":
        lines = "  red 1.00\n  blue 0.40\n  green 0.20\n"
        assert out == f"1.png\n{lines}2.png\n{lines}3 pictures in out\n"
    elif form == "rows":
        assert json.loads(out) == rows(1) + rows(2)
    else:
        assert json.loads(out) == {
            "model": "tints",
            "results": [
                {"file": "1.png", "tints": tints, "pictures": left[:1]},
                {"file": "2.png", "tints": tints, "picture": left[1], "pictures": left[1:]},
            ],
            "failures": [{"file": "1.png", "error": problem}],
        }


def test_a_folder_that_takes_nothing_is_told_before_anything_is_run(bench: Bench) -> None:
    def refuse(**options: Any) -> str:
        assert options["dir"] == "new/deep"
        assert os.path.isdir("new/deep")
        raise PermissionError(13, "Permission denied")

    bench.monkeypatch.setattr(pictures.tempfile, "mkdtemp", refuse)
    code, out, err = bench.run("predict", "unknown", "gone.png", "--output", "new/deep")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        "Error: Invalid value for --output: nothing can be written into 'new/deep': Permission denied; name another folder"
    )
    assert not os.path.exists("new")


def test_a_folder_whose_name_is_too_long_is_told(bench: Bench) -> None:
    code, _, err = bench.run("predict", "unknown", "gone.png", "--output", "new/" + "a" * 300)
    assert (code, "nothing can be written into 'new/aaa" in err) == (2, True)
    assert not os.path.exists("new")


def test_looking_at_the_folder_leaves_nothing(bench: Bench) -> None:
    Path("old").mkdir()
    for folder in ("old", "new", "old/deep"):
        assert bench.predict("gone.png", "--output", folder)[0] == 1
    assert sorted(os.listdir()) == ["m.yaml", "old", "w.pth"]
    assert os.listdir("old") == []


def test_an_empty_name_of_a_folder_is_wrong_use(bench: Bench) -> None:
    bench.image("x.png")
    code, out, err = bench.predict("x.png", "--output", "")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == ("Error: Invalid value for --output: name a folder; `.` is the working folder")
    assert sorted(os.listdir()) == ["m.yaml", "w.pth", "x.png"]


def test_text_says_how_many_pictures_there_are(bench: Bench) -> None:
    bench.image("x.png")
    _, out, _ = bench.predict("x.png", "--output", "out", "--top", "1")
    assert out == "x.png\n  red 1.00\n2 pictures in out\n"


@pytest.mark.parametrize("folder", ["w.pth", "w.pth/deep/er"])
def test_pictures_need_a_folder_and_that_is_said_before_anything_is_run(folder: str, bench: Bench) -> None:
    bench.image("x.png")
    code, out, err = bench.run("predict", "unknown", "gone.png", "--output", folder)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        "Error: Invalid value for --output: 'w.pth' is a file; name a folder, which is made where there is none"
    )


# ---- files that fail, and what is printed where ----------------------------------------------------------------------

TOO_TALL = "`tints` fails on 'tall.png' of 4x51 pixels: RuntimeError: too tall"


def test_an_image_that_fails_does_not_stop_the_others(bench: Bench) -> None:
    bench.image("tall.png", (4, 51)), bench.image("x.png")
    Path("bad.png").write_bytes(b"")
    code, out, err = bench.predict("bad.png", "tall.png", "x.png", "--format", "json")
    empty = "cannot read image 'bad.png': it is empty (0 bytes); copy or download it again"
    assert code == 1
    assert err == f"error: {empty}\nerror: {TOO_TALL}\n"
    assert json.loads(out) == {
        "model": "tints",
        "results": [{"file": "x.png", "tints": {"red": 1.0, "blue": 0.4, "green": 0.2}}],
        "failures": [{"file": "bad.png", "error": empty}, {"file": "tall.png", "error": TOO_TALL}],
    }


def test_a_path_that_stands_for_no_image_does_not_stop_the_others(bench: Bench) -> None:
    bench.image("x.png")
    Path("empty").mkdir()
    code, out, err = bench.predict("gone.png", "empty", "x.png", "no*.png", "--format", "json")
    gone = "there is no file or folder 'gone.png'; check the path"
    empty, pattern = (
        f"no image file in '{name}'; name a file, or a folder or pattern that holds some"
        for name in ("empty", "no*.png")
    )
    assert code == 1
    assert err == f"error: {gone}\nerror: {empty}\nerror: {pattern}\n"
    found = json.loads(out)
    assert found["results"] == [{"file": "x.png", "tints": {"red": 1.0, "blue": 0.4, "green": 0.2}}]
    assert found["failures"] == [
        {"file": "gone.png", "error": gone},
        {"file": "empty", "error": empty},
        {"file": "no*.png", "error": pattern},
    ]


@pytest.mark.parametrize("form", ["text", "json", "rows"])
def test_where_no_image_is_left_that_is_said_before_the_model_is_read(form: str, bench: Bench) -> None:
    gone = "error: there is no file or folder 'gone{}.png'; check the path\n"
    only = bench.run("predict", "unknown", "gone1.png", "--format", form)
    assert only == (1, "", gone.format(1))
    both = bench.run("predict", "unknown", "gone1.png", "gone2.png", "--format", form)
    assert both == (1, "", f"{gone.format(1)}{gone.format(2)}error: no image is left to predict\n")


def test_where_the_annotations_list_none_of_the_images_nothing_is_loaded(bench: Bench) -> None:
    bench.image("a.png"), bench.image("b.png")
    os.remove("w.pth")
    Path("i.json").write_text('{"images": []}', encoding="utf-8")
    code, out, err = bench.predict("a.png", "b.png", "--format", "rows", "--annotations", "i.json")
    assert (code, out) == (1, "")
    assert err == (
        "error: i.json lists no image `a.png`\nerror: i.json lists no image `b.png`\nerror: no image is left to predict\n"
    )


@pytest.mark.parametrize("given", [["photos"], ["photos/*"], ["photos", "photos/locked"]])
def test_a_folder_that_cannot_be_listed_hides_none_of_the_others(given: list[str], bench: Bench) -> None:
    for name in ("photos/a.png", "photos/locked/b.png", "photos/open/c.png"):
        bench.image(name)
    listed = os.scandir

    def scandir(folder: Any) -> Any:
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    bench.monkeypatch.setattr(os, "scandir", scandir)
    told: list[tuple[str, str]] = []
    found = find_images(given, lambda path, problem: told.append((path, str(problem))))
    locked = os.path.join("photos", "locked")
    assert found == [Path("photos/a.png"), Path("photos/open/c.png")]
    assert set(told) == {(locked, f"cannot list folder {locked!r}: Permission denied; make it readable")}


def test_a_predictor_tells_the_picture_that_a_model_fails_on(bench: Bench) -> None:
    bench.image("tall.png", (4, 51))
    predictor = Predictor.load(registry.default_registry(), "m.yaml", weights="w.pth")
    with pytest.raises(registry.ImageError) as caught:
        predictor.predict("tall.png")
    assert str(caught.value) == TOO_TALL
    data = Path("tall.png").read_bytes()
    with pytest.raises(registry.ImageError) as caught:
        predictor.predict(data)
    assert str(caught.value) == TOO_TALL.replace("'tall.png'", f"<{len(data)} bytes>")


UNDECODED = os.fsdecode(b"caf\xe9.png")


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="file names are Unicode there")
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_file_name_that_is_not_utf_8_is_shown_all_the_same(form: str, bench: Bench) -> None:
    bench.image(UNDECODED)
    code, out, err = bench.predict(UNDECODED, "--format", form, "--output", "out", "--top", "1")
    assert (code, err) == (0, "")
    if form == "text":
        assert out == "caf\\xe9.png\n  red 1.00\n2 pictures in out\n"
        return
    (found,) = json.loads(out)["results"]
    assert found["file"] == r"caf\xe9.png"
    assert found["pictures"] == [os.path.join("out", rf"caf\xe9.png{end}") for end in (".png", ".mask.png")]
    assert sorted(os.listdir("out")) == sorted(f"{UNDECODED}{end}" for end in (".png", ".mask.png"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("café \\ 図", "café \\ 図"),
        ("\udce9\udc80\udcff", r"\xe9\x80\xff"),
        ("a\ud800b\udc7fc\udfff", r"a\ud800b\udc7fc\udfff"),
    ],
)
def test_what_no_encoding_takes_is_written_as_an_escape(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert output.printable(text) == shown
    output.echo_json({text: [text]})
    assert json.loads(capsys.readouterr().out.encode("utf-8")) == {shown: [shown]}


class PlainTask(TintTask):
    """Grey pictures for a model that takes three channels."""

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        return super().preprocess(image)[:1]


class Sized(TaskSpec):
    type: Literal["tint"] = "tint"
    preprocessing: dict[str, int] = {}


@pytest.mark.parametrize(("spec", "settings"), [(TintSpec(), "task"), (Sized(), "task.preprocessing")])
def test_other_channels_than_the_models_are_told_with_settings_that_the_task_has(
    spec: TaskSpec, settings: str, bench: Bench
) -> None:
    bench.image("x.png")
    model = registry.default_registry().build("m.yaml", weights="w.pth")
    model.spec = model.spec.model_copy(update={"task": spec})
    predictor = Predictor(model, PlainTask(TintSpec(), None))
    with pytest.raises(registry.RegistryError) as caught:
        predictor.predict("x.png")
    assert str(caught.value) == (
        f"`tints` takes 3 input channels, its task's pre-processing yields 1; change the settings under {settings}"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("form", ["text", "json", "rows"])
def test_the_bar_is_for_a_terminal_and_leaves_the_output_alone(
    form: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.image("1.png"), bench.image("2.png")
    quiet = bench.predict("1.png", "2.png", "--format", form)
    assert quiet[2] == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    watched = bench.predict("1.png", "2.png", "--format", form)
    assert "predicting" in terminal.getvalue()
    assert watched[:2] == quiet[:2]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_single_image_that_takes_long_shows_a_sign_of_life(
    form: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.image("x.png")
    quiet = bench.predict("x.png", "--format", form)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    watched = bench.predict("x.png", "--format", form)
    assert "predicting x.png" in terminal.getvalue()
    assert watched[:2] == quiet[:2]
