"""Building with weights: what fits is loaded whole, what does not is refused whole, and checkpoints come back as they were."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.models import mobilenet_v3_small

import registry
from registry.specs import WeightsSpec

NAME = "mobilenet_v3_small"
NARROW = {"backbone.width_mult": 0.35}


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """State dict of torchvision's narrow MobileNetV3-Small with 1000 classes."""
    torch.manual_seed(5)
    return mobilenet_v3_small(width_mult=0.35).state_dict()


@pytest.fixture(scope="module")
def file(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That state dict as a `.pth` file."""
    path = tmp_path_factory.mktemp("weights") / "narrow.pth"
    torch.save(state, path)
    return path


def _build(**settings: Any) -> torch.nn.Module:
    return registry.build(NAME, overrides=NARROW, **settings)


def _refused(**settings: Any) -> str:
    with pytest.raises(registry.WeightsError) as caught:
        _build(**settings)
    return str(caught.value)


def test_a_file_becomes_the_parameters(file: Path, state: dict[str, torch.Tensor]) -> None:
    built = _build(weights=file)
    assert all(torch.equal(value, state[key]) for key, value in built.state_dict().items())
    assert all(parameter.requires_grad and not parameter.is_meta for parameter in built.parameters())


def test_half_precision_weights_become_float32(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    halved = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    save_file(halved, tmp_path / "half.safetensors")
    built = _build(weights=tmp_path / "half.safetensors").state_dict()
    assert {value.dtype for value in built.values()} == {torch.float32, torch.int64}
    assert torch.equal(built["classifier.3.weight"], halved["classifier.3.weight"].float())


def test_training_on_loaded_weights_leaves_the_file_alone(file: Path) -> None:
    before = file.read_bytes()
    built = _build(weights=file)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(1)
    assert file.read_bytes() == before
    assert not torch.equal(_build(weights=file).classifier[3].bias, built.classifier[3].bias)


def test_missing_and_unexpected_keys_are_listed(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(
        {**{k: v for k, v in state.items() if k != "classifier.0.bias"}, "extra": torch.ones(1)}, tmp_path / "w.pth"
    )
    assert _refused(weights=tmp_path / "w.pth") == (
        "w.pth: the weights do not fit the model, nothing was loaded; 1 missing: classifier.0.bias; 1 unexpected: extra; "
        "they belong to another architecture or other settings of it"
    )


def test_tensors_of_another_width_are_refused(file: Path) -> None:
    with pytest.raises(registry.WeightsError) as caught:
        registry.build(NAME, weights=file, num_classes=1000)
    text = str(caught.value)
    assert text.startswith("narrow.pth: the weights do not fit the model, nothing was loaded; ")
    assert "features.0.0.weight (8, 3, 3, 3) instead of (16, 3, 3, 3)" in text


def test_another_class_count_is_refused_unless_it_was_asked_for(file: Path) -> None:
    settings = {"head.num_classes": 7, "task.categories": None, **NARROW}
    with pytest.raises(registry.WeightsError) as caught:
        registry.build(NAME, weights=file, overrides=settings)
    assert str(caught.value) == (
        "narrow.pth: the weights tell 1000 classes apart, the model 7; nothing was loaded; "
        "pass num_classes=1000 to use them as they are, or num_classes=7 to start with a new classifier"
    )


def test_another_class_count_keeps_the_backbone_and_says_that_the_classifier_is_new(
    file: Path, state: dict[str, torch.Tensor]
) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with pytest.warns(registry.RegistryWarning) as caught:
        built = _build(weights=file, num_classes=7)
    assert [str(warning.message) for warning in caught] == [
        "narrow.pth has 1000 classes, the model 7: the classifier is new and untrained "
        "(classifier.3.weight, classifier.3.bias)"
    ]
    assert torch.equal(torch.get_rng_state(), before)
    values = built.state_dict()
    new = {"classifier.3.weight", "classifier.3.bias"}
    assert all(torch.equal(values[key], state[key]) for key in values if key not in new)
    # torchvision initialises a classifier from N(0, 0.01) with zero bias
    assert values["classifier.3.weight"].std().item() == pytest.approx(0.01, rel=0.1)
    assert torch.equal(values["classifier.3.bias"], torch.zeros(7))


def test_another_channel_count_needs_a_rule(file: Path) -> None:
    assert _refused(weights=file, in_channels=1) == (
        "narrow.pth: the weights take 3 input channels, the model 1; nothing was loaded; "
        'pass adapt_input="sum" (grey copied into every channel gives the same answer), "mean" or "random"'
    )


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_sum_answers_grey_in_every_channel_as_before(file: Path, channels: int) -> None:
    grey = torch.rand(2, 1, 32, 32)
    three = _build(weights=file).eval()(grey.expand(-1, 3, -1, -1))
    adapted = _build(weights=file, in_channels=channels, adapt_input="sum").eval()(grey.expand(-1, channels, -1, -1))
    torch.testing.assert_close(adapted, three, rtol=1e-4, atol=1e-5)


def test_mean_gives_each_channel_the_mean_kernel(file: Path, state: dict[str, torch.Tensor]) -> None:
    built = _build(weights=file, in_channels=5, adapt_input="mean").state_dict()
    mean = state["features.0.0.weight"].mean(1, keepdim=True).expand(-1, 5, -1, -1)
    torch.testing.assert_close(built["features.0.0.weight"], mean)


def test_random_starts_the_first_layer_anew_and_keeps_the_rest(file: Path, state: dict[str, torch.Tensor]) -> None:
    built = _build(weights=file, in_channels=4, adapt_input="random").state_dict()
    assert built["features.0.0.weight"].shape == (8, 4, 3, 3)
    assert all(torch.equal(built[key], state[key]) for key in built if key != "features.0.0.weight")


def test_a_wrong_digest_is_refused_before_reading(file: Path) -> None:
    actual = hashlib.sha256(file.read_bytes()).hexdigest()
    _build(weights=file, sha256=actual)
    _build(weights=WeightsSpec(source=str(file), sha256=actual[:8]))
    assert "expected one that starts with 00000000" in _refused(weights=file, sha256="00000000")


def test_unknown_weights_name_the_known_ones() -> None:
    text = _refused(weights="IMAGENET1K_V3")
    assert text.startswith("`mobilenet_v3_small` has no weights called `IMAGENET1K_V3`; did you mean `IMAGENET1K_V1`?")


def test_weights_with_a_relative_path_belong_to_the_folder_of_their_document(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "w.pth").write_bytes(file.read_bytes())
    (tmp_path / "specs" / "m.yaml").write_text(
        "kind: model\nname: mine\nextends: mobilenet_v3_small\nbackbone: {width_mult: 0.35}\n"
        "weights:\n  ours: {source: ./w.pth}\ndefault_weights: ours\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    registry.build("specs/m.yaml", weights="default")


def test_a_checkpoint_comes_back_equal_and_says_what_it_is(file: Path, tmp_path: Path) -> None:
    built = _build(weights=file)
    path = registry.save(built, tmp_path / "run.safetensors")
    again = registry.build(path)
    assert again.spec == built.spec
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), built.state_dict().values(), strict=True))
    assert registry.load_spec(path).digest() == built.spec.digest()  # type: ignore[operator,union-attr]
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])["__metadata__"]
    assert json.loads(header["plugins"]) == {"vision-registry": registry.__version__}
    assert json.loads(header["spec"])["backbone"]["width_mult"] == 0.35


def test_a_checkpoint_whose_spec_was_altered_is_refused(file: Path, tmp_path: Path) -> None:
    path = registry.save(_build(weights=file), tmp_path / "run.safetensors")
    path.write_bytes(path.read_bytes().replace(b"width_mult", b"width_mulT"))
    with pytest.raises(registry.WeightsError) as caught:
        registry.build(path)
    assert str(caught.value) == ("run.safetensors: the spec in its metadata was altered or damaged; use a good copy")


def test_plain_weights_given_as_a_checkpoint_say_how_to_use_them(
    state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    save_file(state, tmp_path / "plain.safetensors")
    with pytest.raises(registry.WeightsError) as caught:
        registry.build(tmp_path / "plain.safetensors")
    assert str(caught.value).startswith("plain.safetensors holds tensors but no spec; name the model and give the file")


def test_saving_leaves_no_half_written_file(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = _build(weights=file)
    with pytest.raises(registry.WeightsError, match="cannot be written: No such file or directory"):
        registry.save(built, tmp_path / "no" / "run.safetensors")

    path = registry.save(built, tmp_path / "run.safetensors")
    good = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(registry.WeightsError, match="cannot be written: No space left on device"):
        registry.save(built, path)
    assert path.read_bytes() == good
    assert os.listdir(tmp_path) == ["run.safetensors"]
    assert load_file(path).keys() == built.state_dict().keys()


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu7", "`gpu7` is not a device; write for instance `cpu`, `cuda` or `cuda:1`"),
        pytest.param(
            "cuda", None, marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has such a device")
        ),
    ],
)
def test_a_device_that_is_not_there_is_a_clear_error(device: str, message: str | None) -> None:
    with pytest.raises(registry.RegistryError) as caught:
        _build(device=device)
    assert str(caught.value) == message or str(caught.value).startswith("the device `cuda` cannot be used: ")


def test_the_meta_device_gives_shapes_without_memory_and_takes_no_weights(file: Path) -> None:
    built = _build(device="meta")
    assert all(parameter.is_meta for parameter in built.parameters())
    assert _refused(device="meta", weights=file) == "weights cannot be loaded on the meta device, which has no memory"


@pytest.mark.parametrize("name", ["caf\u00e9", "\U0001f600", "a\u007fb", "a\u0085b", "\u65e5\u672c"])
def test_class_names_of_any_characters_survive_a_checkpoint(name: str, tmp_path: Path) -> None:
    built = _build(num_classes=2)
    spec = registry.load_spec(NAME, overrides={**NARROW, "task.categories": ["plain", name]}, num_classes=2)
    built.spec = spec  # type: ignore[assignment]
    path = registry.save(built, tmp_path / "run.safetensors")
    assert registry.load_spec(path).task.categories == ("plain", name)
    assert registry.load_spec(spec) == spec
