"""What the parts of the tiny plugin build."""

from __future__ import annotations

import copy
import os
from collections import OrderedDict
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from registry.errors import RegistryError
from registry.tasks import Metric, Task


def backbone(spec):
    """Two convolutions of stride 2, each with a batch norm."""
    width = int(8 * spec.width_mult)

    def layer(before, after):
        return nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU())

    return nn.Sequential(OrderedDict(stem=layer(spec.in_channels, width), body=layer(width, 2 * width)))


class Model(nn.Module):
    """A backbone, pooling and one linear layer."""

    def __init__(self, spec, body, channels):
        super().__init__()
        self.body = body
        self.spec_of_head = spec
        self.dropout = nn.Dropout(spec.dropout)
        self.fc = nn.Linear(channels, spec.num_classes)

    def forward(self, images):
        """Logits (N, num_classes)."""
        maps = self.body(images)
        pooled = maps.mean((2, 3)) if self.spec_of_head.pooling == "average" else maps.amax((2, 3))
        return self.fc(self.dropout(pooled))


def head(spec, body, backbone_spec):
    """The whole model."""
    return Model(spec, body, backbone_spec.feature_maps()[-1].channels)


class Share(Metric):
    """The share of right answers."""

    headline = "right"

    def __init__(self):
        self.right, self.total = 0, 0

    def update(self, results, targets):
        """Counts a batch."""
        self.right += sum(result == target for result, target in zip(results, targets.tolist(), strict=True))
        self.total += len(results)

    def compute(self):
        """`right`, 0 to 1."""
        if not self.total:
            raise RegistryError("no batch was added")
        return {"right": self.right / self.total}


class TinyTask(Task):
    """Feeds a tiny model."""

    def preprocess(self, image):
        """float32 (3, side, side)."""
        side = self.spec.picture.side
        data = torch.frombuffer(bytearray(image.resize((side, side)).tobytes()), dtype=torch.uint8)
        return data.view(side, side, 3).permute(2, 0, 1).float() / 255

    def collate(self, inputs):
        """Stacks."""
        return torch.stack(inputs)

    def collate_targets(self, targets):
        """Labels as int64 (N)."""
        return torch.tensor(targets)

    def losses(self, model, inputs, targets, head, recipe=None):
        """Cross-entropy."""
        if int(targets.max()) >= head.num_classes:
            raise RegistryError(f"the label {int(targets.max())} is none of 0 to {head.num_classes - 1}")
        return {"cross_entropy": F.cross_entropy(model(inputs), targets)}

    def example(self, spec, count, size, generator):
        """Noise."""
        images = torch.randn((count, spec.backbone.in_channels, *size), generator=generator)
        return images, torch.randint(spec.head.num_classes, (count,), generator=generator)

    def check_output(self, output, spec, inputs):
        """Logits."""
        if tuple(output.shape) != (len(inputs), spec.head.num_classes):
            raise RegistryError(f"logits of shape {tuple(output.shape)}")

    def metric(self, spec):
        """See Share."""
        return Share()

    def postprocess(self, output, sizes):
        """The likeliest class of each picture."""
        return output.argmax(1).tolist()

    def as_data(self, result):
        """The class."""
        return {"class": result}

    def as_text(self, result):
        """The class."""
        return self.label(result)

    def draw(self, image, result):
        """The picture."""
        return image.copy()


class Colours:
    """Plain pictures, a class a colour."""

    def __init__(self, spec, split):
        self.count = spec.count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return Image.new("RGB", (20, 10), (index, 0, 0)), index % 3


def quantize(spec, model, batches):
    """A copy with rounded weights."""
    made = copy.deepcopy(model)
    for batch in batches:
        made(batch)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(spec.levels).round_().div_(spec.levels)
    return made


def export(spec, model, inputs, path):
    """The state dict, whole or absent."""
    path = Path(path)
    if not path.parent.is_dir():
        raise RegistryError(f"there is no folder {path.parent}")
    temporary = path.with_suffix(".part")
    torch.save(model.state_dict(), temporary)
    os.replace(temporary, path)
