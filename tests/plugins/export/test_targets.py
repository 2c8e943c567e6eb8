"""Round trips: what a file answers, loaded again, against the model in eager."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from models import DETECTOR, lively, photo
from registry_export import flow
from registry_export.compare import distance
from registry_export.engines import EngineModule

import registry
from registry.errors import RegistryError
from registry.modules.split import SplitModule

#: Targets, each with its suffix and the package it needs.
TARGETS = [
    ("torch-export", ".pt2", "torch"),
    ("onnx", ".onnx", "onnxruntime"),
    ("openvino", ".xml", "openvino"),
    ("torchscript", ".ts", "torch"),
    pytest.param("executorch", ".pte", "executorch", marks=pytest.mark.slow),
]
#: Largest share by which float engines may differ from eager: sums of float32 in another order.
NEAR = 1e-4


def exported(model: Any, target: str, path: Path, photos: list[Path], *settings: str) -> flow.Exported:
    made = registry.default_registry()
    return flow.exported(made, model, flow.target_spec(made, target, settings), path, images=photos)


def inputs_of(model: Any, count: int) -> Any:
    task = registry.default_registry().task(model.spec)
    return task.collate([task.preprocess(photo(seed + 10, 160, 120)) for seed in range(count)])


@pytest.mark.parametrize(("target", "suffix", "package"), TARGETS)
def test_a_classifier_answers_the_same_for_any_batch(
    classifier: Any, written: Callable[[str], Any], target: str, suffix: str, package: str
) -> None:
    pytest.importorskip(package)
    done = written(target)
    assert done.path.suffix == suffix
    loaded = registry.default_registry().load_artefact(done.path)
    with torch.no_grad():
        for count in (1, 2, 3):
            images = inputs_of(classifier, count)
            found = loaded(images)
            assert found.shape == (count, 5)
            assert distance(classifier(images), found).share < NEAR
    told: Any = loaded.artefact
    assert told.target == target
    assert told.categories == ("ant", "bee", "cat", "dog", "elk")
    assert told.size == done.size == sum(file.stat().st_size for file in done.path.parent.iterdir())
    assert loaded.spec.digest() == classifier.spec.digest()
    assert not loaded.training
    with pytest.raises(registry.RegistryError, match="cannot be trained"):
        loaded.train()
    assert done.verification is not None
    assert done.verification.images == 2 + 3 * ("batch" in told.dynamic)
    assert done.verification.far.share < NEAR


@pytest.mark.parametrize(
    ("target", "suffix", "package"),
    [
        ("torch-export", ".pt2", "torch"),
        pytest.param("onnx", ".onnx", "onnxruntime", marks=pytest.mark.slow),
        pytest.param("openvino", ".xml", "openvino", marks=pytest.mark.slow),
        pytest.param("torchscript", ".ts", "torch", marks=pytest.mark.slow),
        pytest.param("executorch", ".pte", "executorch", marks=pytest.mark.slow),
    ],
)
def test_a_segmentation_model_takes_pictures_of_any_proportion(
    tmp_path: Path, photos: list[Path], target: str, suffix: str, package: str
) -> None:
    pytest.importorskip(package)
    model = lively("lraspp_mobilenet_v3_large", task__preprocessing__resize=96)
    done = exported(model, target, tmp_path / f"model{suffix}", photos)
    assert done.verification is not None
    assert done.verification.left_out == []
    assert done.verification.far.share < NEAR
    loaded = registry.default_registry().load_artefact(done.path)
    with torch.no_grad():
        images = inputs_of(model, 1)
        assert tuple(images.shape[-2:]) == (96, 128)
        assert distance(model(images), loaded(images)).share < NEAR


@pytest.mark.parametrize(
    ("target", "suffix", "package"),
    [
        pytest.param("torch-export", ".pt2", "torch", marks=pytest.mark.slow),
        ("onnx", ".onnx", "onnxruntime"),
        pytest.param("executorch", ".pte", "executorch", marks=pytest.mark.slow),
    ],
)
def test_a_detector_answers_the_same_with_no_and_with_one_detection_too(
    tmp_path: Path, photos: list[Path], target: str, suffix: str, package: str
) -> None:
    pytest.importorskip(package)
    model = lively(**DETECTOR)
    done = exported(model, target, tmp_path / f"model{suffix}", photos)
    found = done.verification
    assert found is not None
    assert set(found.cases) == {"none", "one"}
    assert found.far.agreement is not None
    assert found.far.agreement > 0.9
    loaded = registry.default_registry().load_artefact(done.path)
    assert isinstance(loaded, SplitModule if target != "onnx" else EngineModule)
    images = inputs_of(model, 2)
    outputs = loaded(images)
    assert [sorted(each) for each in outputs] == [["boxes", "labels", "scores"]] * 2


def test_parts_of_a_detector_give_what_the_whole_gives_bit_for_bit() -> None:
    for settings in (DETECTOR, {"name": "ssdlite320_mnv3_large"}):
        model = lively(**settings)
        images = inputs_of(model, 2)
        with torch.no_grad():
            for whole, part in zip(
                [model([image])[0] for image in images], SplitModule(model, {})(images), strict=True
            ):
                assert len(whole["boxes"]) > 10
                assert all(torch.equal(whole[key], part[key]) for key in whole)


def test_an_engine_module_pickles_with_its_file(classifier: Any, written: Callable[[str], Any]) -> None:
    pytest.importorskip("onnxruntime")
    loaded = registry.default_registry().load_artefact(written("onnx").path)
    again = pickle.loads(pickle.dumps(loaded))
    images = inputs_of(classifier, 2)
    assert torch.equal(again(images), loaded(images))
    assert again.artefact == loaded.artefact
    with pytest.raises(registry.RegistryError, match=r"the engine `onnx` fails on an input of \(1, 4, 64, 64\)"):
        again(torch.zeros(1, 4, 64, 64))


def test_a_file_of_an_engine_is_written_again_by_its_own_target_alone(
    written: Callable[[str], Any], tmp_path: Path, photos: list[Path]
) -> None:
    pytest.importorskip("onnxruntime")
    loaded = registry.default_registry().load_artefact(written("onnx").path)
    again = exported(loaded, "onnx", tmp_path / "b.onnx", photos)
    assert again.verification is not None
    assert again.verification.far.largest == 0
    with pytest.raises(registry.RegistryError, match="is a file of the engine `onnx` already"):
        exported(loaded, "torch-export", tmp_path / "c.pt2", photos)


def test_settings_of_onnx_are_followed(classifier: Any, tmp_path: Path, photos: list[Path]) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    settings = ("export.opset=17", "export.exporter=trace", "export.dynamic=[]")
    done = exported(classifier, "onnx", tmp_path / "model.onnx", photos, *settings)
    found = onnx.load(str(done.path))
    assert found.opset_import[0].version == 17
    assert [side.dim_value for side in found.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 64, 64]
    loaded = registry.default_registry().load_artefact(done.path)
    assert loaded(inputs_of(classifier, 3)).shape == (3, 5)  # one by one


def test_half_precision_halves_the_weights(written: Callable[[str], Any]) -> None:
    pytest.importorskip("openvino")
    files = [written(target).path.with_suffix(".bin") for target in ("openvino", "openvino_half")]
    sizes = [path.stat().st_size for path in files]
    assert sizes[1] < 0.55 * sizes[0]


def test_a_wrong_answer_is_told_with_the_numbers() -> None:
    first = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    far = distance(first, first + torch.tensor([[0.0, 0.0], [2.0, 0.0]]))
    assert (far.largest, far.share, far.agreeing, far.answers) == (2.0, 0.5, 1, 2)
    assert distance(first, first[:1]).share == float("inf")
    assert distance(torch.tensor([1.0]), torch.tensor([float("nan")])).share == float("inf")


def test_detections_are_matched_whatever_their_order() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 40.0, 40.0]])
    wanted = [{"boxes": boxes, "labels": torch.tensor([1, 2]), "scores": torch.tensor([0.8, 0.7])}]
    turned = [{key: value.flip(0) for key, value in wanted[0].items()}]
    assert distance(wanted, turned) == distance(wanted, wanted)
    assert distance(wanted, turned).agreement == 1
    moved = [{**wanted[0], "boxes": boxes + 0.5}]  # 9.5**2 / (200 - 9.5**2) = 0.82 of the first overlaps: another box
    far = distance(wanted, moved)
    assert (far.agreeing, far.answers, far.largest, far.share) == (1, 2, 0.5, 0.5 / 40)
    none = [{"boxes": boxes[:0], "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}]
    assert distance(none, none).agreement == 1
    assert distance(wanted, none).agreement == 0
    other = [{**wanted[0], "labels": torch.tensor([1, 3])}]
    assert distance(wanted, other).agreeing == 1


def test_parts_that_differ_are_found_where_no_picture_has_an_answer(tmp_path: Path, photos: list[Path]) -> None:
    from registry_export.verify import Verifier

    made = registry.default_registry()
    model = lively(**DETECTOR)
    path = exported(model, "torch-export", tmp_path / "model.pt2", photos).path
    loaded: Any = made.load_artefact(path)
    model.roi_heads.score_thresh = loaded.model.roi_heads.score_thresh = 2.0  # no score is that high
    task, inputs = made.task(model.spec), [("photo", inputs_of(model, 1)[0])]
    verifier = Verifier(flow.target_spec(made, "torch-export"), model, task)
    assert verifier.run(loaded, inputs, torch.zeros(3, 96, 96), lambda: loaded).cases == {"none": 2}
    right = loaded.replaced["dense"]

    class Doubled(torch.nn.Module):
        def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(2 * each for each in right(*given))

    loaded.replaced["dense"] = Doubled()
    with pytest.raises(RegistryError, match="on photo, in what the part `dense` gives"):
        Verifier(flow.target_spec(made, "torch-export"), model, task).run(
            loaded, inputs, torch.zeros(3, 96, 96), lambda: loaded
        )
