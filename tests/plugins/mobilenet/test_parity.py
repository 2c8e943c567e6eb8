"""MobileNetV3 classifiers are torchvision's: structure, initialisation, arithmetic, figures and pre-processing."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import registry

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor, nn

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.25, 1.5)
DOCUMENTS = {
    "mobilenet_v3_large": ("large", 1.0),
    "mobilenet_v3_large_075": ("large", 0.75),
    "mobilenet_v3_small": ("small", 1.0),
    "mobilenet_v3_small_075": ("small", 0.75),
}
# (size, width) to parameters with 1000 classes: the full network's, and with a reduced tail
PARAMETERS = {
    ("large", 0.35): (997_064, 491_320),
    ("large", 0.5): (1_734_576, 842_224),
    ("large", 0.75): (3_377_576, 1_620_728),
    ("large", 1.0): (5_483_032, 2_569_352),
    ("large", 1.25): (8_164_744, 3_844_568),
    ("large", 1.5): (11_317_208, 5_276_296),
    ("small", 0.35): (558_744, 262_608),
    ("small", 0.5): (917_264, 426_080),
    ("small", 0.75): (1_653_920, 752_848),
    ("small", 1.0): (2_542_856, 1_099_672),
    ("small", 1.25): (3_644_912, 1_567_008),
    ("small", 1.5): (4_897_936, 2_055_792),
}
# (size, width) to stem, channels after each block, channels inside each block, last convolution, hidden layer
CHANNELS: dict[tuple[str, float], tuple[int, list[int], list[int], int, int]] = {
    ("large", 0.75): (
        16,
        [16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 88, 88, 120, 120, 120],
        [16, 48, 56, 56, 88, 88, 184, 152, 136, 136, 360, 504, 504, 720, 720],
        720,
        960,
    ),
    ("large", 0.5): (
        8,
        [8, 16, 16, 24, 24, 24, 40, 40, 40, 40, 56, 56, 80, 80, 80],
        [8, 32, 40, 40, 64, 64, 120, 104, 96, 96, 240, 336, 336, 480, 480],
        480,
        640,
    ),
    ("small", 0.75): (
        16,
        [16, 24, 24, 32, 32, 32, 40, 40, 72, 72, 72],
        [16, 56, 64, 72, 184, 184, 88, 112, 216, 432, 432],
        432,
        768,
    ),
    ("small", 0.5): (
        8,
        [8, 16, 16, 24, 24, 24, 24, 24, 48, 48, 48],
        [8, 40, 48, 48, 120, 120, 64, 72, 144, 288, 288],
        288,
        512,
    ),
}
# weights to accuracies, the shorter side after resizing, and the first digits of the file's SHA-256
PUBLISHED = {
    ("mobilenet_v3_large", "IMAGENET1K_V1"): (74.042, 91.340, 256, "8738ca79"),
    ("mobilenet_v3_large", "IMAGENET1K_V2"): (75.274, 92.566, 232, "5c1a4163"),
    ("mobilenet_v3_small", "IMAGENET1K_V1"): (67.668, 87.402, 256, "047dcff4"),
}
ENUMS = {"mobilenet_v3_large": "MobileNet_V3_Large_Weights", "mobilenet_v3_small": "MobileNet_V3_Small_Weights"}


@dataclass(frozen=True)
class Setting:
    """One configuration that both implementations can build."""

    size: str
    width: float = 1.0
    tail: bool = False
    dilated: bool = False
    classes: int = 1000

    def __str__(self) -> str:
        switches = [name for name, on in (("tail", self.tail), ("dilated", self.dilated)) if on]
        return "-".join(
            [self.size, f"{self.width:g}", *switches, *([str(self.classes)] if self.classes != 1000 else [])]
        )

    @property
    def name(self) -> str:
        return f"mobilenet_v3_{self.size}"

    @property
    def overrides(self) -> dict[str, Any]:
        switches = {"width_mult": self.width, "reduced_tail": self.tail, "dilated": self.dilated}
        return {f"backbone.{key}": value for key, value in switches.items()}


def ours(setting: Setting, **options: Any) -> nn.Module:
    options.setdefault("num_classes", setting.classes)
    return registry.build(setting.name, overrides=setting.overrides, **options)


def theirs(setting: Setting) -> nn.Module:
    return getattr(torchvision.models, setting.name)(
        width_mult=setting.width, reduced_tail=setting.tail, dilated=setting.dilated, num_classes=setting.classes
    )


def theirs_on_meta(setting: Setting) -> nn.Module:
    with torch.device("meta"):
        return theirs(setting)


def layout(model: nn.Module) -> list[tuple[str, list[int]]]:
    return [(key, list(tensor.shape)) for key, tensor in model.state_dict().items()]


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def spread_statistics(model: nn.Module) -> None:
    """Batch norms get factors of their own, and the statistics of a batch of noise so that values keep their size."""
    generator = torch.Generator().manual_seed(5)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.data.uniform_(0.5, 1.5, generator=generator)
        norm.bias.data.uniform_(-0.2, 0.2, generator=generator)
        norm.momentum = None  # the plain average, of one batch
    with torch.no_grad():
        model.train()(picture_batch(4, 3, 32, 32))
    for norm in norms:
        norm.momentum = 0.01


def assert_same_state(found: nn.Module, expected: nn.Module) -> None:
    left, right = found.state_dict(), expected.state_dict()
    assert list(left) == list(right)
    for key, tensor in right.items():
        assert left[key].dtype == tensor.dtype, key
        assert torch.equal(left[key], tensor), key


def pair_of(setting: Setting) -> tuple[nn.Module, nn.Module]:
    """Both implementations with the same state, far from a fresh one."""
    expected = theirs(setting)
    spread_statistics(expected)
    found = ours(setting)
    found.load_state_dict(expected.state_dict(), strict=True)
    return found, expected


def picture_batch(*shape: int, seed: int = 11) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 4 - 2


def all_settings(widths: tuple[float, ...]) -> list[Setting]:
    return [
        Setting(size, width, tail, dilated)
        for size, width, tail, dilated in itertools.product(("large", "small"), widths, (False, True), (False, True))
    ]


CLASS_COUNTS = [Setting(size, 0.35, classes=classes) for size in ("large", "small") for classes in (1, 10)]
COMPUTED = [*all_settings((0.35, 1.0)), Setting("large", 0.75), Setting("small", 0.75, tail=True), *CLASS_COUNTS]
every_setting = pytest.mark.parametrize("setting", COMPUTED, ids=str)


# structure


@pytest.mark.parametrize(
    ("setting", "keys", "fingerprint"),
    [
        (Setting("large"), 312, "dd96ce54857dc547"),
        (Setting("small"), 244, "201d5f5fea280e26"),
        (Setting("large", tail=True), 312, "ffb88d99d867cab7"),
    ],
    ids=str,
)
def test_the_state_dict_has_the_recorded_fingerprint(setting: Setting, keys: int, fingerprint: str) -> None:
    found = layout(ours(setting, device="meta"))
    assert len(found) == keys
    assert hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16] == fingerprint


@pytest.mark.parametrize("setting", [*all_settings(WIDTHS), *CLASS_COUNTS], ids=str)
def test_the_state_dict_has_torchvisions_keys_shapes_and_order(setting: Setting) -> None:
    assert layout(ours(setting, device="meta")) == layout(theirs_on_meta(setting))


@pytest.mark.parametrize(("size", "width"), PARAMETERS)
def test_parameters_are_counted_as_published_for_every_width_and_tail(size: str, width: float) -> None:
    counted = tuple(count(ours(Setting(size, width, tail), device="meta")) for tail in (False, True))
    assert counted == PARAMETERS[size, width]


@pytest.mark.parametrize(("size", "features", "ten"), [("large", 2_971_952, 4_214_842), ("small", 927_008, 1_528_106)])
def test_features_and_ten_classes_have_the_recorded_parameters(size: str, features: int, ten: int) -> None:
    model = ours(Setting(size, classes=10), device="meta")
    assert count(model.features) == features
    assert count(model) == ten


@pytest.mark.parametrize("size", ["large", "small"])
def test_dilation_changes_no_parameter(size: str) -> None:
    assert layout(ours(Setting(size, dilated=True), device="meta")) == layout(ours(Setting(size), device="meta"))


@pytest.mark.parametrize(("size", "width"), CHANNELS)
def test_channels_at_partial_widths_are_the_recorded_ones(size: str, width: float) -> None:
    stem, outs, expanded, last, hidden = CHANNELS[size, width]
    model = ours(Setting(size, width), device="meta")
    blocks = model.features[1:-1]
    depthwise = [next(c for c in convolutions(block) if c.groups > 1) for block in blocks]
    assert model.features[0][0].out_channels == stem
    assert [convolutions(block)[-1].out_channels for block in blocks] == outs
    assert [layer.out_channels for layer in depthwise] == expanded
    assert model.features[-1][0].out_channels == last
    assert model.classifier[0].out_features == hidden


def convolutions(module: nn.Module) -> list[Any]:
    return [child for child in module.modules() if isinstance(child, torch.nn.Conv2d)]


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        ("large", {"Conv2d": 62, "BatchNorm2d": 46, "Hardswish": 21, "ReLU": 19, "SqueezeExcitation": 8}),
        ("small", {"Conv2d": 52, "BatchNorm2d": 34, "Hardswish": 19, "ReLU": 14, "SqueezeExcitation": 9}),
    ],
)
def test_layers_are_as_many_as_torchvisions(size: str, counts: dict[str, int]) -> None:
    kinds = [type(module).__name__ for module in ours(Setting(size), device="meta").modules()]
    assert {kind: kinds.count(kind) for kind in counts} == counts


@pytest.mark.parametrize("size", ["large", "small"])
def test_batch_norm_has_the_papers_epsilon_and_momentum(size: str) -> None:
    norms = [m for m in ours(Setting(size), device="meta").modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(0.001, 0.01)}


def test_the_classifier_is_linear_hardswish_dropout_linear_at_indices_0_to_3() -> None:
    classifier = ours(Setting("large", classes=7), device="meta").classifier
    assert [type(layer).__name__ for layer in classifier] == ["Linear", "Hardswish", "Dropout", "Linear"]
    assert (classifier[0].in_features, classifier[0].out_features) == (960, 1280)
    assert (classifier[2].p, classifier[3].out_features) == (0.2, 7)


def test_the_first_squeeze_of_small_is_raised_to_the_divisor() -> None:
    squeeze = ours(Setting("small"), device="meta").features[1].block[1]
    assert squeeze.fc1.weight.shape == (8, 16, 1, 1)  # a quarter of 16 would be 4
    assert squeeze.fc2.bias is not None


def test_a_reduced_tail_is_halved_before_the_width_is_applied() -> None:
    last = ours(Setting("large", 0.35, tail=True), device="meta").features[-1][0]
    assert (last.in_channels, last.out_channels) == (
        32,
        192,
    )  # half of the full network's 56 and 336 would be 28 and 168


def test_the_last_convolution_is_six_times_the_last_block_not_a_scaled_960() -> None:
    last = ours(Setting("large", 0.75, tail=True), device="meta").features[-1][0]
    assert (last.in_channels, last.out_channels) == (64, 384)  # 960 / 2 * 0.75 would be 360


def test_a_block_that_would_not_expand_has_no_expansion() -> None:
    for size, index in (("large", 1), ("small", 1)):
        first = convolutions(ours(Setting(size), device="meta").features[index])[0]
        assert first.groups == 16  # depthwise at once


@pytest.mark.parametrize(("size", "tail_start"), [("large", 13), ("small", 9)])
def test_dilation_takes_the_place_of_the_last_stride(size: str, tail_start: int) -> None:
    def geometry(dilated: bool) -> list[tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]:
        features = ours(Setting(size, dilated=dilated), device="meta").features
        layers = [next(c for c in convolutions(block) if c.groups > 1) for block in features[tail_start:-1]]
        return [(layer.stride, layer.dilation, layer.padding) for layer in layers]

    assert geometry(dilated=False) == [((2, 2), (1, 1), (2, 2)), ((1, 1), (1, 1), (2, 2)), ((1, 1), (1, 1), (2, 2))]
    assert geometry(dilated=True) == [((1, 1), (2, 2), (4, 4))] * 3


@pytest.mark.parametrize(("size", "opens"), [("large", (0, 2, 4, 7, 13, 16)), ("small", (0, 1, 2, 4, 9, 12))])
def test_dilation_moves_no_stage_and_halves_the_stride_of_the_last_two(size: str, opens: tuple[int, ...]) -> None:
    plain, dilated = (
        registry.load_spec(f"mobilenet_v3_{size}", overrides={"backbone.dilated": on}).backbone.feature_maps()
        for on in (False, True)
    )
    expected_modules = [f"features.{index}" for index in opens]
    assert [level.module for level in plain] == expected_modules
    assert [level.module for level in dilated] == expected_modules
    assert [level.stride for level in plain] == [2, 4, 8, 16, 32, 32]
    assert [level.stride for level in dilated] == [2, 4, 8, 16, 16, 16]


def test_the_dilated_block_that_opens_the_last_stage_has_no_residual() -> None:
    # Small with a reduced tail: 48 channels in and out and, once dilated, no step; the table's stride still rules
    block = ours(Setting("small", tail=True, dilated=True)).eval().features[9]
    image = picture_batch(1, 48, 5, 5)
    with torch.inference_mode():
        assert torch.equal(block(image), block.block(image))


@pytest.mark.parametrize(
    ("setting", "more"),
    [
        *[(setting, {}) for setting in all_settings((0.75,))],
        (Setting("small"), {"backbone.padding": "same"}),
        (Setting("large", tail=True), {"backbone.padding": "same", "backbone.stochastic_depth": 0.2}),
        (Setting("small"), {"backbone.norm": {"kind": "group", "groups": 8}}),
        (Setting("small"), {"backbone.norm": {"kind": "frozen_batch"}}),
        (Setting("small"), {"backbone.squeeze_excitation": {"activation": "silu", "gate": "sigmoid"}}),
        (Setting("small"), {"backbone.in_channels": 1}),
    ],
    ids=str,
)
def test_no_layer_comes_from_torchvisions_models(setting: Setting, more: dict[str, Any]) -> None:
    model = registry.build(setting.name, overrides={**setting.overrides, **more}, device="meta")
    for name, module in model.named_modules():
        bases = [base for base in type(module).__mro__ if base.__module__.startswith("torchvision.models")]
        assert not bases, name


# initialisation


@every_setting
def test_the_same_seed_gives_torchvisions_parameters_and_leaves_its_random_state(setting: Setting) -> None:
    torch.manual_seed(3)
    expected = theirs(setting)
    state = torch.get_rng_state()
    torch.manual_seed(3)
    found = ours(setting)
    assert torch.equal(torch.get_rng_state(), state)
    assert_same_state(found, expected)
    assert found.training
    assert expected.training


def test_another_seed_gives_other_parameters() -> None:
    setting = Setting("small", 0.35)
    torch.manual_seed(3)
    first = ours(setting)
    second = ours(setting)
    assert not torch.equal(first.features[0][0].weight, second.features[0][0].weight)


def write_weights(model: nn.Module, path: Path) -> Path:
    if path.suffix == ".safetensors":
        pytest.importorskip("safetensors.torch").save_file(model.state_dict(), path)
    else:
        torch.save(model.state_dict(), path)
    return path


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("setting", [Setting("large", 0.35, tail=True), Setting("small", 0.35, dilated=True)], ids=str)
def test_weights_from_a_file_are_taken_and_draw_no_random_number(setting: Setting, name: str, tmp_path: Path) -> None:
    expected = theirs(setting)
    spread_statistics(expected)
    path = write_weights(expected, tmp_path / name)
    state = torch.get_rng_state()
    found = ours(setting, weights=path)
    assert torch.equal(torch.get_rng_state(), state)
    assert_same_state(found, expected)
    assert found.training
    assert all(parameter.requires_grad for parameter in found.parameters())


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_new_classifier_keeps_the_backbone_and_the_random_state(name: str, tmp_path: Path) -> None:
    setting = Setting("small", 0.35, classes=20)
    expected = theirs(setting)
    spread_statistics(expected)
    path = write_weights(expected, tmp_path / name)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    with pytest.warns(registry.RegistryWarning, match="new and untrained"):
        found = ours(setting, weights=path, num_classes=7)
    assert torch.equal(torch.get_rng_state(), state)
    assert_same_state(found.features, expected.features)
    assert torch.equal(found.classifier[0].weight, expected.classifier[0].weight)
    last = found.classifier[3]
    assert last.weight.shape == (7, expected.classifier[0].out_features)
    assert 0.008 < float(last.weight.detach().std()) < 0.012  # normal of deviation 0.01, over 2,500 values
    assert not last.bias.any()


def test_a_new_classifier_follows_the_seed(tmp_path: Path) -> None:
    setting = Setting("small", 0.35, classes=20)
    path = write_weights(theirs(setting), tmp_path / "weights.pth")
    weights = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        with pytest.warns(registry.RegistryWarning, match="new and untrained"):
            weights.append(ours(setting, weights=path, num_classes=7).classifier[3].weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_meta_device_draws_no_random_number_and_holds_no_memory() -> None:
    state = torch.get_rng_state()
    model = ours(Setting("small"), device="meta")
    assert torch.equal(torch.get_rng_state(), state)
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}


# arithmetic


@every_setting
def test_outputs_in_eval_are_bit_equal_to_torchvisions(setting: Setting) -> None:
    found, expected = (model.eval() for model in pair_of(setting))
    with torch.inference_mode():
        for size in ((33, 47), (1, 1), (17, 31), (64, 32)):
            image = picture_batch(2, 3, *size)
            answer = found(image)
            assert answer.shape == (2, setting.classes)
            assert torch.equal(answer, expected(image)), size
    # the last pictures' answers depend on the pictures, so that equality means something
    assert float((answer[0] - answer[1]).abs().max()) > 0.01 * float(answer.abs().max())


@every_setting
def test_outputs_and_statistics_in_training_are_bit_equal_to_torchvisions(setting: Setting) -> None:
    found, expected = pair_of(setting)
    before = expected.features[0][1].running_mean.clone()
    for step, size in enumerate(((33, 47), (64, 40))):
        image = picture_batch(2, 3, *size)
        answers = []
        for model in (found, expected):
            torch.manual_seed(step)
            answers.append(model(image))
        assert torch.equal(*answers), size
    assert_same_state(found, expected)
    assert not torch.equal(expected.features[0][1].running_mean, before)


def test_dropout_is_drawn_anew_in_training() -> None:
    model = ours(Setting("small", 0.35))
    image = picture_batch(2, 3, 33, 47)
    assert not torch.equal(model(image), model(image))


@pytest.mark.parametrize("setting", [Setting("small", 0.35, classes=10), Setting("large", 0.35, dilated=True)], ids=str)
def test_gradients_are_bit_equal_to_torchvisions(setting: Setting) -> None:
    models = pair_of(setting)
    for model in models:
        torch.manual_seed(0)
        torch.nn.functional.cross_entropy(model(picture_batch(2, 3, 40, 33)), torch.tensor([3, 7])).backward()
    found, expected = (dict(model.named_parameters()) for model in models)
    assert list(found) == list(expected)
    for key, parameter in expected.items():
        assert torch.equal(found[key].grad, parameter.grad), key
    # a tensor ahead of a rectifier that stays at zero has no gradient; most do
    assert sum(bool(parameter.grad.any()) for parameter in expected.values()) > 0.9 * len(expected)


@pytest.mark.parametrize("setting", all_settings((0.35,)), ids=str)
def test_state_dicts_load_strictly_both_ways(setting: Setting) -> None:
    found, expected = ours(setting), theirs(setting)
    into_ours = ours(setting)
    into_ours.load_state_dict(expected.state_dict(), strict=True)
    assert_same_state(into_ours, expected)
    into_theirs = theirs(setting)
    into_theirs.load_state_dict(found.state_dict(), strict=True)
    assert_same_state(into_theirs, found)


def test_real_weights_give_torchvisions_logits_on_a_real_picture(shared_data: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    load_file = pytest.importorskip("safetensors.torch").load_file
    path = next((shared_data / "weights_mbv3_small_torchvision").glob("*.safetensors"))
    expected = theirs(Setting("small"))
    expected.load_state_dict(
        {key: value.to(expected.state_dict()[key].dtype) for key, value in load_file(path).items()}
    )
    found = ours(Setting("small"), weights=path)
    assert_same_state(found, expected)
    picture = pil.open(shared_data / "caltech101_imagenet" / "images" / "accordion_image_0017.jpg").convert("RGB")
    image = torchvision.models.MobileNet_V3_Small_Weights.IMAGENET1K_V1.transforms()(picture)[None]
    with torch.inference_mode():
        answer = found.eval()(image)
        assert torch.equal(answer, expected.eval()(image))
    assert int(answer.argmax()) == 401  # ImageNet's accordion


# what torch does to modules


@pytest.fixture(scope="module")
def small() -> nn.Module:
    model = ours(Setting("small", 0.35, tail=True, classes=10))
    spread_statistics(model)
    return model.eval()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_a_scripted_model_gives_equal_outputs(padding: str) -> None:
    overrides = {"backbone.width_mult": 0.35, "backbone.reduced_tail": True, "backbone.padding": padding}
    model = registry.build("mobilenet_v3_small", overrides=overrides, num_classes=10).eval()
    scripted = torch.jit.script(model)
    with torch.inference_mode():
        for size in ((33, 47), (32, 40)):
            assert torch.equal(scripted(picture_batch(1, 3, *size)), model(picture_batch(1, 3, *size)))


def test_an_exported_model_gives_equal_outputs(small: nn.Module) -> None:
    image = picture_batch(1, 3, 33, 47)
    exported = torch.export.export(small, (image,)).module()
    with torch.inference_mode():
        assert torch.equal(exported(image), small(image))


@pytest.mark.parametrize(
    "remake", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"]
)
def test_a_copy_gives_equal_outputs_and_keeps_the_spec(small: nn.Module, remake: Any) -> None:
    image = picture_batch(1, 3, 33, 47)
    again = remake(small)
    assert again is not small
    assert again.spec == small.spec
    assert again.spec.backbone.width_mult == 0.35
    assert not again.training
    assert_same_state(again, small)
    with torch.inference_mode():
        assert torch.equal(again(image), small(image))
    again.features[0][0].weight.data.zero_()
    assert small.features[0][0].weight.any()


# published figures, weights, pre-processing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_documents_figures_are_torchvisions(document: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    def measure(model: nn.Module) -> float:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.eval()(torch.empty(1, 3, 224, 224, device="meta"))
        return counter.get_total_flops() / 2

    reference = theirs_on_meta(Setting(*DOCUMENTS[document]))
    spec = registry.load_spec(document)
    macs = measure(reference)
    assert spec.figures.parameters == count(reference) == PARAMETERS[DOCUMENTS[document]][0]
    assert spec.figures.macs == pytest.approx(macs, rel=0.01)
    assert measure(registry.build(document, device="meta")) == macs


@pytest.mark.parametrize("document", ENUMS)
def test_the_catalog_lists_every_weights_entry_of_torchvision(document: str) -> None:
    spec = registry.load_spec(document)
    enum = getattr(torchvision.models, ENUMS[document])
    assert set(spec.weights) == set(enum.__members__) - {"DEFAULT"}
    assert spec.default_weights == enum.DEFAULT.name


@pytest.mark.parametrize(("document", "entry"), PUBLISHED)
def test_each_weights_entry_says_what_torchvision_publishes(document: str, entry: str) -> None:
    top1, top5, resize, digits = PUBLISHED[document, entry]
    spec = registry.load_spec(document, weights=entry)
    weights = spec.weights[entry]
    assert weights.source == f"torchvision:{ENUMS[document]}.{entry}"
    published = torchvision.models.get_weight(weights.source.partition(":")[2])
    assert weights.metrics == {"acc@1": top1, "acc@5": top5}
    assert weights.metrics == published.meta["_metrics"]["ImageNet-1K"]
    assert weights.sha256 == digits
    assert published.url.endswith(f"-{digits}.pth")
    assert weights.recipe == published.meta["recipe"]
    assert spec.figures.parameters == published.meta["num_params"]
    transforms, preprocessing = published.transforms(), spec.task.preprocessing
    assert [preprocessing.resize] == transforms.resize_size == [resize]
    assert [preprocessing.crop] == transforms.crop_size == [224]
    assert (list(preprocessing.mean), list(preprocessing.std)) == (transforms.mean, transforms.std)
    assert preprocessing.interpolation == transforms.interpolation.value
    assert preprocessing.antialias == transforms.antialias


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_class_names_are_torchvisions(document: str) -> None:
    names = registry.default_registry().categories(registry.load_spec(document).task)
    assert names is not None
    assert list(names) == torchvision.models.MobileNet_V3_Large_Weights.IMAGENET1K_V1.meta["categories"]


def pictures() -> dict[str, Image]:
    image = pytest.importorskip("PIL.Image")
    data = pytest.importorskip("skimage.data")
    chelsea, coffee = image.fromarray(data.chelsea()), image.fromarray(data.coffee())
    return {
        "landscape": chelsea,
        "coffee": coffee,
        "portrait": coffee.transpose(image.Transpose.ROTATE_90),
        "odd and small": chelsea.crop((100, 60, 153, 97)),
        "narrow": chelsea.crop((100, 0, 117, 300)),
        "one pixel": chelsea.crop((100, 60, 101, 61)),
    }


@pytest.mark.parametrize(("document", "entry"), PUBLISHED)
def test_preprocessing_is_bit_equal_to_torchvisions(document: str, entry: str) -> None:
    transforms = getattr(torchvision.models, ENUMS[document])[entry].transforms()
    task = registry.default_registry().task(registry.load_spec(document, weights=entry))
    for name, picture in pictures().items():
        image = task.preprocess(picture)
        assert image.shape == (3, 224, 224), name
        assert image.dtype == torch.float32, name
        assert torch.equal(image, transforms(picture)), name
