"""Options of `registry quantize` that cannot have an effect together. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from registry.cli.replacing import files_of, refuse_to_replace, weights_files
from registry.registry import Registry
from registry_quantization.verb.asked import Settled


def refuse_useless(
    training: Mapping[str, bool],
    assignments: Sequence[str],
    *,
    qat: str | None,
    qat_weights: str | None,
    scheme: str | None,
    file: str | None,
    images: Sequence[str],
) -> None:
    """Refuses options that would be ignored.

    Args:
        training: options that are for a training alone, and whether each is given.

    Raises:
        click.UsageError: with what to give or to leave out.
    """
    if qat is not None and qat_weights is not None:
        raise click.UsageError("`--qat` trains and `--qat-weights` are trained already; give one of them")
    if qat is None and any(training.values()):
        *first, last = (f"`{option}`" for option in training)
        raise click.UsageError(f"{', '.join(first)} and {last} are for a training; give --qat, or leave them out")
    if scheme is not None and any(text.partition("=")[0] == "quantization" for text in assignments):
        raise click.UsageError("`--scheme` and `--set quantization=` both say how to quantize; give one of them")
    for prefix, needed, given in (("recipe.", "--qat", qat), ("export.", "--output", file)):
        useless = [text for text in assignments if text.startswith(prefix)]
        if given is None and useless:
            raise click.UsageError(f"`--set {useless[0]}` changes nothing without {needed}; give that, or leave it out")
    if file is None and images:
        raise click.UsageError("`--image` is what --output is verified on; give that, or leave it out")


def refuse_to_overwrite(
    registry: Registry,
    asked: Settled,
    model: str,
    data: str,
    images: Sequence[str],
    weights: Sequence[str | None],
) -> None:
    """Refuses a file to write that is one of those that are read.

    Args:
        weights: references to weights; None: not given.

    Raises:
        click.UsageError: it is.
    """
    if asked.target is None or asked.file is None:
        return
    read = [("the model", file) for file in files_of(registry, model)]
    read += [("the data set's document", file) for file in files_of(registry, data, "dataset")]
    read += [("an image", Path(text)) for text in images]
    read += [("a file of weights", file) for file in weights_files(*weights)]
    companions = getattr(asked.target, "companions", ())
    refuse_to_replace([("--output", each) for each in (asked.file, *map(asked.file.with_suffix, companions))], read)
