"""Every number of a recipe changes something: each is set to two values, and what it is for is compared."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import BaseModel
from registry_recipes.augment import after_input, augmentation
from registry_recipes.averaging import build_ema
from registry_recipes.mixing import batch_mixing
from registry_recipes.optimizers import build_optimizer
from registry_recipes.schedules import rate_factor
from registry_recipes.specs import TrainingSpec
from torch import nn
from torchvision import tv_tensors

import registry

Probe = Callable[[TrainingSpec], Any]


def rates(recipe: TrainingSpec) -> list[float]:
    return [rate_factor(recipe, step, 4) for step in range(4 * recipe.epochs)]


def trained(recipe: TrainingSpec) -> list[Any]:
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("body", nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)))
    model.add_module("aux_classifier", nn.Linear(4, 2))
    optimizer = build_optimizer(recipe, model, batch=recipe.batch_size)
    for step in range(4):
        optimizer.zero_grad()
        model(torch.full((2, 4), 0.1 * step + 0.1)).pow(2).sum().backward()
        optimizer.step()
    return [parameter.tolist() for parameter in model.parameters()]


def changed(recipe: TrainingSpec) -> list[Any]:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((64, 48))
    boxes = torch.tensor([[4.0, 6, 30, 30], [30, 20, 34, 23]])
    targets = {
        "classification": 3,
        "detection": {"boxes": boxes, "labels": torch.tensor([1, 2])},
        "segmentation": torch.arange(48 * 64).reshape(48, 64).remainder(7),
    }
    assert recipe.augmentation is not None
    task = recipe.augmentation.kind
    change, erase = augmentation(recipe, task, 32), after_input(recipe, task)
    results: list[Any] = []
    for seed in range(12):
        torch.manual_seed(seed)
        picture, target = change(image, targets[task])
        told = {k: v.tolist() for k, v in target.items()} if isinstance(target, dict) else target
        results.append((picture.size, picture.tobytes(), told if not isinstance(told, torch.Tensor) else told.tolist()))
        if erase is not None:
            results.append(erase(torch.ones(3, 8, 8)).tolist())
    return results


def averaged(recipe: TrainingSpec) -> list[float]:
    model = nn.Linear(1, 1)
    ema = build_ema(recipe, model, batch=recipe.batch_size, steps_per_epoch=4)
    assert ema is not None
    for step in range(8):
        with torch.no_grad():
            model.weight.fill_(float(step))
        ema.update(model)
    return [parameter.item() for parameter in ema.module.parameters()][:1]


def mixed(recipe: TrainingSpec) -> Any:
    mix = batch_mixing(recipe, 4)
    torch.manual_seed(0)
    return None if mix is None else mix(torch.rand(4, 3, 8, 8), torch.arange(4))[1].tolist()


def smoothed(recipe: TrainingSpec) -> float:
    """The loss of one logit of 1 among zeros."""
    spec = registry.load_spec("mobilenet_v3_small", num_classes=3)
    task = registry.default_registry().task(spec)
    losses = task.losses(nn.Identity(), torch.tensor([[1.0, 0, 0]]), torch.tensor([0]), spec.head, recipe)
    return float(sum(losses.values()))


def overridden(recipe: TrainingSpec) -> dict[str, Any]:
    return recipe.model_overrides(registry.load_spec("mobilenet_v3_small"))


def of_optimizer(kind: str, **more: Any) -> Callable[[Any], dict[str, Any]]:
    """Settings with one value in the optimizer, for `CASES`."""
    return lambda setting: {"optimizer": {"kind": kind, **more, **setting}}


def of_part(name: str, **more: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda setting: {name: {**more, **setting}}


TOP = dict[str, Any]
RMSPROP = of_optimizer("rmsprop", momentum=0.5)
CLASSIFY = of_part("augmentation", kind="classification")
DETECT = of_part("augmentation", kind="detection")
SEGMENT = of_part("augmentation", kind="segmentation", crop=32)


def zoomed(setting: Any) -> dict[str, Any]:
    return DETECT({"zoom_out": setting})


def jittered(setting: Any) -> dict[str, Any]:
    return DETECT({"scale_jitter": {"size": 40, **setting}})


def policy(kind: str) -> Callable[[Any], dict[str, Any]]:
    return lambda setting: CLASSIFY({"policy": {"kind": kind, **setting}})


#: Class and field: how a setting gets into a recipe, two values, and what tells them apart.
CASES: dict[str, tuple[Callable[[Any], dict[str, Any]], Any, Any, Probe]] = {
    "RMSpropSpec.eps": (RMSPROP, 0.1, 0.01, trained),
    "RMSpropSpec.tf_eps": (RMSPROP, 0.1, 0.01, trained),
    "RMSpropSpec.alpha": (of_optimizer("rmsprop", eps=0.1), 0.9, 0.5, trained),
    "RMSpropSpec.momentum": (of_optimizer("rmsprop", eps=0.1), 0.9, 0.5, trained),
    "RMSpropSpec.weight_decay": (of_optimizer("rmsprop", eps=0.1), 0.0, 0.5, trained),
    "RMSpropSpec.norm_weight_decay": (of_optimizer("rmsprop", eps=0.1), None, 0.5, trained),
    "RMSpropSpec.bias_weight_decay": (of_optimizer("rmsprop", eps=0.1), None, 0.5, trained),
    "SGDSpec.momentum": (of_optimizer("sgd"), 0.9, 0.5, trained),
    "SGDSpec.weight_decay": (of_optimizer("sgd"), 0.0, 0.5, trained),
    "SGDSpec.norm_weight_decay": (of_optimizer("sgd"), None, 0.5, trained),
    "SGDSpec.bias_weight_decay": (of_optimizer("sgd"), None, 0.5, trained),
    "AdamWSpec.beta1": (of_optimizer("adamw"), 0.9, 0.5, trained),
    "AdamWSpec.beta2": (of_optimizer("adamw"), 0.9, 0.5, trained),
    "AdamWSpec.eps": (of_optimizer("adamw"), 1e-8, 0.5, trained),
    "AdamWSpec.weight_decay": (of_optimizer("adamw"), 0.0, 0.5, trained),
    "AdamWSpec.norm_weight_decay": (of_optimizer("adamw"), None, 0.5, trained),
    "AdamWSpec.bias_weight_decay": (of_optimizer("adamw"), None, 0.5, trained),
    "TrainingSpec.rate": (TOP, 0.1, 0.01, trained),
    "TrainingSpec.reference_batch": (TOP, None, 4, trained),
    "TrainingSpec.batch_size": (lambda s: {"reference_batch": 8, **s}, 8, 16, trained),
    "TrainingSpec.auxiliary_rate": (TOP, 10.0, 1.0, trained),
    "StepSpec.every": (of_part("schedule", kind="step"), 2, 3, rates),
    "StepSpec.factor": (of_part("schedule", kind="step", every=2), 0.1, 0.5, rates),
    "MultiStepSpec.epochs": (of_part("schedule", kind="multi_step"), [2, 4], [2, 5], rates),
    "MultiStepSpec.factor": (of_part("schedule", kind="multi_step", epochs=[2]), 0.1, 0.5, rates),
    "ExponentialSpec.factor": (of_part("schedule", kind="exponential"), 0.9, 0.5, rates),
    "CosineSpec.final_factor": (of_part("schedule", kind="cosine"), 0.0, 0.5, rates),
    "PolynomialSpec.power": (of_part("schedule", kind="polynomial"), 0.9, 2.0, rates),
    "WarmupSpec.start_factor": (of_part("warmup", epochs=2), 0.1, 0.2, rates),
    "WarmupSpec.steps": (of_part("warmup"), 3, 5, rates),
    "WarmupSpec.epochs": (of_part("warmup"), 1, 2, rates),
    "RateNoiseSpec.start": (of_part("rate_noise"), 0.0, 0.5, rates),
    "RateNoiseSpec.end": (of_part("rate_noise"), 1.0, 0.5, rates),
    "RateNoiseSpec.limit": (of_part("rate_noise"), 0.5, 0.1, rates),
    "RateNoiseSpec.std": (of_part("rate_noise"), 1.0, 0.1, rates),
    "TrainingSpec.epochs": (lambda s: {"schedule": {"kind": "cosine"}, **s}, 10, 11, rates),
    "TrainingSpec.seed": (lambda s: {"rate_noise": {}, **s}, 0, 1, rates),
    "ClassificationAugmentationSpec.size": (CLASSIFY, 32, 16, changed),
    "ClassificationAugmentationSpec.scale": (CLASSIFY, [0.1, 1.0], [0.5, 1.0], changed),
    "ClassificationAugmentationSpec.ratio": (CLASSIFY, [0.5, 2.0], [1.0, 1.0], changed),
    "ClassificationAugmentationSpec.flip": (CLASSIFY, 0.0, 1.0, changed),
    "ClassificationAugmentationSpec.erasing": (CLASSIFY, 0.1, 1.0, changed),
    "RandAugmentSpec.operations": (policy("randaugment"), 1, 3, changed),
    "RandAugmentSpec.magnitude": (policy("randaugment"), 1, 20, changed),
    "AugMixSpec.severity": (policy("augmix"), 1, 9, changed),
    "AugMixSpec.width": (policy("augmix"), 1, 3, changed),
    "DetectionAugmentationSpec.flip": (DETECT, 0.0, 1.0, changed),
    "DetectionAugmentationSpec.photometric": (DETECT, 0.0, 1.0, changed),
    "DetectionAugmentationSpec.min_side": (DETECT, 1.0, 10.0, changed),
    "ZoomOutSpec.probability": (zoomed, 0.0, 1.0, changed),
    "ZoomOutSpec.scale": (zoomed, [1.0, 1.0], [2.0, 3.0], changed),
    "ZoomOutSpec.fill": (zoomed, [0, 0, 0], [9, 9, 9], changed),
    "ScaleJitterSpec.size": (jittered, 40, 50, changed),
    "ScaleJitterSpec.scale": (jittered, [0.5, 0.6], [1.5, 2.0], changed),
    "ScaleJitterSpec.fill": (jittered, [0, 0, 0], [9, 9, 9], changed),
    "SegmentationAugmentationSpec.resize": (SEGMENT, [40, 50], [60, 70], changed),
    "SegmentationAugmentationSpec.flip": (SEGMENT, 0.0, 1.0, changed),
    "SegmentationAugmentationSpec.crop": (of_part("augmentation", kind="segmentation"), 20, 24, changed),
    "EmaSpec.decay": (of_part("ema", every=1, adjust=False), 0.9, 0.5, averaged),
    "EmaSpec.every": (of_part("ema", decay=0.9, adjust=False), 1, 3, averaged),
    "TrainingSpec.mixup_alpha": (TOP, 0.2, 2.0, mixed),
    "TrainingSpec.cutmix_alpha": (TOP, 0.2, 2.0, mixed),
    "TrainingSpec.label_smoothing": (TOP, 0.0, 0.3, smoothed),
    "TrainingSpec.stochastic_depth": (TOP, None, 0.3, overridden),
    "TrainingSpec.dropout": (TOP, None, 0.3, overridden),
    "TrainingSpec.trainable_stages": (TOP, None, 2, overridden),
    "TrainingSpec.validation_resize": (TOP, None, 90, overridden),
    "TrainingSpec.validation_crop": (TOP, None, 80, overridden),
}
#: What the training loop reads, and its tests see to.
OF_THE_LOOP = {
    "TrainingSpec.accumulation",
    "TrainingSpec.workers",
    "TrainingSpec.repeats",
    "TrainingSpec.aspect_ratio_groups",
    "TrainingSpec.clip_norm",
    "TrainingSpec.clip_value",
    "TrainingSpec.validate_every",
    "AveragingSpec.count",
    "QuantizationAwareSpec.observer_epochs",
    "QuantizationAwareSpec.batch_norm_epochs",
}


def leaves(annotation: Any) -> Iterator[Any]:
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return
    for argument in arguments:
        yield from leaves(argument)
    if not arguments:
        yield annotation


def numbers() -> set[str]:
    """Class and field of every number that a recipe can hold."""
    found, classes = set(), [TrainingSpec]
    for spec_class in classes:
        for name, field in spec_class.model_fields.items():
            held = list(leaves(field.annotation))
            classes += [c for c in held if isinstance(c, type) and issubclass(c, BaseModel) and c not in classes]
            if {int, float} & {c for c in held if isinstance(c, type)}:
                found.add(f"{spec_class.__name__}.{name}")
    return found


def test_every_number_is_probed_here_or_read_by_the_loop() -> None:
    assert numbers() == set(CASES) | OF_THE_LOOP
    assert not set(CASES) & OF_THE_LOOP


@pytest.mark.parametrize("name", CASES)
def test_a_number_does_something(recipe: Callable[..., TrainingSpec], name: str) -> None:
    place, first, second, probe = CASES[name]
    field = name.partition(".")[2]
    results = [probe(recipe(**place({field: value}))) for value in (first, second)]
    assert results[0] != results[1]
    assert probe(recipe(**place({field: first}))) == results[0]


def test_a_target_of_torchvisions_type_is_taken_too(recipe: Callable[..., TrainingSpec]) -> None:
    change = augmentation(recipe(augmentation={"kind": "detection", "flip": 1.0}), "detection", None)
    boxes = tv_tensors.BoundingBoxes(torch.tensor([[0.0, 0, 4, 4]]), format="XYXY", canvas_size=(8, 10))
    _, target = change(Image.new("RGB", (10, 8)), {"boxes": boxes, "labels": torch.tensor([1])})
    assert target["boxes"].tolist() == [[6, 0, 10, 4]]
