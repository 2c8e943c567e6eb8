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
        expected: each diagnostic as text, its notes after it; paths of shipped documents are cut to package and file, and
            HERE is the working folder.
        asked: the paths that are validated; by default every file.
        load: a reference that is loaded instead.
        overrides: settings laid over what is loaded.
    """

    files: dict[str, str | bytes]
    expected: list[str] = field(default_factory=list)
    asked: tuple[str, ...] = ()
    load: str | None = None
    overrides: tuple[str, ...] = ()


def heir(*lines: str, name: str = "mine", extends: str = "mobilenet_v3_small") -> str:
    return "\n".join([f"kind: model\nname: {name}\nextends: {extends}", *lines]) + "\n"


def setting(*lines: str, extends: str = "mobilenet_v3_small") -> dict[str, str | bytes]:
    """An heir of a shipped model; the first of `lines` is line 4 of `m.yaml`."""
    return {"m.yaml": heir(*lines, extends=extends)}


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
            "`mobilenet_v3_small` or `mobilenet_v3_small_075` or `mobilenet_v3_small_int8`?"
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
        ["m.yaml:5:14: error: expected a text, got the number 3; quote it [REG103]"],
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
        ["m.yaml:3:48: error: expected a text, got the number 2; quote it [REG103]"],
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
            "write 3 names, the background among them if it is a class, or `categories: null` [REG204]"
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
    # plain words of YAML 1.2
    "a share with an exponent": Mistake(setting("head: {dropout: 1e-3}")),
    "a count with an exponent": Mistake(
        setting("head: {num_classes: 1e3}"), ["m.yaml:4:21: error: expected a whole number, got 1000.0 [REG103]"]
    ),
    "a number with a zero before it": Mistake(
        setting("backbone: {output_stride: 010}"),
        ["m.yaml:4:27: error: 10 is none of the choices; known: `2`, `4`, `8`, `16`, `32`, `64` [REG105]"],
    ),
    "an octal number": Mistake(
        setting("backbone: {output_stride: 0o11}"),
        ["m.yaml:4:27: error: 9 is none of the choices; known: `2`, `4`, `8`, `16`, `32`, `64` [REG105]"],
    ),
    "a hexadecimal number": Mistake(
        setting("backbone: {output_stride: 0x0C}"),
        ["m.yaml:4:27: error: 12 is none of the choices; known: `2`, `4`, `8`, `16`, `32`, `64` [REG105]"],
    ),
    "a time of day for a number": Mistake(
        setting("backbone: {width_mult: 1:30}"), ["m.yaml:4:24: error: expected a number, got `1:30` [REG103]"]
    ),
    "a number with an underscore": Mistake(
        setting("head: {num_classes: 1_000}"), ["m.yaml:4:21: error: expected a whole number, got `1_000` [REG103]"]
    ),
    "a number with a comma": Mistake(
        setting("head:", "  num_classes: 1,000"), ["m.yaml:5:16: error: expected a whole number, got `1,000` [REG103]"]
    ),
    "a number with a unit": Mistake(
        setting("task: {preprocessing: {resize: 256px}}"),
        ["m.yaml:4:32: error: expected a whole number, got `256px` [REG103]"],
    ),
    "a share in percent": Mistake(
        setting("head: {dropout: 20%}"), ["m.yaml:4:17: error: expected a number, got `20%` [REG103]"]
    ),
    "a date for a number": Mistake(
        setting("head: {num_classes: 2024-01-01}"),
        ["m.yaml:4:21: error: expected a whole number, got `2024-01-01` [REG103]"],
    ),
    "a date for a text": Mistake(setting("summary: 2024-01-01")),
    "no for a text": Mistake(setting("summary: no")),
    "on for a truth value": Mistake(
        setting("task: {preprocessing: {antialias: on}}"),
        ["m.yaml:4:35: error: expected true or false, got `on` [REG103]"],
    ),
    "1 for a truth value": Mistake(
        setting("task: {preprocessing: {antialias: 1}}"),
        ["m.yaml:4:35: error: expected true or false, got 1 [REG103]"],
    ),
    "True for a truth value": Mistake(setting("task: {preprocessing: {antialias: True}}")),
    "true for a number": Mistake(
        setting("head: {num_classes: true}"), ["m.yaml:4:21: error: expected a whole number, got true [REG103]"]
    ),
    "a number for a text": Mistake(
        setting("summary: 1.10"), ["m.yaml:4:10: error: expected a text, got the number 1.10; quote it [REG103]"]
    ),
    "a name that is a number": Mistake(
        {"m.yaml": heir(name="18")},
        ["m.yaml:2:7: error: `name` is a text; write for instance `name: my_model` [REG103]"],
    ),
    "a checksum that is a number": Mistake(
        setting("weights: {MINE: {source: ./w.pth, sha256: 12345678}}"),
        ["m.yaml:4:43: error: expected a text, got the number 12345678; quote it [REG103]"],
    ),
    # keys
    "a key twice in flow style": Mistake(
        setting("head: {dropout: 0.1, dropout: 0.2}"),
        ["m.yaml:4:22: error: the key `dropout` stands twice, first on line 4 [REG004]"],
    ),
    "a key twice, once in quotes": Mistake(
        setting("head:", "  dropout: 0.1", '  "dropout": 0.1'),
        ["m.yaml:6:3: error: the key `dropout` stands twice, first on line 5 [REG004]"],
    ),
    "a key twice in a row": Mistake(
        backbone("blocks:\n  - {kernel: 3, expanded: 16, out: 16, activation: relu, out: 24}"),
        ["m.yaml:5:58: error: the key `out` stands twice, first on line 5 [REG004]"],
    ),
    "a key that is a number": Mistake(
        setting("weights:", "  2024: {source: ./w.pth}"),
        ["m.yaml:5:3: error: a key must be a text, not `2024`; quote it [REG005]"],
    ),
    "a key that is true": Mistake(
        setting("true: 1"), ["m.yaml:4:1: error: a key must be a text, not `true`; quote it [REG005]"]
    ),
    "a key that is nothing": Mistake(
        setting("~: 1"), ["m.yaml:4:1: error: a key must be a text, not `null`; quote it [REG005]"]
    ),
    "a key that is a list": Mistake(
        setting("[a, b]: 1"), ["m.yaml:4:1: error: a key must be a text, not a list or mapping [REG005]"]
    ),
    "a key in capitals": Mistake(
        setting("Head: {dropout: 0.1}"), ["m.yaml:4:1: error: unknown key `Head`; did you mean `head`? [REG101]"]
    ),
    "a key with a hyphen": Mistake(
        setting("head: {num-classes: 1000}"),
        ["m.yaml:4:8: error: unknown key `num-classes` in `head`; did you mean `num_classes`? [REG101]"],
    ),
    "an unknown key two levels down": Mistake(
        setting("task: {preprocessing: {resise: 256}}"),
        ["m.yaml:4:24: error: unknown key `resise` in `preprocessing`; did you mean `resize`? [REG101]"],
    ),
    "an unknown key three levels down": Mistake(
        setting("head: {box: {pool: 7}}", extends="fasterrcnn_mnv3_large_fpn"),
        ["m.yaml:4:14: error: unknown key `pool` in `box`; did you mean `pool_size`? [REG101]"],
    ),
    "an unknown figure": Mistake(
        setting("figures: {parametres: 1}"),
        ["m.yaml:4:11: error: unknown key `parametres` in `figures`; did you mean `parameters`? [REG101]"],
    ),
    "an unknown limit": Mistake(
        setting("budget: {seconds: 1}"),
        ["m.yaml:4:10: error: unknown key `seconds` in `budget`; known: `macs`, `parameters`, `size_mb` [REG101]"],
    ),
    "an unknown key of a reference": Mistake(
        setting("references: [{title: Paper, url: 'https://arxiv.org', year: 2019}]"),
        ["m.yaml:4:55: error: unknown key `year`; known: `title`, `url` [REG101]"],
    ),
    "an unknown key of a part's document": Mistake(
        backbone("extends: mobilenet_v3_small\nsqueeze_exitation: {}"),
        ["m.yaml:5:1: error: unknown key `squeeze_exitation`; did you mean `squeeze_excitation`? [REG101]"],
    ),
    "a setting of another part": Mistake(
        setting("head: {width_mult: 0.5}"),
        [
            "m.yaml:4:8: error: unknown key `width_mult` in `head`; "
            "known: `dropout`, `hidden_channels`, `num_classes`, `type` [REG101]"
        ],
    ),
    "a setting at the top": Mistake(
        setting("num_classes: 10"), ["m.yaml:4:1: error: unknown key `num_classes` [REG101]"]
    ),
    "weights that lack a source": Mistake(
        setting("weights:", "  MINE: {sha256: 8738ca79}"),
        ["m.yaml:5:3: error: missing key `source` in `MINE` [REG102]"],
    ),
    "weights that say nothing": Mistake(
        setting("weights: {MINE: {}}"), ["m.yaml:4:11: error: missing key `source` in `MINE` [REG102]"]
    ),
    "a reference without a link": Mistake(
        setting("references:", "  - title: Paper"),
        ["m.yaml:5:5: error: missing key `url` in `references.0` [REG102]"],
    ),
    "a part's document without a type": Mistake(
        {"m.yaml": "kind: head\nname: mine\nnum_classes: 2\n"},
        ["m.yaml:2:7: error: missing key `type`; name a type of head [REG102]"],
    ),
    "a part's document of an unknown type": Mistake(
        {"m.yaml": "kind: backbone\nname: mine\ntype: mobilenet_v33\n"},
        [
            "m.yaml:3:7: error: unknown type of backbone `mobilenet_v33`; "
            "did you mean `mobilenet_v3` or `mobilenet_v2`? [REG107]"
        ],
    ),
    # nothing
    "nothing for a needed number": Mistake(
        {"m.yaml": whole(head="head: {type: mobilenet_v3_classifier, num_classes: null}")},
        ["m.yaml:5:52: error: expected a whole number, got nothing [REG103]"],
    ),
    "nothing for an inherited number": Mistake(
        setting("head:", "  num_classes:"), ["m.yaml:5:15: error: expected a whole number, got nothing [REG103]"]
    ),
    "nothing for a setting with a default": Mistake(setting("head:", "  dropout: ~")),
    "nothing for a part": Mistake(setting("head:"), ["m.yaml:4:6: error: expected a mapping, got nothing [REG103]"]),
    "nothing for a type of part": Mistake(
        {"m.yaml": whole(head="head: {type: , num_classes: 2}")},
        ["m.yaml:5:14: error: expected a text, got nothing [REG103]"],
    ),
    "nothing in a list": Mistake(
        setting("task: {preprocessing: {mean: [0.5, null, 0.5]}}"),
        ["m.yaml:4:36: error: expected a number, got nothing [REG103]"],
    ),
    "nothing to extend": Mistake(
        {"m.yaml": heir(extends="")},
        ["m.yaml:3:9: error: `extends` takes a name, a path, or a list of them [REG103]"],
    ),
    "nothing for a name": Mistake(
        {"m.yaml": heir(name="")},
        ["m.yaml:2:6: error: `name` is a text; write for instance `name: my_model` [REG103]"],
    ),
    "nothing for a document": Mistake(
        {"m.yaml": "--- ~\n"}, ["m.yaml:1:5: error: a document is a mapping; begin with `kind: model` [REG103]"]
    ),
    "nothing but a comment": Mistake(
        {"m.yaml": "# to do\n"}, ["m.yaml:1:1: error: the file holds no model document; one was expected [REG108]"],
        load="m.yaml",
    ),
    # kinds
    "a text for a list": Mistake(
        setting("aliases: my_model"), ["m.yaml:4:10: error: expected a list, got `my_model` [REG103]"]
    ),
    "a text for a list of ids": Mistake(
        setting("accepts: REG207"), ["m.yaml:4:10: error: expected a list, got `REG207` [REG103]"]
    ),
    "a mapping for a text": Mistake(
        setting("summary: {en: mine}"), ["m.yaml:4:1: error: expected a text, got a mapping [REG103]"]
    ),
    "a mapping for a list": Mistake(
        setting("references: {title: Paper}"), ["m.yaml:4:1: error: expected a list, got a mapping [REG103]"]
    ),
    "a list for a part": Mistake(
        setting("backbone: [mobilenet_v3_small]"), ["m.yaml:4:1: error: expected a mapping, got a list [REG103]"]
    ),
    "a list for a mapping": Mistake(
        setting("weights: [MINE]"), ["m.yaml:4:1: error: expected a mapping, got a list [REG103]"]
    ),
    "a text for weights": Mistake(
        setting("weights:", "  MINE: ./w.pth"), ["m.yaml:5:9: error: expected a mapping, got `./w.pth` [REG103]"]
    ),
    "a text for a row": Mistake(
        backbone("blocks:\n  - relu"), ["m.yaml:5:5: error: expected a mapping, got `relu` [REG103]"]
    ),
    "a text for a metric": Mistake(
        setting("weights: {MINE: {source: ./w.pth, metrics: {acc: high}}}"),
        ["m.yaml:4:50: error: expected a number, got `high` [REG103]"],
    ),
    "a text for a number in a list": Mistake(
        setting("task:", "  preprocessing:", "    mean:", "      - 0.5", "      - half", "      - 0.5"),
        ["m.yaml:8:9: error: expected a number, got `half` [REG103]"],
    ),
    "a list for one of the choices": Mistake(
        setting("task: {preprocessing: {interpolation: [bicubic]}}"),
        [
            "m.yaml:4:24: error: a list is none of the choices; "
            "known: `bicubic`, `bilinear`, `nearest` [REG105]"
        ],
    ),
    "a text beside weights": Mistake(
        overlay("top_k: five"), ["m.yaml:8:14: error: expected a whole number, got `five` [REG103]"]
    ),
    "a truth value for a level": Mistake(
        setting("head: {pyramid: {levels: [true]}}", extends="fasterrcnn_mnv3_large_fpn"),
        ["m.yaml:4:27: error: expected a whole number or a text, got true [REG103]"],
    ),
    "a number for class names": Mistake(
        setting("task: {categories: 1000}"), ["m.yaml:4:20: error: expected a text or a list, got 1000 [REG103]"]
    ),
    # ranges
    "a share of 1": Mistake(
        setting("backbone: {stochastic_depth: 1}"), ["m.yaml:4:30: error: must be less than 1, got 1 [REG104]"]
    ),
    "more answers than allowed": Mistake(
        setting("task: {top_k: 1001}"), ["m.yaml:4:15: error: must be at most 1,000, got 1001 [REG104]"]
    ),
    "a long number": Mistake(
        setting("head: {num_classes: 1" + "0" * 200 + "}"),
        ["m.yaml:4:21: error: must be at most 1,000,000, got a number of more than 100 digits [REG104]"],
    ),
    "a long summary": Mistake(
        setting("summary: " + "long " * 41),
        [
            "m.yaml:4:10: error: must have at most 200 characters, "
            "got `" + "long " * 11 + "lo...` [REG104]"
        ],
    ),
    "an empty title": Mistake(
        setting("references: [{title: '', url: 'https://arxiv.org'}]"),
        ["m.yaml:4:22: error: must have at least 1 character, got `` [REG104]"],
    ),
    "a list without items": Mistake(
        setting("task: {preprocessing: {std: []}}"),
        ["m.yaml:4:24: error: must have at least 1 item, got 0 [REG104]"],
    ),
    "a list with too many items": Mistake(
        setting("head: {image: {size: [320, 320, 3]}}", extends="ssdlite320_mnv3_large"),
        ["m.yaml:4:16: error: must have at most 2 items, got 3 [REG104]"],
    ),
    "a name with a space": Mistake(
        {"m.yaml": heir(name="my model")},
        ["m.yaml:2:7: error: `my model` is no name: letters, digits, `.`, `_` and `-`, a letter or digit first [REG104]"],
    ),
    "a short checksum": Mistake(
        setting("weights: {MINE: {source: ./w.pth, sha256: 8738ca}}"),
        ["m.yaml:4:43: error: `8738ca` is no digest: 8 to 64 digits, each 0 to 9 or a to f [REG104]"],
    ),
    "a choice in capitals": Mistake(
        setting("task: {preprocessing: {interpolation: BILINEAR}}"),
        [
            "m.yaml:4:39: error: `BILINEAR` is none of the choices; did you mean `bilinear`? [REG105]"
        ],
    ),
    "a choice that nothing resembles": Mistake(
        setting("task: {preprocessing: {interpolation: lanczos}}"),
        [
            "m.yaml:4:39: error: `lanczos` is none of the choices; "
            "known: `bicubic`, `bilinear`, `nearest` [REG105]"
        ],
    ),
    "a number in quotes among choices": Mistake(
        setting('backbone: {output_stride: "16"}'),
        ["m.yaml:4:27: error: `16` is none of the choices; known: `2`, `4`, `8`, `16`, `32`, `64` [REG105]"],
    ),
    "a variant without its kind": Mistake(
        setting("backbone: {norm: {groups: 8}}"),
        [
            "m.yaml:4:12: error: missing key `kind` in `norm`; "
            "choose one of `auto`, `batch`, `frozen_batch`, `group` [REG102]"
        ],
    ),
    "a model for a head": Mistake(
        {"m.yaml": "kind: head\nname: mine\nextends: resnet18\n"},
        ["m.yaml:3:10: error: unknown head `resnet18`; there is a model of that name [REG108]"],
    ),
    "a document of a kind in capitals": Mistake(
        {"m.yaml": "kind: Model\nname: mine\n"},
        ["m.yaml:1:7: error: unknown kind of document `Model`; did you mean `model`? [REG106]"],
    ),
    "a model without parts": Mistake(
        {"m.yaml": "kind: model\nname: mine\n"},
        [
            "m.yaml:1:1: error: missing key `backbone` [REG102]",
            "m.yaml:1:1: error: missing key `head` [REG102]",
            "m.yaml:1:1: error: missing key `task` [REG102]",
        ],
    ),
    # parts and parents
    "a head's name that is a type": Mistake(
        {"m.yaml": whole(head="head: mobilenet_v3_classifier")},
        ["m.yaml:5:1: error: missing key `num_classes` in `head` [REG102]"],
    ),
    "a part that extends an unknown name": Mistake(
        setting("backbone: {extends: mobilenet_v3_smal}"),
        [
            "m.yaml:4:21: error: unknown backbone `mobilenet_v3_smal`; "
            "did you mean `mobilenet_v3_small` or `mobilenet_v3` or `mobilenet_v3_large`? [REG108]"
        ],
    ),
    "the second of two parents is unknown": Mistake(
        {"m.yaml": heir(extends="[mobilenet_v3_small, zzz]")}, ["m.yaml:3:31: error: unknown model `zzz` [REG108]"]
    ),
    "a number for a parent": Mistake(
        {"m.yaml": heir(extends="18")},
        ["m.yaml:3:10: error: `extends` takes a name, a path, or a list of them [REG103]"],
    ),
    "a mapping among parents": Mistake(
        {"m.yaml": heir(extends="[mobilenet_v3_small, {name: x}]")},
        ["m.yaml:3:10: error: `extends` takes a name, a path, or a list of them [REG103]"],
    ),
    "no parent in a list": Mistake(
        {"m.yaml": heir(extends="[]")},
        ["m.yaml:3:10: error: `extends` takes a name, a path, or a list of them [REG103]"],
    ),
    "a parent that extends itself": Mistake(
        {"m.yaml": heir(extends="./m.yaml")},
        ["m.yaml:3:10: error: the documents extend one another in a circle: mine -> mine [REG109]"],
    ),
    "a circle of three, entered from outside": Mistake(
        {
            "a.yaml": heir(name="a", extends="./b.yaml"),
            "b.yaml": heir(name="b", extends="./c.yaml"),
            "c.yaml": heir(name="c", extends="[mobilenet_v3_small, ./b.yaml]"),
        },
        ["b.yaml:3:10: error: the documents extend one another in a circle: b -> c -> b [REG109]"],
        asked=("a.yaml",),
    ),
    "a circle of backbones": Mistake(
        {
            "a.yaml": "kind: backbone\nname: a\nextends: ./b.yaml\n",
            "b.yaml": "kind: backbone\nname: b\nextends: ./a.yaml\n",
            "m.yaml": whole(backbone="backbone: ./a.yaml"),
        },
        ["a.yaml:3:10: error: the documents extend one another in a circle: a -> b -> a [REG109]"],
        asked=("m.yaml",),
    ),
    "a path that leaves the folder": Mistake(
        {"m.yaml": heir(extends="../parent.yaml")},
        ["m.yaml:3:10: error: the path `../parent.yaml` leaves HERE [REG111]"],
    ),
    "a path that leaves the folder on a detour": Mistake(
        {"sub/m.yaml": heir(extends="./../../sub/parent.yaml")},
        ["sub/m.yaml:3:10: error: the path `./../../sub/parent.yaml` leaves HERE [REG111]"],
    ),
    "a path from the root of the machine": Mistake(
        setting("backbone: /etc/backbone.yaml"),
        ["m.yaml:4:11: error: the path `/etc/backbone.yaml` leaves HERE [REG111]"],
    ),
    "a parent that is not there": Mistake(
        {"m.yaml": heir(extends="./parent.yaml")},
        ["m.yaml:3:10: error: there is no such file `./parent.yaml` [REG001]"],
    ),
    "a parent that is a folder": Mistake(
        {"m.yaml": heir(extends="./parent"), "parent/n.txt": ""},
        ["m.yaml:3:10: error: this is a folder, not a file `./parent` [REG001]"],
        asked=("m.yaml",),
    ),
    "a parent that is one of two in a file": Mistake(
        {"m.yaml": heir(extends="./p.yaml"), "p.yaml": heir(name="p") + "---\n" + heir(name="q")},
        ["m.yaml:3:10: error: `./p.yaml`: the file holds 2 model documents; one was expected [REG108]"],
        asked=("m.yaml",),
    ),
    "a parent that is not YAML": Mistake(
        {"m.yaml": heir(extends="./p.yaml"), "p.yaml": "kind: [model\n"},
        [
            "p.yaml:2:1: error: not YAML: did not find expected ',' or ']' "
            "(while parsing a flow sequence) [REG003]",
            "note: m.yaml:3:10: asked for here",
        ],
        asked=("m.yaml",),
    ),
    # how the text is written
    "lines that end in CR LF": Mistake(
        {"m.yaml": heir("head:", "  dropout: 2").replace("\n", "\r\n")},
        ["m.yaml:5:12: error: must be less than 1, got 2 [REG104]"],
    ),
    "a byte order mark": Mistake(
        {"m.yaml": "\ufeffkind: modell\nname: mine\n"},
        ["m.yaml:1:7: error: unknown kind of document `modell`; did you mean `model`? [REG106]"],
    ),
    "a byte order mark in a file that is not UTF-8": Mistake(
        {"m.yaml": b"\xef\xbb\xbfname: \xe9\n"},
        ["m.yaml:1:7: error: the file is not UTF-8: byte 0xe9 at offset 9; save it as UTF-8 [REG002]"],
    ),
    "UTF-16": Mistake(
        {"m.yaml": heir().encode("utf-16")},
        ["m.yaml:1:1: error: the file is not UTF-8: byte 0xff at offset 0; save it as UTF-8 [REG002]"],
    ),
    "a tab between key and value": Mistake(
        setting("head:", "  dropout:\t2"), ["m.yaml:5:12: error: must be less than 1, got 2 [REG104]"]
    ),
    "a control character": Mistake(
        setting("summary: a\x07b"), ["m.yaml:4:11: error: not YAML: U+0007 is not allowed; remove it [REG003]"]
    ),
    "letters of two bytes before the place": Mistake(
        setting("references: [{title: Über Größe, url: 3}]"),
        ["m.yaml:4:39: error: expected a text, got the number 3; quote it [REG103]"],
    ),
    "letters of three and four bytes before the place": Mistake(
        setting("references: [{title: 視覚 \U0001f600, url: 3}]"),
        ["m.yaml:4:33: error: expected a text, got the number 3; quote it [REG103]"],
    ),
    "a lookalike letter in a key": Mistake(
        setting("h\u0435ad: {dropout: 0.5}"),
        ["m.yaml:4:1: error: unknown key `h\u0435ad`; did you mean `head`? [REG101]"],
    ),
    "a text with a colon": Mistake(
        setting("summary: MobileNetV3: mine"),
        ["m.yaml:4:21: error: not YAML: mapping values are not allowed in this context [REG003]"],
    ),
    "a key without a colon": Mistake(
        setting("head", "  dropout: 0.5"),
        ["m.yaml:5:10: error: not YAML: could not find expected ':' (while scanning a simple key) [REG003]"],
    ),
    "a quote that is not closed": Mistake(
        setting('summary: "mine'),
        [
            "m.yaml:5:1: error: not YAML: found unexpected end of stream "
            "(while scanning a quoted scalar) [REG003]"
        ],
    ),
    "a wrong value with an anchor": Mistake(
        setting("head: {dropout: &share 2}"), ["m.yaml:4:17: error: must be less than 1, got 2 [REG104]"]
    ),
    "a wrong value that two aliases repeat": Mistake(
        setting("task: {preprocessing: {mean: &half [0.5, x, 0.5], std: *half}}"),
        ["m.yaml:4:42: error: expected a number, got `x` [REG103]"],
    ),
    "an alias without an anchor": Mistake(
        setting("head: *mine"), ["m.yaml:4:7: error: there is no anchor `&mine` above [REG003]"]
    ),
    "an alias to another document": Mistake(
        {"m.yaml": heir("head: &mine {dropout: 0.5}") + "---\n" + heir("head: *mine", name="other")},
        ["m.yaml:9:7: error: there is no anchor `&mine` above [REG003]"],
    ),
    "an anchor that holds itself": Mistake(
        setting("head: &mine {dropout: *mine}"), ["m.yaml:4:23: error: there is no anchor `&mine` above [REG003]"]
    ),
    "a wrong value of a merge key": Mistake(
        setting("head:", "  <<: {dropout: 2}"), ["m.yaml:5:17: error: must be less than 1, got 2 [REG104]"]
    ),
    "a wrong value that wins over a merge key": Mistake(
        setting("head:", "  <<: {dropout: 0.5}", "  dropout: 2"),
        ["m.yaml:6:12: error: must be less than 1, got 2 [REG104]"],
    ),
    "a number for a merge key": Mistake(
        setting("head: {<<: 3}"), ["m.yaml:4:12: error: `<<` takes a mapping or a list of mappings [REG003]"]
    ),
    "a merge key twice": Mistake(
        setting("head: {<<: {dropout: 0.5}, <<: {num_classes: 10}}"),
        ["m.yaml:4:28: error: the key `<<` stands twice, first on line 4 [REG004]"],
    ),
    "a mistake after a block": Mistake(
        setting("summary: >-", "  Small", "  and mine", "head: {dropout: 2}"),
        ["m.yaml:7:17: error: must be less than 1, got 2 [REG104]"],
    ),
    "a document in one line": Mistake(
        {"m.yaml": '{"kind": "model", "name": "mine", "extends": "mobilenet_v3_small", "head": {"dropout": 2}}\n'},
        ["m.yaml:1:88: error: must be less than 1, got 2 [REG104]"],
    ),
    "JSON indented by tabs": Mistake(
        {"m.json": '{\n\t"kind": "model",\n\t"name": "mine",\n\t"extends": "mobilenet_v3_small",\n\t"sumary": ""\n}\n'},
        ["m.json:5:2: error: unknown key `sumary`; did you mean `summary`? [REG101]"],
    ),
    "a mistake in the second document of a file": Mistake(
        {"m.yaml": heir() + "---\n" + heir("head: {dropout: 2}", name="other")},
        ["m.yaml:8:17: error: must be less than 1, got 2 [REG104]"],
    ),
    "two documents of one name in a file": Mistake(
        {"m.yaml": heir() + "---\n" + heir()},
        [
            "m.yaml:6:7: error: the model name `mine` is taken by m.yaml; choose another name [REG110]",
            "note: m.yaml:2:7: the other document",
        ],
    ),
    "two documents without a line between": Mistake(
        {"m.yaml": heir() + heir(name="other")},
        ["m.yaml:4:1: error: the key `kind` stands twice, first on line 1 [REG004]"],
    ),
    "a file of several documents for one": Mistake(
        {"m.yaml": heir() + "---\n" + heir(name="other")},
        ["m.yaml:6:7: error: the file holds 2 model documents; one was expected [REG108]"],
        load="m.yaml",
    ),
    "nested too deep": Mistake(
        setting("head: " + "[" * 60 + "]" * 60), ["m.yaml:4:56: error: values are nested more than 50 deep [REG006]"]
    ),
    "a key over two lines": Mistake(
        setting("? head", ": {dropout: 2}"), ["m.yaml:5:13: error: must be less than 1, got 2 [REG104]"]
    ),
    "a version of YAML that is none": Mistake(
        {"m.yaml": "%YAML 2.0\n---\n" + heir()},
        ["m.yaml:1:1: error: not YAML: found incompatible YAML document [REG003]"],
    ),
    "lines that end in CR": Mistake(
        {"m.yaml": heir("foo: 1").replace("\n", "\r")}, ["m.yaml:4:1: error: unknown key `foo` [REG101]"]
    ),
    "a tag of the document's own": Mistake(
        setting("head: !mine {dropout: 0.5}"),
        ["m.yaml:4:7: error: the tag `!mine` is not allowed; write the value alone [REG007]"],
    ),
    # values against each other, in other parts
    "a level that the backbone lacks": Mistake(
        setting("head: {low: 64}", extends="lraspp_mnv3_small"),
        [
            "m.yaml:4:13: error: the backbone has no map of stride 64; "
            "choose from `c0` (stride 2), `c1` (stride 4), `c2` (stride 8), `c3` (stride 16), `c4` (stride 16) [REG202]"
        ],
    ),
    "fewer lists of anchors than levels": Mistake(
        setting("head: {anchors: {sizes: [[32], [64]]}}", extends="fasterrcnn_mnv3_large_fpn_p3p5"),
        [
            "m.yaml:4:18: error: there are 2 lists of sizes and 4 levels; "
            "give one list for each level, the extra ones included [REG201]"
        ],
    ),
    "a longest side below the shortest": Mistake(
        setting("head: {image: {max_size: 640}}", extends="fasterrcnn_mnv3_large_fpn_p3p5"),
        ["m.yaml:4:26: error: `max_size` 640 is less than `min_size` 800; write at least 800 [REG201]"],
    ),
    "a deviation of 0": Mistake(
        setting("task: {preprocessing: {std: [0.5, 0, 0.5]}}"),
        ["m.yaml:4:35: error: must be at least 1e-06, got 0 [REG104]"],
    ),
    "a stride above the table's": Mistake(
        setting("backbone: {output_stride: 64}"),
        [
            "m.yaml:4:27: error: the table's strides multiply to 32, so the output stride cannot be 64; "
            "write at most 32 [REG201]"
        ],
    ),
    "more trained stages than there are": Mistake(
        setting("backbone: {trainable_stages: 9}"),
        ["m.yaml:4:30: error: the backbone has 6 stages, so 9 cannot be trained; write 0 to 6, or null for all [REG201]"],
    ),
    "weights removed, and not their default": Mistake(
        {
            "p.yaml": heir("weights: {MINE: {source: ./w.pth}}", "default_weights: MINE", name="parent"),
            "m.yaml": heir("weights: null", extends="./p.yaml"),
        },
        [
            "p.yaml:5:18: error: no weights are called `MINE`; known here: none [REG206]",
            "note: m.yaml:2:7: inherited by the model `mine`",
        ],
        asked=("m.yaml",),
    ),
    "a mean and a deviation of different length": Mistake(
        {"m.yaml": "kind: task\nname: mine\ntype: classification\npreprocessing: {std: [0.5, 0.5]}\n"},
        ["m.yaml:4:17: error: `mean` has 3 values and `std` 2; give one of each for every channel [REG201]"],
    ),
    "a share above another that it must not pass": Mistake(
        setting("head: {rpn: {background_iou: 0.8}}", extends="fasterrcnn_mnv3_large_fpn_p3p5"),
        ["m.yaml:4:30: error: `background_iou` 0.8 is above `foreground_iou` 0.7; write at most 0.7 [REG201]"],
    ),
    "a level left out": Mistake(
        setting("head: {pyramid: {levels: [4, 16, 32]}}", extends="fasterrcnn_mnv3_large_fpn_p3p5"),
        [
            "m.yaml:4:30: error: stride 16 of level `c3` is not twice stride 4 before it; "
            "boxes of sizes between would be pooled from no level; add the level between [REG202]"
        ],
    ),
    # overrides
    "an override past the end of a list": Mistake(
        {},
        ["--set:1:1: error: a list of 11 items takes an index from 0 to 10 [REG113]"],
        load="mobilenet_v3_small",
        overrides=("backbone.blocks.11.kernel=3",),
    ),
    "an override of an index that is none": Mistake(
        {},
        ["--set:1:1: error: a list of 11 items takes an index from 0 to 10 [REG113]"],
        load="mobilenet_v3_small",
        overrides=("backbone.blocks.-1.kernel=3",),
    ),
    "an override of a key below a single value": Mistake(
        {},
        ["--set:1:1: error: `head.dropout` is a single value and has no `rate` [REG113]"],
        load="mobilenet_v3_small",
        overrides=("head.dropout.rate=0.5",),
    ),
    "an override of an unknown key": Mistake(
        {},
        ["--set:1:1: error: unknown key `drop_out` in `head`; did you mean `dropout`? [REG101]"],
        load="mobilenet_v3_small",
        overrides=("head.drop_out=0.5",),
    ),
    "an override by a wrong value": Mistake(
        {},
        ["--set:1:14: error: must be less than 1, got 2 [REG104]"],
        load="mobilenet_v3_small",
        overrides=("head.dropout=2",),
    ),
    "an override without a value": Mistake(
        {},
        [
            "--set:1:1: error: an override has the form `key.key=value`; "
            "write for instance `backbone.in_channels=1` [REG113]"
        ],
        load="mobilenet_v3_small",
        overrides=("head.dropout",),
    ),
    "an override that is not YAML": Mistake(
        {},
        [
            "--set:1:14: error: not YAML: did not find expected node content "
            "(while parsing a flow node) [REG113]"
        ],
        load="mobilenet_v3_small",
        overrides=("head.dropout=[",),
    ),
    "a misspelled key about a part's document": Mistake(
        backbone("extends: mobilenet_v3_small\nsumary: mine"),
        ["m.yaml:5:1: error: unknown key `sumary`; did you mean `summary`? [REG101]"],
    ),
    "a part's document of a type that nobody brings": Mistake(
        {"m.yaml": "kind: quantization\nname: mine\ntype: int8\n"},
        [
            "m.yaml:3:7: error: unknown type of quantization `int8`; known: `onnx`, `openvino`, `qnnpack`, "
            "`x86`, `xnnpack` [REG107]"
        ],
    ),
    "a list for a variant": Mistake(
        setting("backbone: {norm: {kind: [batch]}}"),
        ["m.yaml:4:19: error: expected a text, got a list [REG103]"],
    ),
    "a long number for a fraction": Mistake(
        setting("backbone: {width_mult: 1" + "0" * 350 + "}"),
        ["m.yaml:4:24: error: a number of more than 100 digits is too large [REG104]"],
    ),
    "an unknown rule": Mistake(
        setting("accepts: [zzz]"), ["m.yaml:4:11: error: there is no rule `zzz`; list them with: registry rule [REG105]"]
    ),
    "a type of part that is misspelled, as a name": Mistake(
        {"m.yaml": whole(task="task: clasification")},
        ["m.yaml:3:7: error: unknown task `clasification`; did you mean `classification`? [REG108]"],
    ),
    "a parent in capitals": Mistake(
        {"m.yaml": heir(extends="RESNET18")},
        ["m.yaml:3:10: error: unknown model `RESNET18`; did you mean `resnet18`? [REG108]"],
    ),
    "a parent without its suffix": Mistake(
        {"m.yaml": heir(extends="parent"), "parent.yaml": heir(name="parent")},
        ["m.yaml:3:10: error: no document is called `parent`; write `./parent.yaml` for the file [REG108]"],
        asked=("m.yaml",),
    ),
    "a parent of another kind": Mistake(
        {"m.yaml": heir(extends="./p.yaml"), "p.yaml": "kind: backbone\nname: p\nextends: mobilenet_v3_small\n"},
        ["m.yaml:3:10: error: `./p.yaml`: the file holds no model document; one was expected [REG108]"],
        asked=("m.yaml",),
    ),
    "a tab for indentation": Mistake(
        setting("head:", "\tdropout: 0.5"),
        ["m.yaml:5:1: error: not YAML: a tab in the indentation; indent with spaces [REG003]"],
    ),
    "a number in a block": Mistake(
        setting("head:", "  dropout: |", "    0.5"),
        ["m.yaml:5:12: error: expected a number, got `0.5\\n` [REG103]"],
    ),
    "an unknown key without a value": Mistake(
        setting("wights:"), ["m.yaml:4:1: error: unknown key `wights`; did you mean `weights`? [REG101]"]
    ),
    "an unknown key of a part without a value": Mistake(
        setting("head: {drop_out: null}"),
        ["m.yaml:4:8: error: unknown key `drop_out` in `head`; did you mean `dropout`? [REG101]"],
    ),
    "a digest that reads as a number": Mistake(
        setting("weights: {MINE: {source: ./w.pth, sha256: 8738e790}}"),
        ["m.yaml:4:43: error: expected a text, got the number 8738e790; quote it [REG103]"],
    ),
    "an escape sequence": Mistake(
        setting('head: {dropout: "\\e[31mred"}'),
        ["m.yaml:4:17: error: expected a number, got `\\x1b[31mred` [REG103]"],
    ),
    "a key with a line break": Mistake(
        setting('"a\\nb": 1'), ["m.yaml:4:1: error: unknown key `a\\nb` [REG101]"]
    ),
    "another task beside an inherited head": Mistake(
        setting("task: {type: segmentation, categories: null}"),
        [
            "m.yaml:4:14: error: head `mobilenet_v3_classifier` serves the task `classification`, the model's task is "
            "`segmentation`; set task to `classification`, or choose a head for `segmentation` [REG203]"
        ],
    ),
    "a named task beside an inherited head": Mistake(
        setting("task: segmentation"),
        [
            "m.yaml:4:7: error: head `mobilenet_v3_classifier` serves the task `classification`, the model's task is "
            "`segmentation`; set task to `classification`, or choose a head for `segmentation` [REG203]"
        ],
    ),
    "a list for a part's type": Mistake(
        {"m.yaml": "kind: head\nname: mine\ntype: [lraspp]\nnum_classes: 2\n"},
        ["m.yaml:3:1: error: expected a text, got a list; name a type of head [REG103]"],
    ),
    "weights from nowhere": Mistake(
        setting("weights: {MINE: {source: foo}}"),
        [
            "m.yaml:4:26: error: 'foo' is not a weights reference; write torchvision:ENUM.ENTRY, hf://OWNER/REPO/FILE, "
            "or a path such as ./model.safetensors [REG104]"
        ],
    ),
    "an alias with a space": Mistake(
        setting("aliases: [my alias]"),
        ["m.yaml:4:11: error: `my alias` is no name: letters, digits, `.`, `_` and `-`, a letter or digit first [REG104]"],
    ),
    "a name that reads as a path": Mistake(
        {"m.yaml": heir(name="a.yaml")},
        [
            "m.yaml:2:7: error: the name `a.yaml` reads as the path of a file, so that nobody could refer to it; leave out "
            "the suffix [REG104]"
        ],
    ),
    "a file of comments": Mistake(
        {"m.yaml": "# kind: model\n"},
        ["m.yaml:1:1: warning: the file holds no document; write one, or remove the file [REG115]"],
    ),
    "a key that was given up": Mistake(
        setting("weights: {MINE: {source: ./w.pth, licence: MIT}}"),
        [
            "m.yaml:4:35: warning: `licence` is now called `license`, and the old name is read until release 0.3 only; "
            "write `license` [REG114]"
        ],
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
            made.load_spec(mistake.load, overrides=mistake.overrides)
    except SpecError as error:
        found = error.diagnostics
    except RegistryError as error:
        return [str(error)]
    shown = (line.replace(os.getcwd(), "HERE") for line in lines(found))
    return [re.sub(r"/\S*/(registry_\w+/catalog/)", r"\1", line) for line in shown]


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
