"""What is timed: a model, an exported file, or a model of torchvision, each with its options. Nothing here imports torch."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from registry.artefacts import is_artefact
from registry.catalog import is_checkpoint
from registry.errors import RegistryError
from registry.registry import Registry
from registry.suggest import did_you_mean

#: What a reference to a model of torchvision starts with.
TORCHVISION = "torchvision:"
#: Names of the precisions that torch computes in.
PRECISIONS = ("float32", "bfloat16", "float16")
#: Options that stand behind a name, such as `resnet50+compile+bfloat16`.
_SUFFIXES = ("channels-last", "compile", *PRECISIONS)


@dataclass(frozen=True)
class Subject:
    """One thing that is timed.

    Attributes:
        label: what reports call it.
        reference: name or path, with `kind` saying of what.
        kind: `model` (a name, a document or a checkpoint), `artefact`, `torchvision`, or `peak`, the product of two matrices.
        weights: as `registry.build` takes them; None: random ones, or a checkpoint's own.
        overrides: settings of a model, `KEY=VALUE`.
        size: height and width in pixels of the images that it is given; None: its own.
        side: to which a model that resizes images itself is set, in pixels.
        batch: images at once.
        part: of a model that can be split, such as `dense`: that part alone is timed.
        device: of torch, such as `cpu` or `cuda`.
        channels_last, compiled, precision: how torch runs it.
    """

    label: str
    reference: str
    kind: str = "model"
    weights: str | None = None
    overrides: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    side: int | None = None
    batch: int = 1
    part: str | None = None
    device: str = "cpu"
    channels_last: bool = False
    compiled: bool = False
    precision: str = "float32"

    @property
    def random(self) -> bool:
        """True where its weights are random."""
        return self.kind == "torchvision" or (
            self.kind == "model" and self.weights is None and not is_checkpoint(self.reference)
        )

    @property
    def origin(self) -> str:
        """Where its weights come from."""
        if self.kind == "artefact":
            return "the file's"
        return "random" if self.random else self.weights or "the checkpoint's"

    @property
    def options(self) -> tuple[str, ...]:
        """How torch runs it, where that is not as usual."""
        found = [name for name, given in (("channels-last", self.channels_last), ("compile", self.compiled)) if given]
        return (*found, *([self.precision] if self.precision != "float32" else []))

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON, which `from_data` reads."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Subject:
        """What `as_data` gave."""
        size = None if data["size"] is None else (int(data["size"][0]), int(data["size"][1]))
        return cls(**{**data, "overrides": tuple(data["overrides"]), "size": size})


def size_of(text: str) -> tuple[tuple[int, int], int | None]:
    """`320` or `480x640`, as height and width, and the side that a model which resizes images itself is set to.

    Raises:
        RegistryError: something else.
    """
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text.strip())
    sides = [int(each) for each in found.groups() if each is not None] if found else []
    if not sides or not all(1 <= side <= 16384 for side in sides):
        raise RegistryError(f"`{text}` is no size of an image; write 320, or 480x640 for a height of 480 pixels")
    return (sides[0], sides[-1]), sides[0] if len(sides) == 1 else None


def subject_of(registry: Registry, word: str, base: Subject) -> Subject:
    """What a word of the command line stands for; a model's document is read and checked, and nothing is built.

    Args:
        word: a name, a path, `torchvision:NAME`, each perhaps with options such as `+compile`.
        base: the options that all share.

    Raises:
        UnknownNameError, SpecError: as `Registry.load_spec`.
        RegistryError: no such file, an unknown option, or options that an exported file cannot follow.
    """
    reference, given = _cut(word)
    found = replace(base, label=word, reference=reference)
    for option in given:
        if option in PRECISIONS:
            found = replace(found, precision=option)
        elif option == "compile":
            found = replace(found, compiled=True)
        else:
            found = replace(found, channels_last=True)
    if reference.startswith(TORCHVISION):
        return replace(found, kind="torchvision", weights=None, overrides=())
    if is_artefact(registry, reference):
        return _artefact(replace(found, kind="artefact", overrides=()), given)
    weights = base.weights
    if is_checkpoint(reference) and not Path(reference).expanduser().is_file():
        raise RegistryError(f"there is no file {reference}")
    _check_there(registry, reference)
    registry.load_spec(reference, overrides=list(base.overrides), weights=weights)
    return found


def require_weights(subjects: Sequence[Subject]) -> None:
    """Holds that nobody times random weights without having said so.

    Raises:
        RegistryError: a model of the registry has none.
    """
    for subject in subjects:
        if subject.kind == "model" and subject.random:
            raise RegistryError(
                f"`{subject.label}` has no weights; give --weights, or --random-weights to measure its speed alone"
            )


def weights_for(word: str, words: Sequence[str], given: Sequence[str]) -> str | None:
    """The weights that `--weights` gives a model: `NAME=W` for one alone, `W` for all.

    Args:
        words: every model that was named.
    """
    common, own = None, None
    for text in given:
        name, equals, rest = text.partition("=")
        if equals and name in words:
            own = rest if name == word else own
        else:
            common = text
    return own or common


def labelled(subjects: Sequence[Subject]) -> list[Subject]:
    """The same with labels that differ: an exported file is called by its name where that is enough."""
    short = [os.path.basename(one.label) if one.kind == "artefact" else one.label for one in subjects]
    shown = [name if short.count(name) == 1 else one.label for name, one in zip(short, subjects, strict=True)]
    return [
        replace(one, label=name if shown.count(name) == 1 else f"{name} ({shown[: index + 1].count(name)})")
        for index, (one, name) in enumerate(zip(subjects, shown, strict=True))
    ]


def _cut(word: str) -> tuple[str, list[str]]:
    if "+" not in word or Path(word).exists():
        return word, []
    reference, *given = word.split("+")
    for option in given:
        if option not in _SUFFIXES:
            hint = did_you_mean(option, _SUFFIXES)
            raise RegistryError(f"`{word}`: there is no option `{option}`; {hint}")
    return reference, given


def _artefact(found: Subject, given: Sequence[str]) -> Subject:
    path = Path(found.reference).expanduser()
    if given:
        raise RegistryError(f"{found.reference} is run by its engine, not by torch's modules; leave out `+{given[0]}`")
    if not path.is_file():
        raise RegistryError(f"there is no file {found.reference}")
    if found.device != "cpu":
        raise RegistryError(f"{found.reference} is run on the CPU; leave out --device {found.device}")
    return replace(found, weights=None, channels_last=False, compiled=False, precision="float32", side=None)


def _check_there(registry: Registry, reference: str) -> None:
    """A path that looks like neither a document nor an artefact of an installed target is told as such."""
    if (
        Path(reference).suffix
        and Path(reference).is_file()
        and not reference.lower().endswith((".yaml", ".yml", ".json"))
    ):
        if is_checkpoint(reference):
            return
        raise RegistryError(
            f"{reference} is neither a model's document, a checkpoint (.safetensors), nor a file that an installed target loads"
        )
