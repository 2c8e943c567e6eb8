"""Whatever a ResNet or MobileNetV2 spec declares is what its modules yield: maps, strides, stages and norms."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
from registry_baselines.specs import MobileNetV2Spec, ResNetSpec, RowSpec

import registry
from registry.specs import BatchNormSpec, FrozenBatchNormSpec, GroupNormSpec, ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

NAMES = ("resnet18", "resnet50", "mobilenet_v2")
# name, channels, stride and module of each map; from torchvision's source
MAPS = {
    "resnet18": [
        ("c1", 64, 2, "relu"),
        ("c2", 64, 4, "layer1"),
        ("c3", 128, 8, "layer2"),
        ("c4", 256, 16, "layer3"),
        ("c5", 512, 32, "layer4"),
    ],
    "resnet50": [
        ("c1", 64, 2, "relu"),
        ("c2", 256, 4, "layer1"),
        ("c3", 512, 8, "layer2"),
        ("c4", 1024, 16, "layer3"),
        ("c5", 2048, 32, "layer4"),
    ],
    "mobilenet_v2": [
        ("c0", 32, 2, "features.0"),
        ("c1", 24, 4, "features.2"),
        ("c2", 32, 8, "features.4"),
        ("c3", 64, 16, "features.7"),
        ("c4", 160, 32, "features.14"),
        ("c5", 1280, 32, "features.18"),
    ],
}
INNER = [
    ("c1_expansion", 96, 2, "features.2.conv.0"),
    ("c2_expansion", 144, 4, "features.4.conv.0"),
    ("c3_expansion", 192, 8, "features.7.conv.0"),
    ("c4_expansion", 576, 16, "features.14.conv.0"),
]
# what torchvision's ResNet takes for each output stride
REPLACED = {8: [False, True, True], 16: [False, False, True]}


def theirs(name: str, **settings: Any) -> nn.Module:
    model: nn.Module = getattr(torchvision.models, name)(**settings)
    return model


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(11)) * 4 - 2


def yields(model: nn.Module, modules: list[str], image: Tensor) -> dict[str, Tensor]:
    """What some modules of a model yield for an image, as copies."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            found[name] = output.clone()

        return hook

    handles = [model.get_submodule(name).register_forward_hook(keep(name)) for name in modules]
    with torch.no_grad():
        model.eval()(image)
    for handle in handles:
        handle.remove()
    return found


def assert_declared_is_measured(spec: ModelSpec, height: int, width: int) -> None:
    maps = (*spec.backbone.feature_maps(), *spec.backbone.inner_maps())
    model = registry.build(spec, device="meta")
    image = torch.empty(1, spec.backbone.in_channels, height, width, device="meta")
    measured = yields(model, [m.module for m in maps], image)
    for m in maps:
        rows, columns = -(-height // m.stride), -(-width // m.stride)
        assert tuple(measured[m.module].shape) == (1, m.channels, rows, columns), m.name


def with_backbone(backbone: Any, base: str = "resnet18") -> ModelSpec:
    update = {"backbone": backbone, "accepts": ("REG210",)}  # channels that are no multiple of 8
    return registry.load_spec(base, num_classes=5).model_copy(update=update)


# feature maps


@pytest.mark.parametrize("name", NAMES)
def test_the_declared_maps_are_torchvisions(name: str) -> None:
    backbone = registry.load_spec(name).backbone
    assert [(m.name, m.channels, m.stride, m.module) for m in backbone.feature_maps()] == MAPS[name]
    inner = [(m.name, m.channels, m.stride, m.module) for m in backbone.inner_maps()]
    assert inner == (INNER if name == "mobilenet_v2" else [])


def test_mobilenet_v2s_maps_stand_where_torchvision_marks_its_blocks() -> None:
    with torch.device("meta"):
        features = theirs("mobilenet_v2").features
    marked = [index for index, block in enumerate(features) if getattr(block, "_is_cn", False)]
    stages = [0, *marked, len(features) - 1]
    assert [m[3] for m in MAPS["mobilenet_v2"]] == [f"features.{index}" for index in stages]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stride", [None, 32, 16, 8])
@pytest.mark.parametrize("size", [(224, 224), (65, 97), (17, 31), (1, 1)], ids=str)
def test_declared_maps_equal_measured_ones(name: str, stride: int | None, size: tuple[int, int]) -> None:
    spec = registry.load_spec(name, overrides={"backbone.output_stride": stride})
    assert spec.backbone.feature_maps()[-1].stride == (stride or 32)
    assert_declared_is_measured(spec, *size)


@pytest.mark.parametrize(
    "backbone",
    [
        ResNetSpec(block="basic", layers=(1,), stem_channels=8),
        ResNetSpec(block="bottleneck", layers=(1, 2), stem_channels=5, in_channels=1),
        ResNetSpec(block="basic", layers=(1, 1, 1, 1, 1), stem_channels=4, output_stride=16),
        ResNetSpec(block="bottleneck", layers=(2, 1, 2), stem_channels=8, norm=GroupNormSpec(groups=4)),
        ResNetSpec(block="basic", layers=(1, 2), stem_channels=8, norm=FrozenBatchNormSpec(eps=0.0)),
        MobileNetV2Spec(blocks=(RowSpec(expand_ratio=1, out=8),), last_channels=20),
        MobileNetV2Spec(blocks=(RowSpec(expand_ratio=2.5, out=12, repeats=3),) * 2, in_channels=4, width_mult=0.3),
        MobileNetV2Spec(
            blocks=tuple(RowSpec(expand_ratio=2, out=8, repeats=2, stride=2) for _ in range(5)), output_stride=16
        ),
        MobileNetV2Spec(blocks=(RowSpec(expand_ratio=1, out=16, stride=2),), norm=GroupNormSpec(groups=8)),
    ],
    ids=lambda spec: spec.type,
)
def test_any_table_yields_what_it_declares(backbone: ResNetSpec | MobileNetV2Spec) -> None:
    spec = with_backbone(backbone)
    assert [finding for finding in spec.check() if finding.severity == "error"] == []
    assert_declared_is_measured(spec, 70, 45)


@pytest.mark.parametrize("width", [0.35, 0.75, 1.4])
def test_mobilenet_v2s_maps_at_other_widths_have_torchvisions_channels(width: float) -> None:
    with torch.device("meta"):
        model = theirs("mobilenet_v2", width_mult=width)
        measured = yields(model, [m[3] for m in MAPS["mobilenet_v2"]], torch.empty(1, 3, 64, 64))
    maps = registry.load_spec("mobilenet_v2", overrides={"backbone.width_mult": width}).backbone.feature_maps()
    assert [m.channels for m in maps] == [tensor.shape[1] for tensor in measured.values()]


# output strides


@pytest.mark.parametrize("stride", [8, 16])
def test_dilated_resnet50_is_bit_equal_to_torchvisions(stride: int) -> None:
    expected = theirs("resnet50", replace_stride_with_dilation=REPLACED[stride])
    found = registry.build("resnet50", overrides={"backbone.output_stride": stride}, device="meta")
    found.load_state_dict(expected.state_dict(), strict=True, assign=True)
    modules = [m[3] for m in MAPS["resnet50"]]
    image = noise(1, 3, 65, 49)
    left, right = yields(found, modules, image), yields(expected, modules, image)
    for name in modules:
        assert torch.equal(left[name], right[name]), name


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("stride", [8, 16])
def test_a_dilated_resnet_computes_the_strided_ones_values_and_those_between(block: str, stride: int) -> None:
    """The algorithme à trous: a dilated network holds, at every second step, what the strided one yields."""
    layers = {"block": block, "layers": (1, 2, 2, 2), "stem_channels": 8}
    strided = registry.build(with_backbone(ResNetSpec(**layers))).double()
    dilated = registry.build(with_backbone(ResNetSpec(**layers, output_stride=stride))).double()
    dilated.load_state_dict(strided.state_dict(), strict=True)
    image = noise(1, 3, 96, 128).double()
    (coarse,), (fine,) = (yields(model, ["layer4"], image).values() for model in (strided, dilated))
    step = 32 // stride
    assert fine.shape[2:] == (96 // stride, 128 // stride)
    torch.testing.assert_close(fine[:, :, ::step, ::step], coarse)


@pytest.mark.parametrize(
    ("stride", "opened", "dilations"),
    [
        (16, [14], {14: 2, 15: 2, 16: 2, 17: 2}),
        (8, [7, 14], {**dict.fromkeys(range(7, 14), 2), 14: 4, 15: 4, 16: 4, 17: 4}),
    ],
)
def test_dilated_mobilenet_v2_is_torchvisions_with_its_depthwise_kernels_spread(
    stride: int, opened: list[int], dilations: dict[int, int]
) -> None:
    expected = theirs("mobilenet_v2")
    for index, dilation in dilations.items():
        depthwise = expected.features[index].conv[1][0]
        depthwise.dilation = depthwise.padding = (dilation, dilation)
        if index in opened:
            depthwise.stride = (1, 1)
    found = registry.build("mobilenet_v2", overrides={"backbone.output_stride": stride})
    found.load_state_dict(expected.state_dict(), strict=True)
    image = noise(1, 3, 65, 49)
    with torch.no_grad():
        assert torch.equal(found.eval()(image), expected.eval()(image))


def test_where_dilation_takes_the_place_of_a_stride_no_residual_is_added() -> None:
    """torchvision decides by the table, as it also does in its dilated MobileNetV3."""
    rows = [(1, 32, 1, 1), (2, 32, 2, 2), (2, 32, 1, 2), (2, 32, 2, 2)]
    expected = theirs("mobilenet_v2", inverted_residual_setting=[list(row) for row in rows], num_classes=5)
    for index, stride in ((5, (1, 1)), (6, (1, 1))):
        depthwise = expected.features[index].conv[1][0]
        depthwise.stride, depthwise.dilation, depthwise.padding = stride, (2, 2), (2, 2)
    assert [block.use_res_connect for block in expected.features[1:7]] == [True, False, True, False, False, True]
    table = tuple(RowSpec(expand_ratio=t, out=c, repeats=n, stride=s) for t, c, n, s in rows)
    backbone = MobileNetV2Spec(blocks=table, output_stride=8)
    found = registry.build(with_backbone(backbone, "mobilenet_v2"))
    found.load_state_dict(expected.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(found.eval()(noise(1, 3, 65, 49)), expected.eval()(noise(1, 3, 65, 49)))


# stages


def trainable(model: nn.Module, prefix: str = "") -> list[str]:
    named = model.named_parameters()
    return [n.removeprefix(prefix) for n, p in named if p.requires_grad and n.startswith(prefix)]


def built_with_stages(name: str, stages: int, last: int) -> nn.Module:
    overrides = {"backbone.trainable_stages": stages, "backbone.freeze": "always"}
    if stages == last:
        return registry.build(name, overrides=overrides, device="meta")
    with pytest.warns(registry.RegistryWarning, match=f"the first {last - stages} of the backbone's {last} stages"):
        return registry.build(name, overrides=overrides, device="meta")


@pytest.mark.parametrize("stages", range(6))
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_resnets_trainable_stages_are_torchvisions(name: str, stages: int) -> None:
    from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor

    with torch.device("meta"):
        body = _resnet_fpn_extractor(theirs(name), stages).body
    found = trainable(built_with_stages(name, stages, 5))
    assert [key for key in found if not key.startswith("fc.")] == trainable(body)
    assert ("conv1.weight" in found, "bn1.weight" in found) == ((stages == 5,) * 2)


@pytest.mark.parametrize("stages", range(7))
def test_mobilenet_v2s_trainable_stages_are_torchvisions(stages: int) -> None:
    from torchvision.models.detection.backbone_utils import _mobilenet_extractor

    with torch.device("meta"):
        whole = theirs("mobilenet_v2")
        _mobilenet_extractor(whole, fpn=True, trainable_layers=stages)
    assert trainable(built_with_stages("mobilenet_v2", stages, 6)) == trainable(whole)


# parts that fit together


@pytest.mark.parametrize("head", ["resnet_classifier", "mobilenet_v2_classifier", "mobilenet_v3_classifier"])
@pytest.mark.parametrize("name", [*NAMES, "mobilenet_v3_small"])
def test_every_classifier_stands_on_every_backbone(name: str, head: str) -> None:
    donor = {
        "resnet_classifier": "resnet18",
        "mobilenet_v2_classifier": "mobilenet_v2",
        "mobilenet_v3_classifier": "mobilenet_v3_small",
    }[head]
    spec = registry.load_spec(donor, num_classes=6, in_channels=1)
    backbone = registry.load_spec(name, in_channels=1).backbone
    model = registry.build(spec.model_copy(update={"backbone": backbone}), device="meta")
    assert model(torch.empty(2, 1, 64, 64, device="meta")).shape == (2, 6)


def test_mobilenet_v3s_classifier_keeps_its_hidden_width_on_a_resnet() -> None:
    spec = registry.load_spec("mobilenet_v3_large")
    narrow = registry.load_spec("mobilenet_v2", overrides={"backbone.width_mult": 0.5}).backbone
    for backbone, features in ((registry.load_spec("resnet50").backbone, 2048), (narrow, 1280)):
        model = registry.build(spec.model_copy(update={"backbone": backbone}), device="meta")
        assert tuple(model.get_submodule("classifier.0").weight.shape) == (1280, features)


@pytest.mark.parametrize(
    ("name", "detector"), [("mobilenet_v2", "ssdlite320_mnv3_large"), ("resnet18", "fasterrcnn_resnet50_fpn")]
)
def test_detectors_stand_on_these_backbones(name: str, detector: str) -> None:
    backbone = registry.load_spec(name).backbone
    small = {"head.image": {"min_size": 64, "max_size": 96}, "head.box": {"batch_size_per_image": 16}}
    overrides = {} if detector.startswith("ssd") else small
    spec = registry.load_spec(detector, overrides=overrides).model_copy(update={"backbone": backbone})
    assert list(spec.check()) == []
    model = registry.build(spec)
    boxes, labels = torch.tensor([[4.0, 6.0, 40.0, 50.0]]), torch.tensor([1])
    losses = model([noise(3, 64, 80).clamp(0, 1)] * 2, [{"boxes": boxes, "labels": labels}] * 2)
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in model.get_submodule("backbone").parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_norm_goes_to_every_convolution(name: str) -> None:
    from torchvision.ops import FrozenBatchNorm2d

    frozen = registry.build(name, overrides={"backbone.norm": {"kind": "frozen_batch", "eps": 0.25}}, device="meta")
    norms = [module for module in frozen.modules() if isinstance(module, FrozenBatchNorm2d)]
    convolutions = [module for module in frozen.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(norms) == len(convolutions)
    assert {norm.eps for norm in norms} == {0.25}
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in frozen.modules())


@pytest.mark.parametrize("name", NAMES)
def test_the_usual_norm_is_torchs_own(name: str) -> None:
    assert registry.load_spec(name).backbone.norm == BatchNormSpec(eps=1e-5, momentum=0.1)


def test_a_group_norm_is_initialised_and_trains() -> None:
    spec = with_backbone(ResNetSpec(block="basic", layers=(1, 1), stem_channels=8, norm=GroupNormSpec(groups=4)))
    model = registry.build(spec)
    model(noise(1, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    "backbone",
    [
        ResNetSpec(block="basic", layers=(2, 1), stem_channels=8),
        ResNetSpec(block="bottleneck", layers=(2, 1), stem_channels=8),
        MobileNetV2Spec(blocks=(RowSpec(expand_ratio=2, out=32, repeats=2), RowSpec(expand_ratio=2, out=8, stride=2))),
    ],
    ids=lambda spec: spec.type,
)
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_a_scripted_model_computes_the_same(backbone: ResNetSpec | MobileNetV2Spec) -> None:
    model = registry.build(with_backbone(backbone)).eval()
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(model)(noise(1, 3, 32, 32)), model(noise(1, 3, 32, 32)))


# contradictions


@pytest.mark.parametrize(
    ("backbone", "path", "message"),
    [
        (ResNetSpec(layers=(1, 1, 1), output_stride=32), ("output_stride",), "multiply to 16"),
        (ResNetSpec(layers=(1,), output_stride=8), ("output_stride",), "multiply to 4"),
        (ResNetSpec(stem_channels=12, norm=GroupNormSpec(groups=8)), ("norm", "groups"), "12 channels do not divide"),
        (
            MobileNetV2Spec(blocks=(RowSpec(expand_ratio=1, out=8, stride=2),), output_stride=8),
            ("output_stride",),
            "multiply to 4",
        ),
        (
            MobileNetV2Spec(blocks=(RowSpec(expand_ratio=1, out=8),), norm=GroupNormSpec(groups=16)),
            ("norm", "groups"),
            "8 channels do not divide",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_found(
    backbone: ResNetSpec | MobileNetV2Spec, path: tuple[str, ...], message: str
) -> None:
    (finding,) = backbone.check()
    assert (finding.rule, finding.path, finding.severity) == ("REG201", path, "error")
    assert message in finding.message
    assert finding.suggestion is not None


@pytest.mark.parametrize("name", NAMES)
def test_the_documents_have_no_findings(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(registry.load_spec(name).check()) == []
