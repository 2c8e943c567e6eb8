"""Quantizing a model from calibration to the verified file, with what it costs in accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from registry_export.flow import Exported, exported
from registry_export.pictures import verification_inputs
from registry_training.evaluation import Evaluation
from registry_training.prepare import Prepared, opened, split
from torch import nn

from registry.cli import output
from registry.errors import RegistryError
from registry.registry import Registry
from registry.weights.fetch import locate
from registry.weights_reference import parse_reference
from registry_quantization.signal import LayerSignal, layer_signals, layers_of
from registry_quantization.verb.asked import Settled, Training
from registry_quantization.verb.beside import Side, pictures, side_by_side
from registry_quantization.verb.calibration import calibration_batches

#: The models of a report: as it was, quantized after training, trained with simulated rounding.
FLOAT, PTQ, QAT = "float", "ptq", "qat"


@dataclass
class Report:
    """What came out.

    Attributes:
        headline: name of the figure that counts.
        sides: figures of each model, and how far it is from the float one; `FLOAT` first.
        pictures: that were measured.
        calibrated: pictures from which ranges were taken.
        layers: the noisiest first.
        left: names of layers that stayed float.
        count: of all layers.
        size: bytes of the float model's tensors.
        written: which of the models the file holds, and what its export told.
    """

    model: str
    scheme: dict[str, Any]
    headline: str
    sides: dict[str, Side]
    pictures: int
    calibrated: int
    layers: list[LayerSignal]
    left: tuple[str, ...]
    count: int
    size: int
    written: tuple[str, Exported] | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Data:
    """What a model is calibrated and measured on.

    Attributes:
        name: a document's name or file, or a folder.
        split: which half is measured; the other settings' ranges come from the training half.
        limit: most pictures to measure.
        batch: pictures at once.
        images: files to verify the written file on.
    """

    name: str
    split: str = "validation"
    limit: int | None = None
    batch: int = 32
    images: Sequence[str] = ()


def quantized(
    registry: Registry,
    settled: Settled,
    model: str,
    data: Data,
    assignments: Sequence[str],
    settings: dict[str, Any],
    training: Training | None = None,
    published: str | None = None,
) -> Report | None:
    """Quantizes a model; None where its training was asked to stop, and can go on.

    Args:
        model: as the user named it.
        assignments: all of the user's.
        settings: others that `Registry.build` takes.
        training: with simulated rounding; None: quantize after training alone.
        published: reference of weights that such a training gave elsewhere; instead of `training`.

    Raises:
        ImageError: an image to verify on cannot be read.
        RegistryError: model and data do not fit, nothing would be left to quantize, or the file cannot be written.
        MissingExtraError: a package of scheme or target is not installed.
    """
    if data.images:  # a mistake is told before the work
        verification_inputs(registry.task(settled.model), settled.model, data.images)
    others = [text for text in assignments if text.startswith("dataset.")]
    with output.status(f"building {settled.model.name}"):
        evaluation = Evaluation.open(registry, model, data.name, data.split, [*settled.assignments, *others], settings)
    built = evaluation.model.eval()
    scheme = registry.host.target(settled.scheme)
    ready = None
    if training is not None:
        own = [text for text in assignments if text.startswith(("dataset.", "recipe."))]
        ready = _plan(registry, built, scheme, data, training, own)
    known = None if published is None else _published(scheme, settled, built, published)
    batches = _batches(registry, evaluation, settled, data, assignments)
    layers = layers_of(built)
    with output.status("calibrating"):
        models = {FLOAT: built, PTQ: scheme(settled.scheme, built, batches)}
        told = layer_signals(
            built,
            batches,
            per_channel=getattr(settled.scheme, "per_channel", True),
            outputs=getattr(settled.scheme, "rounds_outputs", True),
        )
    if ready is not None and training is not None:
        from registry_quantization.verb.aware import trained

        made = trained(registry, ready, training, scheme, built, batches)
        if made is None:
            return None
        models[QAT] = made
    if known is not None:
        models[QAT] = known
    count = min(data.limit or evaluation.pictures, evaluation.pictures)
    groups = pictures(evaluation, count, data.batch)
    sides = side_by_side(evaluation, models, output.progress(groups, "measuring", total=-(-count // data.batch)))
    metric = evaluation.metric()
    report = Report(
        settled.model.name,
        settled.scheme.model_dump(mode="json"),
        metric.headline,
        sides,
        count,
        sum(len(batch) for batch in batches),
        told,
        tuple(getattr(models[PTQ], "float_layers", ())),
        len(layers),
        sum(tensor.numel() * tensor.element_size() for tensor in built.state_dict().values()),
    )
    _write(registry, settled, data, models, report, higher=metric.higher_is_better)
    return report


def _plan(
    registry: Registry, model: Any, scheme: Any, data: Data, training: Training, assignments: Sequence[str]
) -> Prepared:
    if not hasattr(scheme, "prepare"):
        raise RegistryError(
            f"the scheme `{model.spec.quantization.type}` quantizes after training alone; leave out --qat, or choose the "
            "scheme xnnpack"
        )
    from registry_quantization.verb.aware import planned

    return planned(registry, model.spec, data.name, training, assignments)


def _published(scheme: Any, settled: Settled, model: nn.Module, reference: str) -> nn.Module:
    if not hasattr(scheme, "published"):
        raise RegistryError(
            f"the scheme `{settled.scheme.type}` reads no weights of a training elsewhere; leave out --qat-weights, or choose "
            "the scheme qnnpack"
        )
    made: nn.Module = scheme.published(settled.scheme, model, locate(parse_reference(reference)))
    return made


def _batches(
    registry: Registry, evaluation: Evaluation, settled: Settled, data: Data, assignments: Sequence[str]
) -> list[Any]:
    spec = settled.model
    dataset = split(registry, opened(registry, data.name, spec.task.type, assignments), "train")
    count = getattr(settled.scheme, "calibration_batches", 32)
    with output.status("reading pictures to calibrate with"):
        return calibration_batches(evaluation.task, dataset, count, lists=not spec.head.exportable)


def _write(
    registry: Registry,
    settled: Settled,
    data: Data,
    models: dict[str, nn.Module],
    report: Report,
    *,
    higher: bool,
) -> None:
    """Writes the better of the integer models."""
    found = {name: report.sides[name].figures[report.headline] for name in models if name != FLOAT}
    chosen = QAT if QAT in found else PTQ
    if QAT in found and (found[PTQ] > found[QAT] if higher else found[PTQ] < found[QAT]):
        chosen = PTQ
        report.notes.append(
            "training with simulated rounding made it no better: the model quantized after training counts"
        )
    if settled.target is None or settled.file is None:
        return
    with output.status(f"writing {settled.file}"):
        done = exported(registry, models[chosen], settled.target, settled.file, images=data.images)
    report.written = (chosen, done)
