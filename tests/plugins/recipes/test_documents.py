"""The recipes that are shipped: the article's exactly, and each of them fits the models it is for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from registry_recipes.optimizers import build_optimizer
from registry_recipes.specs import TrainingSpec

import registry
from registry.testing import conformance

test_conformance = conformance("recipes")

MODELS = {
    "imagenet_mnv3_rmsprop": ["mobilenet_v3_large", "mobilenet_v3_small"],
    "imagenet_mnv3_improved": ["mobilenet_v3_large"],
    "imagenet_mnv3_qat": ["mobilenet_v3_large"],
    "coco_detection_mnv3": ["fasterrcnn_mnv3_large_fpn", "fasterrcnn_mnv3_large_320_fpn"],
    "coco_segmentation_lraspp": ["lraspp_mnv3_large"],
    "coco_segmentation_deeplabv3": ["deeplabv3_mnv3_large"],
    "finetune_classification": ["mobilenet_v3_small", "resnet18"],
    "finetune_qat": ["mobilenet_v3_small", "resnet18"],
    "finetune_detection": ["fasterrcnn_mnv3_small_320_fpn", "ssdlite320_mnv3_large", "retinanet_resnet50_fpn"],
    "finetune_segmentation": ["lraspp_mnv3_small", "deeplabv3_mnv3_large", "fcn_mnv3_large"],
}

CLASSIFICATION = {
    "kind": "classification",
    "size": 224,
    "scale": (0.08, 1.0),
    "ratio": (0.75, 4 / 3),
    "interpolation": "bilinear",
    "flip": 0.5,
}
#: What torchvision's references were called with, and their defaults of those days; a batch is that of all eight processes.
PUBLISHED: dict[str, dict[str, Any]] = {
    "imagenet_mnv3_rmsprop": {
        "optimizer.kind": "rmsprop",
        "optimizer.eps": 0.0316,
        "optimizer.tf_eps": None,
        "optimizer.tensorflow": False,
        "optimizer.alpha": 0.9,
        "optimizer.momentum": 0.9,
        "optimizer.weight_decay": 0.00001,
        "optimizer.norm_weight_decay": None,
        "optimizer.bias_weight_decay": None,
        "rate": 0.064,
        "schedule": {"kind": "step", "every": 2, "factor": 0.973},
        "warmup": None,
        "rate_noise": None,
        "epochs": 600,
        "batch_size": 8 * 128,
        "label_smoothing": 0.0,
        "augmentation": {**CLASSIFICATION, "policy": {"kind": "autoaugment", "dataset": "imagenet"}, "erasing": 0.2},
        "ema": None,
        "averaging": {"which": "best", "count": 3},
        "validation_resize": 256,
        "validation_crop": 224,
        "precision": "fp32",
        "start": "random",
    },
    "imagenet_mnv3_qat": {
        "optimizer.kind": "sgd",
        "optimizer.momentum": 0.9,
        "optimizer.nesterov": False,
        "optimizer.weight_decay": 0.00001,
        "rate": 0.001,
        "schedule": {"kind": "step", "every": 30, "factor": 0.1},
        "epochs": 90,
        "batch_size": 8 * 32,
        "quantization_aware": {"observer_epochs": 4, "batch_norm_epochs": 3},
        "augmentation": {**CLASSIFICATION, "policy": None, "erasing": 0.0},
        "start": "weights",
    },
    "coco_detection_mnv3": {
        "optimizer.kind": "sgd",
        "optimizer.momentum": 0.9,
        "optimizer.weight_decay": 1e-4,
        "rate": 0.02,
        "schedule": {"kind": "multi_step", "epochs": (16, 22), "factor": 0.1},
        "warmup.kind": "linear",
        "warmup.start_factor": 1 / 1000,
        "warmup.steps": 1000,
        "warmup.within_first_epoch": True,
        "warmup.delays_schedule": False,
        "epochs": 26,
        "batch_size": 8 * 2,
        "aspect_ratio_groups": 3,
        "trainable_stages": 3,
        "augmentation.flip": 0.5,
        "augmentation.iou_crop": False,
        "start": "backbone_weights",
    },
    "coco_segmentation_lraspp": {
        "optimizer.kind": "sgd",
        "optimizer.momentum": 0.9,
        "optimizer.weight_decay": 1e-6,
        "rate": 0.01,
        "schedule": {"kind": "polynomial", "power": 0.9},
        "epochs": 30,
        "batch_size": 8 * 4,
        "drop_last": True,
        "sync_batch_norm": True,
        "augmentation": {"kind": "segmentation", "resize": (260, 1040), "flip": 0.5, "crop": 480},
        "validation_resize": 520,
        "start": "backbone_weights",
    },
}
PUBLISHED["coco_segmentation_deeplabv3"] = {**PUBLISHED["coco_segmentation_lraspp"], "auxiliary_rate": 10.0}


def spec_with(name: str, model: str | None = None) -> registry.specs.ModelSpec:
    """A model that names the recipe."""
    overrides = {"recipe": name}
    return registry.load_spec(model or MODELS[name][0], overrides=overrides)


def recipe_of(name: str) -> TrainingSpec:
    found = spec_with(name).recipe
    assert isinstance(found, TrainingSpec)
    return found


def test_every_document_is_tried_here() -> None:
    from pathlib import Path

    import registry_recipes

    folder = Path(str(registry_recipes.__file__)).parent / "catalog"
    assert {path.stem for path in folder.glob("*.yaml")} == set(MODELS)


@pytest.mark.parametrize(("name", "path"), [(name, path) for name, settings in PUBLISHED.items() for path in settings])
def test_the_articles_recipes_are_as_published(name: str, path: str) -> None:
    data: Any = recipe_of(name).model_dump()
    for key in path.split("."):
        data = data[key]
    assert data == PUBLISHED[name][path]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_rate_is_as_published_for_the_published_batch(name: str) -> None:
    made = recipe_of(name)
    assert made.rate_for(made.batch_size) == PUBLISHED[name]["rate"]
    assert made.rate_for(made.batch_size // 8) == pytest.approx(
        PUBLISHED[name]["rate"] / 8
    )  # on one of eight processes


def test_the_improved_recipe_adds_three_things() -> None:
    plain, improved = (recipe_of(f"imagenet_mnv3_{name}").model_dump() for name in ("rmsprop", "improved"))
    assert {key for key in plain if plain[key] != improved[key]} == {
        "label_smoothing",
        "stochastic_depth",
        "rate_noise",
    }


@pytest.mark.parametrize(("name", "model"), [(name, model) for name, models in MODELS.items() for model in models])
def test_a_recipe_fits_its_models_without_a_word(name: str, model: str) -> None:
    spec = spec_with(name, model)
    assert isinstance(spec.recipe, TrainingSpec)
    assert list(spec.recipe.check()) == []
    assert list(spec.recipe.check_model(spec)) == []


@pytest.mark.parametrize(("name", "model"), [(name, models[0]) for name, models in MODELS.items()])
def test_a_recipes_settings_reach_its_model(name: str, model: str) -> None:
    spec = spec_with(name, model)
    assert isinstance(spec.recipe, TrainingSpec)
    wanted = spec.recipe.model_overrides(spec)
    laid = registry.load_spec(spec, overrides=wanted)
    for place, value in wanted.items():
        found: Any = laid
        for key in place.split("."):
            found = getattr(found, key)
        assert found == value


def test_what_the_model_has_no_setting_for_is_left_out() -> None:
    made = recipe_of("imagenet_mnv3_improved")
    everything = {"backbone.stochastic_depth": 0.2, "task.preprocessing.resize": 256, "task.preprocessing.crop": 224}
    assert made.model_overrides() == everything
    without = {k: v for k, v in everything.items() if k != "backbone.stochastic_depth"}
    assert made.model_overrides(registry.load_spec("resnet18")) == without
    assert made.model_overrides(registry.load_spec("fasterrcnn_mnv3_large_fpn")) == {"backbone.stochastic_depth": 0.2}


@pytest.mark.parametrize("name", MODELS)
def test_its_optimizer_is_built_for_a_model_on_no_memory(name: str) -> None:
    model = registry.build(MODELS[name][0], device="meta")
    optimizer = build_optimizer(recipe_of(name), model, batch=recipe_of(name).batch_size)
    held = sum(len(group["params"]) for group in optimizer.param_groups)
    assert held == sum(parameter.requires_grad for parameter in model.parameters())


def test_the_deeplab_recipe_trains_the_auxiliary_head_at_ten_times_the_rate() -> None:
    model = registry.build("deeplabv3_mnv3_large", device="meta")
    optimizer = build_optimizer(recipe_of("coco_segmentation_deeplabv3"), model, batch=32)
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert rates == {"main": 0.01, "auxiliary_main": pytest.approx(0.1)}
    held = next(g["params"] for g in optimizer.param_groups if g["name"] == "auxiliary_main")
    auxiliary = model.get_submodule("aux_classifier")
    assert isinstance(auxiliary, torch.nn.Module)
    assert {id(p) for p in held} == {id(p) for p in auxiliary.parameters()}
