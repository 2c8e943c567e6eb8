"""Any MobileNetV3 spec that validates builds what it declares: feature maps, padding, stochastic depth and norms."""

from __future__ import annotations

import itertools
import json
import math
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_classification.specs import ClassificationSpec, MobileNetV3ClassifierSpec, PreprocessingSpec
from registry_mobilenet.specs import BlockSpec, MobileNetV3Spec, SqueezeExcitationSpec

import registry
from registry.specs import (
    BatchNormSpec,
    BudgetSpec,
    FeatureMap,
    FiguresSpec,
    FrozenBatchNormSpec,
    GroupNormSpec,
    ModelSpec,
    ReferenceSpec,
    WeightsSpec,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

ACTIVATIONS = st.sampled_from(["relu", "relu6", "hardswish", "silu"])
# channels and module of each level, from torchvision's source; its channel lists at three quarters of the width
LARGE_MODULES, SMALL_MODULES = (0, 2, 4, 7, 13, 16), (0, 1, 2, 4, 9, 12)
STRIDES = (2, 4, 8, 16, 32, 32)
LEVELS = {
    "mobilenet_v3_large": ((16, 24, 40, 80, 160, 960), LARGE_MODULES),
    "mobilenet_v3_large_075": ((16, 24, 32, 64, 120, 720), LARGE_MODULES),
    "mobilenet_v3_small": ((16, 16, 24, 40, 96, 576), SMALL_MODULES),
    "mobilenet_v3_small_075": ((16, 16, 24, 32, 72, 432), SMALL_MODULES),
}


# specs drawn at random, valid by construction


@st.composite
def backbones(draw: st.DrawFn) -> tuple[MobileNetV3Spec, int]:
    """A backbone with its own block table, and the stride its last map must have."""
    rows = draw(
        st.lists(
            st.builds(
                BlockSpec,
                kernel=st.sampled_from([1, 3, 5, 7, 9, 11]),
                expanded=st.integers(1, 160),
                out=st.integers(1, 80),
                se=st.booleans(),
                activation=ACTIVATIONS,
                stride=st.sampled_from([1, 2]),
                dilation=st.sampled_from([1, 1, 1, 2, 3]),
            ),
            min_size=1,
            max_size=7,
        )
    )
    # the stem halves the picture, and so does each row that steps and has no dilation of its own
    nominal = 2 * math.prod(row.stride for row in rows if row.dilation == 1)
    has_tail = any(row.stride == 2 for row in rows)
    limits = [limit for limit in (2, 4, 8, 16, 32, 64) if limit <= nominal]
    asked = draw(st.sampled_from([None, *limits]))
    dilated = asked is None and has_tail and nominal >= 4 and draw(st.booleans())
    spec = MobileNetV3Spec(
        in_channels=draw(st.integers(1, 6)),
        blocks=tuple(rows),
        width_mult=draw(st.floats(0.05, 2.0)),
        reduced_tail=has_tail and draw(st.booleans()),
        dilated=dilated,
        output_stride=asked,
        stem_channels=draw(st.integers(1, 40)),
        last_ratio=draw(st.integers(1, 8)),
        activation=draw(ACTIVATIONS),
        squeeze_excitation=draw(
            st.builds(
                SqueezeExcitationSpec,
                ratio=st.integers(1, 64),
                divisor=st.integers(1, 32),
                activation=st.sampled_from(["relu", "silu"]),
                gate=st.sampled_from(["hardsigmoid", "sigmoid"]),
            )
        ),
        norm=draw(norms()),
        padding=draw(st.sampled_from(["symmetric", "same"])),
        stochastic_depth=draw(st.floats(0, 0.9)),
    )
    return spec, asked or (nominal // 2 if dilated else nominal)


def norms() -> st.SearchStrategy[Any]:
    """Every kind of norm; 1, 2, 4 and 8 groups divide every channel count, which are multiples of 8."""
    epsilons = st.floats(1e-8, 1, exclude_min=True)
    return st.one_of(
        st.builds(BatchNormSpec, eps=epsilons, momentum=epsilons),
        st.builds(FrozenBatchNormSpec, eps=st.floats(0, 1)),
        st.builds(GroupNormSpec, groups=st.sampled_from([1, 2, 4, 8]), eps=epsilons),
    )


def with_backbone(backbone: MobileNetV3Spec) -> ModelSpec:
    update = {"backbone": backbone, "accepts": ("REG210",)}  # squeezed channels that are no multiple of 8
    return registry.load_spec("mobilenet_v3_small").model_copy(update=update)


def with_statistics(model: nn.Module) -> nn.Module:
    """Batch norms get factors of their own, and the statistics of a batch of noise so that values keep their size."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -0.2, 0.2)
        norm.momentum = None  # the plain average, of one batch
    with torch.no_grad():
        model.train()(torch.rand(8, 3, 48, 48))
    for norm in norms:
        norm.momentum = 0.01
    return model


# feature maps


def measured(spec: ModelSpec, height: int, width: int, device: str = "meta") -> dict[str, tuple[int, ...]]:
    """Shape of what each declared module yields, by the level's name."""
    model = registry.build(spec, device=device).eval()
    shapes: dict[str, tuple[int, ...]] = {}

    def watch(level: FeatureMap) -> None:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            shapes[level.name] = tuple(output.shape)

        model.get_submodule(level.module).register_forward_hook(keep)

    for level in spec.backbone.feature_maps():
        watch(level)
    with torch.no_grad():
        model(torch.zeros(2, spec.backbone.in_channels, height, width, device=device))
    return shapes


def declared(spec: ModelSpec, height: int, width: int) -> dict[str, tuple[int, ...]]:
    """The same by the spec alone; every step of 2 rounds up, so all of them together do."""
    return {
        level.name: (2, level.channels, math.ceil(height / level.stride), math.ceil(width / level.stride))
        for level in spec.backbone.feature_maps()
    }


@pytest.mark.parametrize("document", LEVELS)
def test_the_documents_declare_the_papers_levels(document: str) -> None:
    channels, modules = LEVELS[document]
    found = [(m.name, m.channels, m.stride, m.module) for m in registry.load_spec(document).backbone.feature_maps()]
    expected = zip(channels, STRIDES, modules, strict=True)
    assert found == [(f"c{i}", count, stride, f"features.{m}") for i, (count, stride, m) in enumerate(expected)]


@pytest.mark.parametrize("document", LEVELS)
@pytest.mark.parametrize(
    ("switches", "size"),
    [
        ({}, (224, 224)),
        ({"width_mult": 0.35, "reduced_tail": True}, (97, 131)),
        ({"dilated": True, "padding": "same"}, (64, 33)),
        ({"output_stride": 8}, (64, 40)),
        ({"output_stride": 2, "in_channels": 1, "padding": "same"}, (17, 31)),
        ({"reduced_tail": True}, (1, 1)),
    ],
    ids=str,
)
def test_the_documents_yield_the_maps_they_declare(
    document: str, switches: dict[str, Any], size: tuple[int, int]
) -> None:
    spec = registry.load_spec(document, overrides={f"backbone.{key}": value for key, value in switches.items()})
    assert measured(spec, *size) == declared(spec, *size)
    asked = switches.get("output_stride", 16 if "dilated" in switches else 32)
    assert spec.backbone.feature_maps()[-1].stride == asked


@given(
    drawn=backbones(),
    steps=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    odd=st.tuples(st.integers(1, 70), st.integers(1, 70)),
)
@settings(max_examples=40, deadline=None)
def test_any_valid_spec_yields_the_maps_it_declares(
    drawn: tuple[MobileNetV3Spec, int], steps: tuple[int, int], odd: tuple[int, int]
) -> None:
    backbone, last_stride = drawn
    spec = with_backbone(backbone)
    maps = backbone.feature_maps()
    assert maps[-1].stride == last_stride
    # the stem, each row that steps, and the last convolution
    assert len({level.name for level in maps}) == len(maps) == 2 + sum(row.stride == 2 for row in backbone.blocks)
    assert all(later.stride % earlier.stride == 0 for earlier, later in itertools.pairwise(maps))
    for size in ((steps[0] * last_stride, steps[1] * last_stride), odd):
        assert measured(spec, *size) == declared(spec, *size)


def dilations(spec: ModelSpec) -> list[tuple[int, int]]:
    """Stride and dilation of each block's depthwise convolution."""
    blocks = registry.build(spec, device="meta").features[1:-1]
    layers = [next(m for m in b.modules() if isinstance(m, torch.nn.Conv2d) and m.groups > 1) for b in blocks]
    return [(layer.stride[0], layer.dilation[0]) for layer in layers]


def test_each_stride_past_the_output_stride_doubles_the_dilation_from_its_block_on() -> None:
    spec = registry.load_spec("mobilenet_v3_large", overrides={"backbone.output_stride": 8})
    # rows 1 to 6 keep their strides; the stage of row 7 dilates by 2, that of row 13 by 4
    kept = [(1, 1), (2, 1), (1, 1), (2, 1), (1, 1), (1, 1)]
    assert dilations(spec) == kept + [(1, 2)] * 6 + [(1, 4)] * 3


def test_a_rows_own_dilation_takes_its_strides_place_and_multiplies_with_the_stages() -> None:
    def row(stride: int, dilation: int = 1) -> BlockSpec:
        return BlockSpec(kernel=3, expanded=32, out=16, activation="relu", stride=stride, dilation=dilation)

    blocks = (row(2), row(2, dilation=3), row(1), row(2), row(1, dilation=3), row(1))
    assert dilations(with_backbone(MobileNetV3Spec(blocks=blocks, output_stride=4))) == [
        (2, 1),
        (1, 3),
        (1, 1),
        (1, 2),
        (1, 6),
        (1, 2),
    ]


@given(drawn=backbones())
@settings(max_examples=15, deadline=None)
def test_any_valid_spec_computes_finite_logits_of_a_picture(drawn: tuple[MobileNetV3Spec, int]) -> None:
    backbone, _ = drawn
    model = registry.build(with_backbone(backbone), num_classes=3).eval()
    with torch.inference_mode():
        answer = model(torch.rand(2, backbone.in_channels, 19, 24))
    assert answer.shape == (2, 3)
    assert bool(answer.isfinite().all())


@given(drawn=backbones())
@settings(max_examples=25, deadline=None)
def test_squeezed_channels_are_a_multiple_of_the_divisor(drawn: tuple[MobileNetV3Spec, int]) -> None:
    backbone, _ = drawn
    model = registry.build(with_backbone(backbone), device="meta")
    gates = [module for module in model.modules() if type(module).__name__ == "SqueezeExcitation"]
    settings_of = backbone.squeeze_excitation
    assert len(gates) == sum(row.se for row in backbone.blocks)
    for gate in gates:
        wanted, got = gate.fc1.in_channels // settings_of.ratio, gate.fc1.out_channels
        assert got % settings_of.divisor == 0
        assert got >= 0.9 * wanted
        assert got == settings_of.divisor or abs(got - wanted) <= settings_of.divisor


# round trips


def _written_as_text(text: str) -> bool:
    """False where PyYAML, which writes YAML 1.1, leaves bare a text that is a number in YAML 1.2, such as 1e5 or 08."""
    return re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+", text) is None


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), max_size=40).filter(_written_as_text)
WORDS = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,20}", fullmatch=True)
POSITIVE = st.floats(1e-9, 1e12)


@st.composite
def models(draw: st.DrawFn) -> ModelSpec:
    """A classifier in which every field may be set."""
    classes = draw(st.integers(1, 6))
    channels = draw(st.sampled_from([1, 3]))
    names = st.lists(TEXTS, min_size=classes, max_size=classes).map(tuple)
    statistics = st.lists(st.floats(0.01, 2), min_size=channels, max_size=channels).map(tuple)
    sides = st.none() | st.integers(1, 8192)
    preprocessing = st.builds(
        PreprocessingSpec,
        resize=sides,
        crop=sides,
        interpolation=st.sampled_from(["bilinear", "bicubic", "nearest"]),
        antialias=st.booleans(),
        mean=statistics,
        std=statistics,
    )
    weights = draw(
        st.dictionaries(
            WORDS,
            st.builds(
                WeightsSpec,
                source=st.sampled_from(["./weights.pth", "hf://owner/repo/model.safetensors"])
                | WORDS.map("./{}".format),
                sha256=st.none() | st.from_regex(r"[a-f][0-9a-f]{7,63}", fullmatch=True),
                metrics=st.dictionaries(st.sampled_from(["acc@1", "acc@5", "mAP 50:95"]), st.floats(0, 100)),
                task=st.sampled_from([{}, {"preprocessing": {"resize": 232}}, {"top_k": 3, "categories": None}]),
                recipe=st.none() | TEXTS,
                license=st.none() | TEXTS,
            ),
            max_size=3,
        )
    )
    return ModelSpec(
        name=draw(WORDS),
        aliases=tuple(draw(st.lists(WORDS, max_size=2))),
        summary=draw(TEXTS),
        task=ClassificationSpec(
            categories=draw(st.none() | names), preprocessing=draw(preprocessing), top_k=draw(st.integers(1, 1000))
        ),
        backbone=draw(backbones())[0],
        head=MobileNetV3ClassifierSpec(
            num_classes=classes,
            hidden_channels=draw(st.integers(1, 2048)),
            dropout=draw(st.floats(0, 1, exclude_max=True)),
        ),
        weights=weights,
        accepts=("REG208", "REG210"),  # pictures smaller than the stride; squeezed channels that are no multiple of 8
        default_weights=draw(st.none() | st.sampled_from([*weights])) if weights else None,
        figures=draw(
            st.builds(
                FiguresSpec,
                parameters=st.none() | st.integers(0, 10**12),
                macs=st.none() | POSITIVE,
                source=st.none() | TEXTS,
            )
        ),
        budget=draw(st.builds(BudgetSpec, parameters=st.none() | POSITIVE, macs=st.none() | POSITIVE)),
        references=draw(
            st.lists(
                st.builds(ReferenceSpec, title=TEXTS.filter(bool), url=WORDS.map("https://{}".format)), max_size=2
            ).map(tuple)
        ),
    )


@given(spec=models())
@settings(max_examples=60, deadline=None)
def test_any_valid_model_survives_yaml_and_json(spec: ModelSpec) -> None:
    data = spec.model_dump(mode="json")
    texts = {
        "block.yaml": yaml.safe_dump(data, sort_keys=False, allow_unicode=True),
        "flow.yml": yaml.safe_dump(data, default_flow_style=True),
        "compact.json": spec.model_dump_json(),
        "indented.json": json.dumps(data, indent=2, ensure_ascii=False),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            path = Path(folder, name)
            path.write_text(text, encoding="utf-8", newline="")
            again = registry.load_spec(path)
            assert again == spec, name
            assert again.digest() == spec.digest(), name


@given(spec=models())
@settings(max_examples=20, deadline=None)
def test_any_valid_model_in_hand_resolves_to_itself(spec: ModelSpec) -> None:
    assert registry.load_spec(spec) == spec


@pytest.mark.parametrize("name", ["caf\u00e9", "\u9ce5 \U00020000", "\U0001f600 smile"], ids=ascii)
@pytest.mark.parametrize("route", ["in hand", "yaml", "json", "json in ascii"])
def test_class_names_of_any_script_survive(route: str, name: str, tmp_path: Path) -> None:
    base = registry.load_spec("mobilenet_v3_small", num_classes=1)
    spec = base.model_copy(update={"task": base.task.model_copy(update={"categories": (name,)})})
    data = spec.model_dump(mode="json")
    texts = {"yaml": yaml.safe_dump(data), "json": spec.model_dump_json(), "json in ascii": json.dumps(data)}
    if route == "in hand":
        again = registry.load_spec(spec)
    else:
        path = tmp_path / f"model.{route.split()[0]}"
        path.write_text(texts[route], encoding="utf-8")
        again = registry.load_spec(path)
    assert again.task.categories == (name,)


# padding


def padded_as_tensorflow(
    image: Any, weight: Any, stride: tuple[int, int], dilation: tuple[int, int], groups: int
) -> Any:
    """SAME padding by TensorFlow's formula, one output value after the other; (C, H, W) and (O, C / groups, kh, kw)."""
    outs, depth, *kernel = weight.shape
    sizes = image.shape[1:]
    steps = [math.ceil(size / step) for size, step in zip(sizes, stride, strict=True)]
    before = [
        max((count - 1) * step + (side - 1) * gap + 1 - size, 0) // 2
        for count, step, side, gap, size in zip(steps, stride, kernel, dilation, sizes, strict=True)
    ]
    result = np.zeros((outs, *steps))
    for channel, row, column in np.ndindex(outs, *steps):
        first = channel // (outs // groups) * depth
        for y, x in np.ndindex(*kernel):
            top = row * stride[0] - before[0] + y * dilation[0]
            left = column * stride[1] - before[1] + x * dilation[1]
            if 0 <= top < sizes[0] and 0 <= left < sizes[1]:
                seen = image[first : first + depth, top, left]
                result[channel, row, column] += float((seen * weight[channel, :, y, x]).sum())
    return result


@given(
    size=st.tuples(st.integers(1, 10), st.integers(1, 10)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    groups=st.sampled_from([1, 2]),
    bias=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_same_padding_is_tensorflows_for_any_size_kernel_stride_and_dilation(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    bias: bool,
) -> None:
    from registry_mobilenet.layers import Conv2dSame

    layer = Conv2dSame(2, 4, kernel, stride=stride, dilation=dilation, groups=groups, bias=bias).double()
    image = torch.rand(2, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = layer(image[None])[0].numpy()
    expected = padded_as_tensorflow(image.numpy(), layer.weight.detach().numpy(), stride, dilation, groups)
    if layer.bias is not None:
        expected += layer.bias.detach().numpy()[:, None, None]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_same_padding_of_an_even_picture_lies_right_and_below() -> None:
    from registry_mobilenet.layers import Conv2dSame

    layer = Conv2dSame(1, 1, 3, stride=2, bias=False)
    torch.nn.init.ones_(layer.weight)
    counted = layer(torch.ones(1, 1, 4, 4))  # each output counts the pixels that its window sees
    assert counted.tolist() == [[[[9, 6], [6, 4]]]]


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_and_symmetric_padding_agree_without_a_stride(kernel: int, dilation: int) -> None:
    from registry_mobilenet.layers import Conv2dSame

    same = Conv2dSame(4, 4, kernel, dilation=dilation, groups=4)
    symmetric = torch.nn.Conv2d(4, 4, kernel, padding=(kernel - 1) // 2 * dilation, dilation=dilation, groups=4)
    symmetric.load_state_dict(same.state_dict())
    for size in ((8, 8), (7, 12), (1, 3)):
        image = torch.rand(1, 4, *size)
        torch.testing.assert_close(same(image), symmetric(image), rtol=1e-5, atol=1e-6)


def test_same_and_symmetric_models_differ_only_where_a_stepping_layer_meets_an_even_size() -> None:
    same, symmetric = (
        registry.build(
            "mobilenet_v3_small", overrides={"backbone.padding": padding, "backbone.width_mult": 0.35}
        ).eval()
        for padding in ("same", "symmetric")
    )
    same.load_state_dict(with_statistics(symmetric).eval().state_dict(), strict=True)
    with torch.inference_mode():
        # these stay odd until the last step has been taken: 33, 17, 9, 5, 3 and 65, 33, 17, 9, 5
        odd = torch.rand(1, 3, 33, 65)
        expected = symmetric.features(odd)
        assert float(expected.std()) > 0.1
        torch.testing.assert_close(same.features(odd), expected, rtol=1e-3, atol=1e-4)
        even = torch.rand(1, 3, 32, 64)
        assert float((same.features(even) - symmetric.features(even)).abs().max()) > 0.1


# stochastic depth


def with_depth(stochastic_depth: float) -> nn.Module:
    torch.manual_seed(2)
    overrides = {"backbone.width_mult": 0.35, "backbone.stochastic_depth": stochastic_depth}
    return registry.build("mobilenet_v3_large", overrides=overrides)


def test_stochastic_depth_changes_no_parameter_and_nothing_in_eval() -> None:
    plain, deep = with_depth(0.0), with_depth(0.8)
    assert list(deep.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in deep.state_dict().items())
    image = torch.rand(2, 3, 33, 47)
    with torch.inference_mode():
        assert torch.equal(deep.eval()(image), plain.eval()(image))


def test_stochastic_depth_drops_whole_residual_branches_ever_more_often() -> None:
    stated, rows, batch = 0.6, 15, 400
    # rows of MobileNetV3-Large, counted from 0, that step by 1 and keep their channels
    residual = (0, 2, 4, 5, 7, 8, 9, 11, 13, 14)
    model = with_depth(stated).train()
    slopes = []
    for index in range(rows):
        block = model.features[index + 1]
        image = torch.rand(batch, next(block.parameters()).shape[0] if index == 0 else inputs_of(block), 3, 3)
        with torch.no_grad():
            branch = block.block(image)
            found = block(image)
        if index not in residual:
            assert torch.equal(found, branch), index
            continue
        kept = (found - image).flatten(1).abs().amax(1) > 0
        assert torch.equal(found[~kept], image[~kept]), index
        # survivors are scaled up, so that the expectation stays: (found - image) / branch is 1 / (1 - probability)
        scale = float(((found - image)[kept] * branch[kept]).sum() / (branch[kept] ** 2).sum())
        torch.testing.assert_close(found[kept], image[kept] + scale * branch[kept], rtol=1e-3, atol=1e-4)
        probability = 1 - 1 / scale
        deviation = math.sqrt(max(probability * (1 - probability), 0) / batch)
        assert float((~kept).float().mean()) == pytest.approx(probability, abs=5 * deviation + 1e-6), index
        if index == 0:
            assert probability == pytest.approx(0, abs=1e-5)
            assert bool(kept.all())
        else:
            slopes.append(probability / index)
    assert slopes == pytest.approx([slopes[0]] * len(slopes), rel=1e-3)
    assert stated / rows * 0.999 <= slopes[0] <= stated / (rows - 1) * 1.001


def inputs_of(block: nn.Module) -> int:
    return int(next(module for module in block.modules() if isinstance(module, torch.nn.Conv2d)).in_channels)


# norms


@pytest.mark.parametrize("eps", [0.001, 1e-5])
def test_frozen_batch_norm_is_batch_norm_in_eval(eps: float) -> None:
    settings_of = {"backbone.width_mult": 0.35}
    batch = with_statistics(
        registry.build("mobilenet_v3_small", overrides={**settings_of, "backbone.norm": {"kind": "batch", "eps": eps}})
    )
    frozen = registry.build(
        "mobilenet_v3_small", overrides={**settings_of, "backbone.norm": {"kind": "frozen_batch", "eps": eps}}
    )
    frozen.load_state_dict(batch.state_dict(), strict=True)
    image = torch.rand(2, 3, 40, 33)
    with torch.inference_mode():
        expected = batch.eval().features(image)
        assert float(expected.std()) > 0.1
        torch.testing.assert_close(frozen.eval().features(image), expected, rtol=1e-3, atol=1e-4)
        assert torch.equal(frozen.train().features(image), frozen.eval().features(image))
    affine = sum(module.weight.numel() * 2 for module in batch.modules() if isinstance(module, torch.nn.BatchNorm2d))
    assert trainable(frozen) == trainable(batch) - affine


def test_frozen_batch_norm_takes_weights_that_were_made_with_batch_norm(tmp_path: Path) -> None:
    batch = with_statistics(registry.build("mobilenet_v3_small", overrides={"backbone.width_mult": 0.35}))
    torch.save(batch.state_dict(), tmp_path / "weights.pth")
    overrides = {"backbone.width_mult": 0.35, "backbone.norm": {"kind": "frozen_batch", "eps": 0.001}}
    frozen = registry.build("mobilenet_v3_small", overrides=overrides, weights=tmp_path / "weights.pth")
    image = torch.rand(1, 3, 40, 33)
    with torch.inference_mode():
        expected = batch.eval().features(image)
        torch.testing.assert_close(frozen.eval().features(image), expected, rtol=1e-3, atol=1e-4)


def trainable(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("groups", [1, 4, 8])
def test_group_norm_builds_and_trains_on_one_small_picture(groups: int) -> None:
    overrides = {"backbone.width_mult": 0.35, "backbone.norm": {"kind": "group", "groups": groups}}
    model = registry.build("mobilenet_v3_small", overrides=overrides, num_classes=4)
    found = [module for module in model.modules() if isinstance(module, torch.nn.GroupNorm)]
    assert len(found) == 34  # as many as torchvision's small model has batch norms
    assert {module.num_groups for module in found} == {groups}
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    model(torch.rand(1, 3, 33, 33)).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_groups_that_do_not_divide_every_channel_count_are_refused() -> None:
    overrides = {"backbone.norm": {"kind": "group", "groups": 7}}
    with pytest.raises(registry.SpecError, match="7 groups"):
        registry.load_spec("mobilenet_v3_small", overrides=overrides)
