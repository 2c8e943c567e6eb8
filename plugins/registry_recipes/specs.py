"""The recipe: how a model is trained, from the optimizer to the seed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field

from registry.specs import Finding, ModelSpec, RecipeSpec
from registry_recipes.augmentation_specs import AugmentationSpec
from registry_recipes.average_specs import (
    AveragingSpec,
    EmaSpec,
    QuantizationAwareSpec,
)
from registry_recipes.checks import batch_findings, mixing_findings, model_findings, rate_findings
from registry_recipes.optimizer_specs import OptimizerSpec
from registry_recipes.schedule_specs import ConstantSpec, RateNoiseSpec, ScheduleSpec, WarmupSpec, schedule_problems

#: Settings of the recipe that are settings of the model, each with the place in the model that takes it.
_OF_THE_MODEL = {
    "stochastic_depth": "backbone.stochastic_depth",
    "dropout": "head.dropout",
    "trainable_stages": "backbone.trainable_stages",
    "validation_resize": "task.preprocessing.resize",
    "validation_crop": "task.preprocessing.crop",
}


class TrainingSpec(RecipeSpec):
    """A training. Every batch is counted over all processes; a step is one update of the parameters."""

    type: Annotated[Literal["training"], Field(description="Registered type of the part.")] = "training"
    start: Annotated[
        Literal["random", "backbone_weights", "weights"],
        Field(
            description="What the recipe starts from: nothing, the model's `backbone_weights`, or its `default_weights`."
        ),
    ] = "random"

    optimizer: Annotated[OptimizerSpec, Field(description="How gradients change parameters.")]
    rate: Annotated[float, Field(gt=0, le=100, description="Learning rate before schedule and warm-up.")]
    reference_batch: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Images per step that `rate` is for: it grows with the batch; null: fixed.",
        ),
    ] = None
    auxiliary_rate: Annotated[
        float, Field(gt=0, le=1000, description="Factor of the rate of auxiliary heads; torchvision takes 10.")
    ] = 10.0
    schedule: Annotated[ScheduleSpec, Field(description="How the rate changes.")] = ConstantSpec()
    warmup: Annotated[WarmupSpec | None, Field(description="A lower rate at first; null: none.")] = None
    rate_noise: Annotated[RateNoiseSpec | None, Field(description="Chance in the rate; null: none.")] = None

    epochs: Annotated[int, Field(ge=1, le=100_000, description="How often each picture is seen.")]
    batch_size: Annotated[int, Field(ge=1, le=1_000_000, description="Images per step, over all processes.")]
    accumulation: Annotated[
        int, Field(ge=1, le=65536, description="Passes whose gradients are summed up to one step, for want of memory.")
    ] = 1
    drop_last: Annotated[bool, Field(description="Leave out the last batch of an epoch where it is smaller.")] = True
    workers: Annotated[int, Field(ge=0, le=1024, description="Processes that load pictures, per training process.")] = 2
    repeats: Annotated[
        int,
        Field(ge=1, le=100, description="Times that a picture comes in an epoch, augmented anew (arXiv 1901.09335)."),
    ] = 1
    aspect_ratio_groups: Annotated[
        int | None,
        Field(
            ge=1, le=100, description="Bins per doubling of height / width whose pictures share batches; null: none."
        ),
    ] = None
    bad_images: Annotated[
        Literal["fail", "skip"],
        Field(description="What a picture that cannot be read does: stop, or be skipped and counted."),
    ] = "fail"

    augmentation: Annotated[
        AugmentationSpec | None, Field(description="How training pictures are changed; null: resized as in testing.")
    ] = None
    mixup_alpha: Annotated[
        float, Field(ge=0, le=100, description="Beta distribution of mixup's shares (arXiv 1710.09412); 0: off.")
    ] = 0.0
    cutmix_alpha: Annotated[
        float, Field(ge=0, le=100, description="Beta distribution of cutmix's shares (arXiv 1905.04899); 0: off.")
    ] = 0.0
    label_smoothing: Annotated[
        float, Field(ge=0, lt=1, description="Probability that is spread over all classes in the loss.")
    ] = 0.0
    stochastic_depth: Annotated[
        float | None,
        Field(ge=0, lt=1, description="The backbone's `stochastic_depth`, where it has one; null: as the model says."),
    ] = None
    dropout: Annotated[
        float | None, Field(ge=0, lt=1, description="The head's `dropout`, where it has one; null: as the model says.")
    ] = None
    trainable_stages: Annotated[
        int | None,
        Field(ge=0, le=64, description="How many of the backbone's last stages are trained; null: as the model says."),
    ] = None

    ema: Annotated[EmaSpec | None, Field(description="Moving average of the parameters; null: none.")] = None
    averaging: Annotated[AveragingSpec | None, Field(description="Mean of checkpoints at the end; null: none.")] = None
    clip_norm: Annotated[
        float | None, Field(gt=0, le=1e6, description="Largest norm of all gradients together; null: any.")
    ] = None
    clip_value: Annotated[
        float | None, Field(gt=0, le=1e6, description="Largest value of each number of a gradient; null: any.")
    ] = None
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"], Field(description="Of computation; parameters stay in single precision.")
    ] = "fp32"
    sync_batch_norm: Annotated[
        bool, Field(description="Share batch statistics between processes; has no effect with one.")
    ] = False
    validate_every: Annotated[
        int, Field(ge=1, le=100_000, description="Epochs per validation; the last is always measured.")
    ] = 1
    validation_resize: Annotated[
        int | None,
        Field(
            ge=1, le=8192, description="Shorter side of pictures in testing, in pixels; null: as the model's task says."
        ),
    ] = None
    validation_crop: Annotated[
        int | None,
        Field(
            ge=1, le=8192, description="Side of the centre crop in testing, in pixels; null: as the model's task says."
        ),
    ] = None
    quantization_aware: Annotated[
        QuantizationAwareSpec | None, Field(description="Schedule of a quantization-aware training; null: none.")
    ] = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="Of all that is drawn.")] = 0

    def check(self) -> Iterable[Finding]:
        """Contradictions between settings: schedule against epochs, batches, mixing against task, averages."""
        yield from self.optimizer.problems("optimizer")
        if self.warmup is not None:
            yield from self.warmup.problems(self.epochs, "warmup")
        yield from schedule_problems(self.schedule, self.epochs, self.warmup, "schedule")
        if self.rate_noise is not None:
            yield from self.rate_noise.problems("rate_noise")
        if self.augmentation is not None:
            yield from self.augmentation.problems("augmentation")
            yield from mixing_findings(self, self.augmentation.kind, ("augmentation",), ("augmentation", "kind"))
        yield from rate_findings(self)
        yield from batch_findings(self)
        if self.ema is not None:
            yield from self.ema.problems(self.batch_size, self.epochs, "ema")
        if self.averaging is not None:
            yield from self.averaging.problems(self.epochs, self.validate_every, "averaging")
        if self.quantization_aware is not None:
            yield from self.quantization_aware.problems(self.epochs, "quantization_aware")

    def check_model(self, model: ModelSpec) -> Iterable[Finding]:
        """What contradicts the model that is trained; paths are relative to the recipe."""
        return model_findings(self, model)

    def rate_for(self, batch: int) -> float:
        """The learning rate for `batch` images per step: in proportion to `reference_batch`, where there is one."""
        return self.rate if self.reference_batch is None else self.rate * batch / self.reference_batch

    def model_overrides(self, model: ModelSpec | None = None) -> dict[str, Any]:
        """Settings of the model that this recipe sets, dotted, as `registry.build(overrides=...)` takes them.

        Args:
            model: leave out what this model has no setting for.
        """
        wanted = {place: getattr(self, name) for name, place in _OF_THE_MODEL.items()}
        return {
            place: value
            for place, value in wanted.items()
            if value is not None and (model is None or _has(model, place))
        }


def _has(model: ModelSpec, place: str) -> bool:
    found: Any = model
    for name in place.split("."):
        if not hasattr(found, name):
            return False
        found = getattr(found, name)
    return True
