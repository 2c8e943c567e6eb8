"""What a user asked for, and the measurement of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from registry.cli import output
from registry.errors import RegistryError, UnknownNameError
from registry.registry import Registry
from registry.suggest import did_you_mean
from registry_benchmark import cores as cores_of
from registry_benchmark.report import Report
from registry_benchmark.subjects import Subject, labelled, require_weights, size_of, subject_of, weights_for
from registry_benchmark.turns import Note, Process, Timed, measured

#: Counted runs of each subject where nobody says how many.
_RUNS = 30
#: What the product of matrices is called.
_PEAK = Subject("peak", "peak", kind="peak")


@dataclass(frozen=True)
class Asked:
    """The options of a call; see the help of `registry benchmark`."""

    threads: int = 1
    cores: tuple[int, ...] = ()
    runs: int | None = None
    warmup: int = 3
    batch: int = 1
    part: str | None = None
    size: str | None = None
    device: str = "cpu"
    channels_last: bool = False
    compiled: bool = False
    precision: str = "float32"
    assignments: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    random_weights: bool = False
    data: tuple[str, ...] = ()
    limit: int | None = None
    peak: bool = False

    def base(self) -> Subject:
        """A subject with the options that all share.

        Raises:
            RegistryError: the size is none.
        """
        size, side = (None, None) if self.size is None else size_of(self.size)
        own = tuple(text for text in self.assignments if not text.startswith("dataset."))
        return Subject(
            label="",
            reference="",
            overrides=own,
            size=size,
            side=side,
            batch=self.batch,
            part=self.part,
            device=self.device,
            channels_last=self.channels_last,
            compiled=self.compiled,
            precision=self.precision,
        )

    def checked(self, registry: Registry, word: str, words: Sequence[str] = ()) -> Subject:
        """The subject of a word, with its weights."""
        return subject_of(
            registry, word, replace(self.base(), weights=weights_for(word, words or [word], self.weights))
        )

    def subjects(self, registry: Registry, words: Sequence[str], baseline: str | None) -> tuple[list[Subject], str]:
        """The subjects, the baseline first where it was not among them, and the baseline's label.

        Raises:
            UnknownNameError, SpecError, RegistryError: as `subject_of`; a model without weights; options that none follows.
        """
        every = list(words) if baseline is None or baseline in words else [baseline, *words]
        found = [self.checked(registry, word, every) for word in every]
        if not self.random_weights:
            require_weights(found)
        self.check_data(registry, random=all(subject.random for subject in found))
        given = [f"--{name}" for name, on in (("channels-last", self.channels_last), ("compile", self.compiled)) if on]
        given += [] if self.precision == "float32" else [f"--precision {self.precision}"]
        if given and all(one.kind == "artefact" for one in found):
            raise RegistryError(
                f"exported files are run by their engines, not by torch's modules; leave out {given[0]}"
            )
        found = labelled(found)
        return found, found[0 if baseline is None else every.index(baseline)].label

    def timed(self, subjects: Sequence[Subject], *, runs: int, note: Note | None = None) -> list[Timed]:
        """What was measured, that of the peak last where it was asked for."""
        more = [_PEAK] if self.peak else []
        told = note or _shown

        def start(subject: Subject) -> Process:
            return Process(subject, self.cores, self.threads)

        try:
            return measured([*subjects, *more], start, runs=runs, warmup=self.warmup, data=self.data_for, note=told)
        finally:
            told("")

    def report(self, subjects: Sequence[Subject], baseline: str) -> Report:
        """Times the subjects and reports."""
        runs = self.runs or _RUNS
        found = self.timed(subjects, runs=runs)
        machine = cores_of.machine(self.cores, self.threads)
        return Report.of(found, baseline, machine, runs=runs, warmup=self.warmup)

    def check_data(self, registry: Registry, *, random: bool) -> None:
        """Holds `--data` to the tasks that there are.

        Args:
            random: whether all weights are random.

        Raises:
            RegistryError: there are no weights whose accuracy means something.
            UnknownNameError: the word before `=` is no task, and no such path is there.
        """
        if self.data and random:
            raise RegistryError("the accuracy of random weights means nothing; leave out --data, or give --weights")
        known = {part.type for part in registry.host.parts if part.kind == "task"}
        for text in self.data:
            name, equals, _ = text.partition("=")
            if equals and name not in known and not Path(text).exists():
                raise UnknownNameError(f"--data {text}: there is no task `{name}`; {did_you_mean(name, known)}")

    def data_for(self, timed: Timed) -> tuple[str, list[str], int | None] | None:
        """What a subject's accuracy is measured on: `TASK=DATA` of its task, else `DATA`; None for random weights."""
        task, common, own = timed.told.get("task"), None, None
        if timed.subject.random or task is None:
            return None
        for text in self.data:
            name, equals, rest = text.partition("=")
            if equals and name == task:
                own = rest
            elif not equals or Path(text).exists():
                common = text
        data = own or common
        settings = [text for text in self.assignments if text.startswith("dataset.")]
        return None if data is None else (data, settings, self.limit)


def _shown(text: str) -> None:
    """What goes on, in one line of the error output that the next one takes the place of, where a person watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{output.printable(text)}")
        sys.stderr.flush()
