"""What people get wrong in a document, and the whole text that they are told: place, message, what to write, rule."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import registry
from registry.diagnostics import Diagnostic, SpecError
from registry.errors import RegistryError
from registry.registry import Registry

#: Content that stands for a link to itself, which nobody can read.
LOOP = "a link to itself"


@dataclass(frozen=True)
class Mistake:
    """Files, and what is told of them.

    Attributes:
        expected: each diagnostic as text, its notes after it; paths of shipped documents are cut to package and file.
        asked: the paths that are validated; by default every file.
        load: a reference that is loaded instead.
    """

    files: dict[str, str | bytes]
    expected: list[str] = field(default_factory=list)
    asked: tuple[str, ...] = ()
    load: str | None = None


def heir(*lines: str, name: str = "mine", extends: str = "mobilenet_v3_small") -> str:
    return "\n".join([f"kind: model\nname: {name}\nextends: {extends}", *lines]) + "\n"


def setting(*lines: str) -> dict[str, str | bytes]:
    """An heir of a shipped model; the first of `lines` is line 4 of `m.yaml`."""
    return {"m.yaml": heir(*lines)}


HEAD = "head: {type: mobilenet_v3_classifier, num_classes: 2}"


def whole(task: str = "task: classification", backbone: str = "backbone: mobilenet_v3_small", head: str = HEAD) -> str:
    """A model without parent: task, backbone and head on lines 3 to 5."""
    return "\n".join(["kind: model\nname: mine", *filter(None, [task, backbone, head])]) + "\n"


def backbone(blocks: str) -> dict[str, str | bytes]:
    """A backbone whose block table begins on line 4."""
    return {"m.yaml": f"kind: backbone\nname: mine\ntype: mobilenet_v3\n{blocks}\n"}


def overlay(settings: str) -> dict[str, str | bytes]:
    """A model whose weights bring task settings, which begin at 8:7."""
    return setting("weights:", "  MINE:", "    source: ./w.pth", "    task:", f"      {settings}")


OWN = f"vision-registry {registry.__version__} (plugin `mobilenet`)"

MISTAKES: dict[str, Mistake] = {
    # names
    "a model of unknown name": Mistake(
        {},
        [
            "unknown model `mobilenet_v3_smal`; did you mean "
            "`mobilenet_v3_small` or `mobilenet_v3_small_075` or `lraspp_mobilenet_v3_small`?"
        ],
        load="mobilenet_v3_smal",
    ),
    "a parent of unknown name": Mistake(
        {"m.yaml": heir(extends="mobilenet_v3_larg")},
        [
            "m.yaml:3:10: error: unknown model `mobilenet_v3_larg`; did you mean "
            "`mobilenet_v3_large` or `mobilenet_v3_large_075` or `fcn_mobilenet_v3_large`? [REG108]"
        ],
    ),
    "a backbone of unknown name": Mistake(
        {"m.yaml": whole(backbone="backbone: mnv3_small")},
        ["m.yaml:4:11: error: unknown backbone `mnv3_small`; there is a model of that name [REG108]"],
    ),
    "parents in a circle": Mistake(
        {"a.yaml": heir(name="a", extends="./b.yaml"), "b.yaml": heir(name="b", extends="./a.yaml")},
        ["a.yaml:3:10: error: the documents extend one another in a circle: a -> b -> a [REG109]"],
        asked=("a.yaml",),
    ),
    "a name that a shipped model has": Mistake(
        {"m.yaml": heir(name="mobilenet_v3_large")},
        [
            f"m.yaml:2:7: error: the model name `mobilenet_v3_large` is taken by {OWN}; choose another name [REG110]",
            "note: registry_mobilenet/catalog/mobilenet_v3_large.yaml:2:7: the other document",
        ],
    ),
    "an alias that a shipped model has": Mistake(
        setting("aliases: [free, mnv3_large]"),
        [
            f"m.yaml:4:17: error: the model name `mnv3_large` is taken by {OWN}; choose another name [REG110]",
            "note: registry_mobilenet/catalog/mobilenet_v3_large.yaml:3:11: the other document",
        ],
    ),
    "two files of one name": Mistake(
        {"a.yaml": heir(), "b.yaml": heir()},
        [
            "b.yaml:2:7: error: the model name `mine` is taken by a.yaml; choose another name [REG110]",
            "note: a.yaml:2:7: the other document",
        ],
    ),
    # texts
    "no YAML": Mistake(
        {"m.yaml": "kind: model\nname: [mine\nextends: x\n"},
        [
            "m.yaml:3:8: error: not YAML: did not find expected ',' or ']' "
            "(while parsing a flow sequence) [REG003]"
        ],
    ),
    "a key twice": Mistake(
        setting("head: {dropout: 0.1}", "head: {num_classes: 5}"),
        ["m.yaml:5:1: error: the key `head` stands twice, first on line 4 [REG004]"],
    ),
    "a tag": Mistake(
        setting("head: !!python/object:os.system {}"),
        ["m.yaml:4:7: error: the tag `!!python/object:os.system` is not allowed; write the value alone [REG007]"],
    ),
    "not UTF-8": Mistake(
        {"m.yaml": b"kind: model\nname: caf\xe9\n"},
        ["m.yaml:2:10: error: the file is not UTF-8: byte 0xe9 at offset 21; save it as UTF-8 [REG002]"],
    ),
    "a file that is not there": Mistake(
        {}, ["m.yaml:1:1: error: there is no such file [REG001]"], asked=("m.yaml",)
    ),
    "a file that cannot be read": Mistake(
        {"m.yaml": LOOP}, [f"m.yaml:1:1: error: the file cannot be read: {os.strerror(errno.ELOOP)} [REG001]"]
    ),
    "a folder for a file": Mistake(
        {"m.yaml/n.txt": ""}, ["m.yaml:1:1: error: this is a folder, not a file [REG001]"], load="m.yaml"
    ),
    # documents
    "no kind and no name": Mistake(
        {"m.yaml": "extends: mobilenet_v3_small\n"},
        [
            "m.yaml:1:1: error: missing key `kind`; write for instance `kind: model` [REG102]",
            "m.yaml:1:1: error: missing key `name`; write for instance `name: my_model` [REG102]",
        ],
    ),
    "an unknown kind": Mistake(
        {"m.yaml": "kind: modell\nname: mine\n"},
        ["m.yaml:1:7: error: unknown kind of document `modell`; did you mean `model`? [REG106]"],
    ),
    "a list for a document": Mistake(
        {"m.yaml": "- kind: model\n"},
        ["m.yaml:1:1: error: a document is a mapping; begin with `kind: model` [REG103]"],
    ),
    "a newer format": Mistake(
        setting("spec: 2"),
        [
            "m.yaml:4:7: error: this release reads documents of format 1; "
            "write `spec: 1`, or install a newer vision-registry for a newer format [REG112]"
        ],
    ),
    "a format that is true": Mistake(
        setting("spec: true"),
        [
            "m.yaml:4:7: error: this release reads documents of format 1; "
            "write `spec: 1`, or install a newer vision-registry for a newer format [REG112]"
        ],
    ),
    # keys
    "an unknown key": Mistake(
        setting("backbone: {widht_mult: 0.5}"),
        ["m.yaml:4:12: error: unknown key `widht_mult` in `backbone`; did you mean `width_mult`? [REG101]"],
    ),
    "an unknown key at the top": Mistake(
        setting("wights: {}"), ["m.yaml:4:1: error: unknown key `wights`; did you mean `weights`? [REG101]"]
    ),
    "an unknown key that nothing resembles": Mistake(
        setting("head: {zzz: 1}"),
        [
            "m.yaml:4:8: error: unknown key `zzz` in `head`; "
            "known: `dropout`, `hidden_channels`, `num_classes`, `type` [REG101]"
        ],
    ),
    "an unknown key in a row": Mistake(
        backbone("blocks:\n  - {kernel: 3, expanded: 16, out: 16, activation: relu, strid: 2}"),
        ["m.yaml:5:58: error: unknown key `strid`; did you mean `stride`? [REG101]"],
    ),
    "a missing part": Mistake({"m.yaml": whole(head="")}, ["m.yaml:1:1: error: missing key `head` [REG102]"]),
    "a missing key": Mistake(
        {"m.yaml": whole(head="head: {type: mobilenet_v3_classifier}")},
        ["m.yaml:5:1: error: missing key `num_classes` in `head` [REG102]"],
    ),
    "a needed key that is misspelled": Mistake(
        {"m.yaml": whole(head="head: {type: mobilenet_v3_classifier, num_clases: 2}")},
        [
            "m.yaml:5:1: error: missing key `num_classes` in `head`; is `num_clases` meant to be `num_classes`? [REG102]",
            "m.yaml:5:39: error: unknown key `num_clases` in `head`; did you mean `num_classes`? [REG101]",
        ],
    ),
    "a missing key in a row": Mistake(
        backbone("blocks:\n  - {kernel: 3, expanded: 16, activation: relu}"),
        ["m.yaml:5:6: error: missing key `out` in `blocks.0` [REG102]"],
    ),
    "no type of part": Mistake(
        {"m.yaml": whole(head="head: {num_classes: 2}")}, ["m.yaml:5:1: error: missing key `type` in `head` [REG102]"]
    ),
    "an unknown type of part": Mistake(
        {"m.yaml": whole(head="head: {type: mobilenet_v3_clasifier, num_classes: 2}")},
        [
            "m.yaml:5:14: error: unknown type of head `mobilenet_v3_clasifier`; "
            "did you mean `mobilenet_v3_classifier` or `mobilenet_v2_classifier` or `resnet_classifier`? [REG107]"
        ],
    ),
    "a number for a part": Mistake(
        {"m.yaml": whole(head="head: 3")}, ["m.yaml:5:7: error: expected a mapping, got 3 [REG103]"]
    ),
    "a number for a type of part": Mistake(
        {"m.yaml": whole(head="head: {type: 3, num_classes: 2}")},
        ["m.yaml:5:14: error: expected a text, got 3 [REG103]"],
    ),
    # values
    "a factor of 0": Mistake(
        setting("backbone:", "  width_mult: 0"), ["m.yaml:5:15: error: must be greater than 0, got 0 [REG104]"]
    ),
    "a factor below 0": Mistake(
        setting("backbone:", "  width_mult: -1"), ["m.yaml:5:15: error: must be greater than 0, got -1 [REG104]"]
    ),
    "an undefined factor": Mistake(
        setting("backbone:", "  width_mult: .nan"),
        ["m.yaml:5:15: error: must be a finite number, got .nan [REG104]"],
    ),
    "an infinite factor": Mistake(
        setting("backbone:", "  width_mult: -.inf"),
        ["m.yaml:5:15: error: must be a finite number, got -.inf [REG104]"],
    ),
    "a huge factor": Mistake(
        setting("backbone:", "  width_mult: 1e9"),
        ["m.yaml:5:15: error: must be at most 16, got 1000000000.0 [REG104]"],
    ),
    "a factor in quotes": Mistake(
        setting("backbone:", '  width_mult: "1"'), ["m.yaml:5:15: error: expected a number, got `1` [REG103]"]
    ),
    "a list for a number": Mistake(
        setting("backbone:", "  width_mult: [1]"), ["m.yaml:5:3: error: expected a number, got a list [REG103]"]
    ),
    "a truth value in quotes": Mistake(
        setting("backbone:", '  reduced_tail: "no"'),
        ["m.yaml:5:17: error: expected true or false, got `no` [REG103]"],
    ),
    "a truth value of YAML 1.1": Mistake(
        setting("backbone:", "  reduced_tail: no"),
        ["m.yaml:5:17: error: expected true or false, got `no` [REG103]"],
    ),
    "no classes": Mistake(
        setting("head:", "  num_classes: 0"), ["m.yaml:5:16: error: must be at least 1, got 0 [REG104]"]
    ),
    "half a class": Mistake(
        setting("head:", "  num_classes: 1.5"), ["m.yaml:5:16: error: expected a whole number, got 1.5 [REG103]"]
    ),
    "a number of 6,000 digits": Mistake(
        setting("head:", "  num_classes: " + "7" * 6000),
        ["m.yaml:5:16: error: a number of 6000 characters; at most 400 are read [REG006]"],
    ),
    "an octal number of 6,000 digits": Mistake(
        setting("head:", "  num_classes: 0o" + "7" * 6000),
        ["m.yaml:5:16: error: a number of 6002 characters; at most 400 are read [REG006]"],
    ),
    "an even kernel": Mistake(
        backbone("blocks:\n  - {kernel: 4, expanded: 16, out: 16, activation: relu}"),
        ["m.yaml:5:14: error: 4 is none of the choices; known: `1`, `3`, `5`, `7`, `9`, `11` [REG105]"],
    ),
    "a stride that is true": Mistake(
        backbone("blocks:\n  - {kernel: 3, expanded: 16, out: 16, activation: relu, stride: true}"),
        ["m.yaml:5:66: error: true is none of the choices; known: `1`, `2` [REG105]"],
    ),
    "an unknown word": Mistake(
        backbone("blocks:\n  - {kernel: 3, expanded: 16, out: 16, activation: hardswisch}"),
        ["m.yaml:5:52: error: `hardswisch` is none of the choices; did you mean `hardswish`? [REG105]"],
    ),
    "a number that is none of the choices": Mistake(
        setting("backbone:", "  output_stride: 3"),
        ["m.yaml:5:18: error: 3 is none of the choices; known: `2`, `4`, `8`, `16`, `32`, `64` [REG105]"],
    ),
    "an unknown variant": Mistake(
        setting("backbone:", "  norm: {kind: grup}"),
        ["m.yaml:5:16: error: `grup` is none of the choices; did you mean `group`? [REG105]"],
    ),
    "a key of another variant": Mistake(
        setting("backbone:", "  norm: {kind: batch, groups: 8}"),
        ["m.yaml:5:23: error: unknown key `groups` in `norm`; known: `eps`, `kind`, `momentum` [REG101]"],
    ),
    "an empty table": Mistake(
        backbone("blocks: []"), ["m.yaml:4:1: error: must have at least 1 item, got 0 [REG104]"]
    ),
    "nothing for a table": Mistake(
        backbone("blocks:"), ["m.yaml:4:8: error: expected a list, got nothing [REG103]"]
    ),
    "a class name that is a number": Mistake(
        {"m.yaml": whole(task="task: {type: classification, categories: [cat, 2]}")},
        ["m.yaml:3:48: error: expected a text, got 2 [REG103]"],
    ),
    "a link that is not https": Mistake(
        setting("references: [{title: Paper, url: 'http://arxiv.org'}]"),
        ["m.yaml:4:34: error: `http://arxiv.org` does not match ^https:// [REG104]"],
    ),
    # values against each other
    "two settings for one thing": Mistake(
        setting("backbone:", "  dilated: true", "  output_stride: 16"),
        ["m.yaml:6:18: error: `dilated` and `output_stride` both set the stride; keep one of them [REG201]"],
    ),
    "groups that do not divide the channels": Mistake(
        setting("backbone:", "  norm: {kind: group, groups: 7}"),
        [
            "m.yaml:5:31: error: 16 channels do not divide into 7 groups; "
            "write 8, which divides every channel count [REG201]"
        ],
    ),
    "fewer class names than classes": Mistake(
        {"m.yaml": whole(task="task: {type: classification, categories: [a, b]}", head=HEAD.replace("2", "3"))},
        [
            "m.yaml:3:30: error: the head tells 3 classes apart, but the list has 2 names; "
            "write 3 names, or `categories: null` [REG204]"
        ],
    ),
    "an unknown list of class names": Mistake(
        setting("task: {categories: imagenet1}"),
        ["m.yaml:4:20: error: unknown list of categories `imagenet1`; did you mean `imagenet1k`? [REG205]"],
    ),
    "a head for another task": Mistake(
        {"m.yaml": whole(task="task: listening")},
        [
            "m.yaml:5:14: error: head `mobilenet_v3_classifier` serves the task `classification`, the model's task is "
            "`listening`; set task to `classification`, or choose a head for `listening` [REG203]"
        ],
    ),
    "unknown default weights": Mistake(
        setting("default_weights: IMAGENET"),
        [
            "m.yaml:4:18: error: no weights are called `IMAGENET`; known here: `IMAGENET1K_V1` [REG206]"
        ],
    ),
    # task settings that travel with weights
    "a wrong value beside weights": Mistake(
        overlay("preprocessing: {resize: 0}"), ["m.yaml:8:31: error: must be at least 1, got 0 [REG104]"]
    ),
    "an unknown key beside weights": Mistake(
        overlay("preprocesing: {resize: 1}"),
        ["m.yaml:8:7: error: unknown key `preprocesing` in `task`; did you mean `preprocessing`? [REG101]"],
    ),
    "a contradiction beside weights": Mistake(
        overlay("preprocessing: {mean: [0.5, 0.5]}"),
        ["m.yaml:8:7: error: `mean` has 2 values and `std` 3; give one of each for every channel [REG201]"],
    ),
    "fewer class names beside weights": Mistake(
        overlay("categories: [a, b]"),
        [
            "m.yaml:8:7: error: the head tells 1000 classes apart, but the list has 2 names; "
            "write 1000 names, or `categories: null` [REG204]"
        ],
    ),
    "an unknown key in an entry of weights": Mistake(
        setting("weights:", "  MINE: {source: ./w.pth, sha: 8738ca79}"),
        ["m.yaml:5:27: error: unknown key `sha` in `MINE`; did you mean `sha256`? [REG101]"],
    ),
    # several places
    "a wrong inherited value": Mistake(
        {"p.yaml": heir("head:", "  dropout: 1.5", name="parent"), "m.yaml": heir(extends="./p.yaml")},
        [
            "p.yaml:5:12: error: must be less than 1, got 1.5 [REG104]",
            "note: m.yaml:2:7: inherited by the model `mine`",
        ],
        asked=("m.yaml",),
    ),
    "a wrong value of a file that is a part": Mistake(
        {
            "x.yaml": "kind: backbone\nname: x\nextends: mobilenet_v3_small\nwidth_mult: 0\n",
            "m.yaml": whole(backbone="backbone: ./x.yaml"),
        },
        [
            "x.yaml:4:13: error: must be greater than 0, got 0 [REG104]",
            "note: m.yaml:2:7: inherited by the model `mine`",
        ],
        asked=("m.yaml",),
    ),
    "a wrong value that is inherited and overridden": Mistake(
        {"p.yaml": heir("head: {dropout: 1.5}"), "m.yaml": heir("head: {dropout: 0.5}", extends="./p.yaml")},
        asked=("m.yaml",),
    ),
    "several mistakes in several files": Mistake(
        {
            "a.yaml": heir("head: {num_classes: 0, dropout: 2}", "foo: 1", name="a"),
            "b.yaml": "name: b\n",
            "c.yaml": "x: @\n",
            "sub/d.yml": heir("backbone: {width_mult: 0}", name="d") + "---\n" + heir("task: {top_k: 0}", name="e"),
            "sub/notes.txt": "x: [",
            ".hidden/f.yaml": "x: [",
        },
        [
            "a.yaml:4:21: error: must be at least 1, got 0 [REG104]",
            "a.yaml:4:33: error: must be less than 1, got 2 [REG104]",
            "a.yaml:5:1: error: unknown key `foo` [REG101]",
            "b.yaml:1:1: error: missing key `kind`; write for instance `kind: model` [REG102]",
            "c.yaml:1:4: error: not YAML: found character that cannot start any token "
            "(while scanning for the next token) [REG003]",
            "sub/d.yml:4:24: error: must be greater than 0, got 0 [REG104]",
            "sub/d.yml:9:15: error: must be at least 1, got 0 [REG104]",
        ],
        asked=(".",),
    ),
}  # fmt: skip

# ---- how they are told -----------------------------------------------------------------------------------------------

LISTENING = '''
from typing import Literal
import registry
from registry.specs import TaskSpec

class Listening(TaskSpec):
    """Another task than those of the built-in heads."""
    type: Literal["listening"] = "listening"

@registry.hookimpl
def registry_parts(register):
    register.task("listening", spec="listening:Listening", target="listening:Listening")
'''


def install(site: Path) -> None:
    """Installs a task that no built-in head serves."""
    info = site / "listening-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "listening.py").write_text(LISTENING)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: listening\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[registry]\nlistening = listening\n")
    importlib.invalidate_caches()


def write(files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if content == LOOP:
            path.symlink_to(path.name)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


def lines(diagnostics: tuple[Diagnostic, ...]) -> Iterator[str]:
    for diagnostic in diagnostics:
        yield str(diagnostic)
        yield from (f"note: {note.span}: {note.message}" for note in diagnostic.related)


def told(made: Registry, mistake: Mistake) -> list[str]:
    """What is said of a mistake whose files lie in the working folder."""
    found: tuple[Diagnostic, ...] = ()
    try:
        if mistake.load is None:
            found = made.validate(*(mistake.asked or mistake.files))
        else:
            made.load_spec(mistake.load)
    except SpecError as error:
        found = error.diagnostics
    except RegistryError as error:
        return [str(error)]
    return [re.sub(r"/\S*/(registry_\w+/catalog/)", r"\1", line) for line in lines(found)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The built-in plugins, and one more task."""
    site = tmp_path_factory.mktemp("site")
    install(site)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        patch.setenv("REGISTRY_PLUGINS", "listening")
        patch.delenv("REGISTRY_DISABLED_PLUGINS", raising=False)
        yield Registry()
    sys.modules.pop("listening", None)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_what_to_write(
    made: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(MISTAKES[name].files)
    assert told(made, MISTAKES[name]) == MISTAKES[name].expected


def test_a_class_count_that_contradicts_inherited_class_names_is_told_where_it_is_written(
    made: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names stand in a shipped file, which is right; the mistake is the user's line."""
    monkeypatch.chdir(tmp_path)
    write(setting("head: {num_classes: 10}"))
    (found,) = made.validate("m.yaml")
    assert (found.rule, str(found.span)) == ("REG204", "m.yaml:4:21")
    assert found.message == "the head tells 10 classes apart, but `imagenet1k` has 1000 names"


# ---- without torch ---------------------------------------------------------------------------------------------------


def tell_all(folder: Path) -> None:
    """Tells every mistake in this process, which must never import torch or what it brings."""
    install(folder / "site")
    sys.path.insert(0, str(folder / "site"))
    made = Registry()
    for position, mistake in enumerate(MISTAKES.values()):
        home = folder / str(position)
        home.mkdir()
        os.chdir(home)
        write(mistake.files)
        try:
            told(made, mistake)
        except Exception as error:  # the test above says so; here only imports matter
            print(f"{type(error).__name__}: {error}")
    heavy = {"torch", "torchvision", "numpy", "PIL"} & set(sys.modules)
    assert not heavy, heavy


def test_no_mistake_needs_torch_to_be_told(tmp_path: Path) -> None:
    code = (
        "import importlib.util, pathlib, sys\n"
        f"spec = importlib.util.spec_from_file_location('mistakes', {__file__!r})\n"
        "module = sys.modules['mistakes'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        f"module.tell_all(pathlib.Path({str(tmp_path)!r}))\n"
    )
    environment = {**os.environ, "REGISTRY_PLUGINS": "listening"}
    environment.pop("REGISTRY_DISABLED_PLUGINS", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
