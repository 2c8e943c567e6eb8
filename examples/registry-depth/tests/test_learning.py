"""A model learns depths of rendered scenes, of which every depth is known."""

from __future__ import annotations

import math
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

import registry

#: Group normalisation throughout: statistics of a few steps' batches mean nothing in testing.
SETTINGS: dict[str, Any] = {
    "task.preprocessing.resize": None,
    "backbone.norm": {"kind": "group"},
    "head.norm": {"kind": "group"},
    "head.channels": 32,
}


def scene(seed: int, side: int) -> tuple[Image.Image, torch.Tensor]:
    """A floor 1 m below the camera, a wall, and two spheres, lit from where the camera is; with the depth of every pixel.

    A ray through pixel (x, y) goes along (x, y, 1), 90 degrees wide, so that the factor at which it meets a surface is the
    depth. Light falls off with the square of the distance and with the cosine of the angle.
    """
    random = numpy.random.default_rng(seed)
    steps = (numpy.arange(side) + 0.5) / side * 2 - 1
    x, y = numpy.meshgrid(steps, steps)
    wall = random.uniform(4, 8)
    depth = numpy.full((side, side), wall)
    normal = numpy.stack([numpy.zeros_like(x), numpy.zeros_like(x), -numpy.ones_like(x)], -1)
    colour = numpy.broadcast_to([0.9, 0.85, 0.8], (side, side, 3)).copy()
    floor = numpy.where(y > 0, 1 / numpy.maximum(y, 1e-9), math.inf)
    seen = floor < depth
    depth, normal[seen], colour[seen] = numpy.where(seen, floor, depth), (0, -1, 0), (0.4, 0.6, 0.4)
    for tint in ((0.9, 0.3, 0.2), (0.2, 0.4, 0.9)):
        centre = numpy.array([random.uniform(-1, 1), random.uniform(-0.5, 0.3), random.uniform(1.5, 3.5)])
        radius = random.uniform(0.4, 0.7)
        square, along = x**2 + y**2 + 1, x * centre[0] + y * centre[1] + centre[2]
        inside = along**2 - square * (centre @ centre - radius**2)
        hit = (along - numpy.sqrt(numpy.maximum(inside, 0))) / square
        seen = (inside > 0) & (hit < depth)
        points = numpy.stack([x, y, numpy.ones_like(x)], -1) * hit[..., None]
        normal[seen] = ((points - centre) / radius)[seen]
        depth, colour[seen] = numpy.where(seen, hit, depth), tint
    ray = numpy.stack([x, y, numpy.ones_like(x)], -1)
    length = numpy.linalg.norm(ray, axis=-1)
    light = numpy.abs((normal * ray).sum(-1)) / length * numpy.minimum(1, 2 / (depth * length)) ** 2
    shown = colour * (0.15 + 0.85 * light[..., None])
    picture = Image.fromarray((255 * shown.clip(0, 1)).round().astype(numpy.uint8))
    return picture, torch.from_numpy(depth).float()


def learned(seeds: range, steps: int, side: int, batch: int) -> tuple[Any, list[float]]:
    """A model trained from scratch on some scenes, `batch` in every step, and its losses."""
    torch.manual_seed(0)
    model: Any = registry.build("depth_mnv3_small", overrides=SETTINGS)
    task = registry.default_registry().task(model.spec)
    scenes = [scene(seed, side) for seed in seeds]
    images = task.collate([task.preprocess(picture) for picture, _ in scenes])
    depths = task.collate_targets([depth for _, depth in scenes])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    losses = []
    for _ in range(steps):
        chosen = torch.randperm(len(seeds))[:batch]
        loss = sum(task.losses(model, images[chosen], depths[chosen], model.spec.head).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return model.eval(), losses


def measured(model: Any, seeds: range, side: int) -> dict[str, float]:
    task = registry.default_registry().task(model.spec)
    metric = task.metric(model.spec)
    for seed in seeds:
        picture, depth = scene(seed, side)
        with torch.inference_mode():
            output = model(task.collate([task.preprocess(picture)]))
        metric.update(task.postprocess(output, [tuple(depth.shape)]), task.collate_targets([depth]))
    figures: dict[str, float] = metric.compute()
    return figures


def test_the_depth_of_a_scene_is_that_of_its_surfaces() -> None:
    """Straight ahead stands the wall; the floor at the bottom edge is seen 45 degrees down, so about 1 m ahead."""
    picture, depth = scene(0, 64)
    assert picture.size == (64, 64)
    assert depth[0, 0].item() == pytest.approx(depth[0, -1].item())
    assert depth[-1, 0].item() == pytest.approx(1 / (1 - 1 / 64), rel=1e-6)
    assert 0.5 < depth.min() < depth.max() < 8


def error_of_the_best_constant(seeds: range, side: int) -> float:
    """The least `abs_rel` that one depth for every pixel has."""
    truth = torch.stack([scene(seed, side)[1] for seed in seeds])
    return min(((guess - truth).abs() / truth).mean().item() for guess in numpy.linspace(0.5, 8, 200))


def test_a_model_learns_a_few_scenes_by_heart() -> None:
    seeds, side = range(4), 64
    assert error_of_the_best_constant(seeds, side) > 0.4
    model, losses = learned(seeds, 90, side, batch=4)
    figures = measured(model, seeds, side)
    assert losses[-1] < losses[0] / 20
    assert figures["abs_rel"] < 0.15
    assert figures["delta1"] > 0.8


@pytest.mark.slow
def test_a_model_that_learned_some_scenes_knows_others() -> None:
    seen, unseen, side = range(64), range(1000, 1016), 64
    assert error_of_the_best_constant(unseen, side) > 0.4
    model, _ = learned(seen, 250, side, batch=8)
    figures = measured(model, unseen, side)
    assert figures["abs_rel"] < 0.2
    assert figures["delta1"] > 0.7
