"""Five steps of the loop equal a plain transcription with torch's own optimizer and torchvision's own model, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torchvision
from accelerate import Accelerator
from PIL import Image
from registry_recipes.specs import TrainingSpec
from registry_training.loading import Samples
from registry_training.order import Order
from registry_training.plan import Plan
from registry_training.seeds import step_seed
from registry_training.trainer import Trainer
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import functional as TF

import registry

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS, BATCH, SEED = 5, 4, 7


class Pictures:
    """Noise with targets."""

    def __init__(self, count: int, side: int, target: Callable[[int], Any]) -> None:
        generator = torch.Generator().manual_seed(1)
        self._pictures = torch.randint(0, 256, (count, side, side, 3), generator=generator, dtype=torch.uint8)
        self._target = target

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> tuple[Image.Image, Any]:
        return Image.fromarray(self._pictures[index].numpy()), self._target(index)

    def tensor(self, index: int) -> torch.Tensor:
        """As torchvision's references make it, before it is normalised."""
        scaled: torch.Tensor = TF.to_tensor(self[index][0])
        return scaled


@dataclass
class Trained:
    """Parameters before and after the steps of our loop, and which pictures each step took."""

    before: dict[str, torch.Tensor]
    after: dict[str, torch.Tensor]
    batches: list[list[int]]


def trained(name: str, data: Pictures, settings: Sequence[str], **model: Any) -> Trained:
    own = [
        "augmentation=null",
        f"batch_size={BATCH}",
        "reference_batch=null",
        f"seed={SEED}",
        "aspect_ratio_groups=null",
    ]
    made = registry.default_registry()
    spec = made.load_spec(name, overrides=[*settings, *(f"recipe.{text}" for text in own)], **model)
    assert isinstance(spec.recipe, TrainingSpec)
    order = Order(len(data), BATCH, SEED, drop_last=True)
    built = made.build(spec)
    before = {key: value.clone() for key, value in built.state_dict().items()}
    plan = Plan(built.spec, spec.recipe, None)  # type: ignore[arg-type]  # no data set's spec is asked for here
    task = made.task(spec)
    trainer = Trainer(plan, built, task, order.steps(), Accelerator(cpu=True))
    steps = list(trainer.epoch(order, Samples(data, task, SEED), workers=0))
    assert len(steps) == STEPS
    return Trained(before, built.state_dict(), [[index for index, _ in batch] for batch in order.batches(0)])


def assert_equal(ours: dict[str, torch.Tensor], theirs: nn.Module) -> None:
    state = theirs.state_dict()
    assert list(ours) == list(state)
    different = [key for key, value in state.items() if not torch.equal(value, ours[key])]
    assert different == []


MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_classifier_with_the_articles_rmsprop(clip: float | None) -> None:
    data = Pictures(STEPS * BATCH, 64, lambda index: index % 10)
    settings = [
        "recipe=imagenet_mnv3_rmsprop",
        "task.categories=null",
        "recipe.rate=0.001",
        f"recipe.clip_norm={clip or 'null'}",
    ]
    ours = trained("mobilenet_v3_small", data, settings, num_classes=10)
    model = torchvision.models.mobilenet_v3_small(num_classes=10).train()
    model.load_state_dict(ours.before)
    optimizer = torch.optim.RMSprop(
        model.parameters(), lr=0.001, alpha=0.9, eps=0.0316, momentum=0.9, weight_decay=1e-5
    )
    for step, batch in enumerate(ours.batches):
        images = torch.stack([TF.normalize(data.tensor(index), MEAN, STD) for index in batch])
        torch.manual_seed(step_seed(SEED, 0, step, 0))
        loss = F.cross_entropy(model(images), torch.tensor([index % 10 for index in batch]))
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad()
    assert_equal(ours.after, model)


def stripes(index: int) -> torch.Tensor:
    return torch.arange(64).div(16, rounding_mode="floor").add(index).remainder(21).expand(64, 64).contiguous()


def test_a_segmentation_model_with_an_auxiliary_head_and_a_polynomial_rate() -> None:
    data = Pictures(STEPS * BATCH, 64, stripes)
    settings = ["recipe=coco_segmentation_deeplabv3", "recipe.epochs=3"]
    ours = trained("deeplabv3_mnv3_large", data, settings)
    model = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, aux_loss=True
    ).train()
    model.load_state_dict(ours.before)
    rate = 0.01
    groups = [
        {"params": [*model.backbone.parameters(), *model.classifier.parameters()], "lr": rate},
        {"params": model.aux_classifier.parameters(), "lr": 10 * rate},
    ]
    optimizer = torch.optim.SGD(groups, lr=rate, momentum=0.9, weight_decay=1e-6)
    for step, batch in enumerate(ours.batches):
        factor = (1 - step / (STEPS * 3)) ** 0.9
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = rate * factor, 10 * rate * factor
        images = torch.stack([TF.normalize(data.tensor(index), MEAN, STD) for index in batch])
        masks = torch.stack([stripes(index) for index in batch])
        torch.manual_seed(step_seed(SEED, 0, step, 0))
        out = model(images)
        loss = F.cross_entropy(out["out"], masks, ignore_index=255) + 0.5 * F.cross_entropy(
            out["aux"], masks, ignore_index=255
        )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert_equal(ours.after, model)


def boxes(index: int) -> dict[str, torch.Tensor]:
    corners = torch.tensor([[5.0, 8, 40, 44], [20, 10, 60, 30]]) + index % 3
    return {"boxes": corners, "labels": torch.tensor([1 + index % 4, 4])}


def test_a_detector_with_a_linear_warm_up() -> None:
    data = Pictures(STEPS * BATCH, 96, boxes)
    settings = ["recipe=coco_detection_mnv3", "task.categories=null"]
    settings += ["recipe.trainable_stages=null", "backbone.trainable_stages=null"]
    settings += ["head.image.min_size=128", "head.image.max_size=256"]
    ours = trained("fasterrcnn_mnv3_large_320_fpn", data, settings, num_classes=5)
    model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=5, trainable_backbone_layers=6, min_size=128, max_size=256
    ).train()
    model.load_state_dict(ours.before)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.02, momentum=0.9, weight_decay=1e-4)
    length = min(1000, STEPS - 1)
    for step, batch in enumerate(ours.batches):
        # torch.optim.lr_scheduler.LinearLR(start_factor=1/1000, total_iters=length), as the reference's first epoch has
        optimizer.param_groups[0]["lr"] = 0.02 * (1e-3 + (1 - 1e-3) * min(step, length) / length)
        torch.manual_seed(step_seed(SEED, 0, step, 0))
        losses = model([data.tensor(index) for index in batch], [boxes(index) for index in batch])
        torch.stack([loss.float() for loss in losses.values()]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert_equal(ours.after, model)
