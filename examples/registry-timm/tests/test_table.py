"""The table says what timm says, and what timm's tensors show."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import timm
import torch

from registry_timm import table
from registry_timm.specs import TimmSpec
from registry_timm.tabulate import as_yaml, main, tabulate

_QUICK = ("mobilenetv4_conv_small", "ghostnet_100")


def _told(name: str, **settings: Any) -> list[tuple[int, int]]:
    with torch.device("meta"):
        features: Any = timm.create_model(name, features_only=True, pretrained=False, **settings)
    return list(zip(features.feature_info.channels(), features.feature_info.reduction(), strict=True))


@pytest.mark.parametrize("name", table.models())
def test_channels_and_strides_are_timms(name: str) -> None:
    """For every output stride that the table allows, channels and reductions of `feature_info`."""
    entry = table.find(name)
    assert entry is not None
    assert [(m.channels, m.stride) for m in TimmSpec(model=name).feature_maps()] == _told(name)
    for stride in entry.output_strides[:-1]:
        spec = TimmSpec.model_validate({"model": name, "output_stride": stride})
        assert [(m.channels, m.stride) for m in spec.feature_maps()] == _told(name, output_stride=stride)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in _QUICK else pytest.mark.slow) for name in table.models()]
)
def test_measured(name: str) -> None:
    """Every entry is what running the model finds out: modules, output strides, stochastic depth."""
    entry = table.find(name)
    assert entry is not None
    assert tabulate(name) == entry.model_dump(mode="json")


def test_every_shipped_backbone_is_in_the_table() -> None:
    """And the other way round."""
    import registry

    documents = registry.default_registry().library.catalog.documents
    names = {d.name for d in documents if d.kind == "backbone" and d.name.startswith("timm_")}
    assert names == {f"timm_{name}" for name in table.models()}


def test_refuses_what_cannot_be_a_backbone(capsys: pytest.CaptureFixture[str]) -> None:
    """Maps rounded down, models that are no chain, maps of another layout, and names that timm does not know."""
    assert main(["convnext_atto", "hrnet_w18_small", "swin_tiny_patch4_window7_224", "resnet1"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "error: the map `stages.0` of `convnext_atto` is 40x24x32 for 97x131 pixels, and not 40x25x33: "
        "maps must have H / stride rows and W / stride columns, rounded up",
        "error: timm runs `hrnet_w18_small` not as one module after the other (HighResolutionNetFeatures), "
        "so it cannot be cut at its feature maps; take a model that is a chain of stages",
        "error: timm yields the maps of `swin_tiny_patch4_window7_224` as NHWC, and heads take NCHW: (N, C, H, W)",
        f"error: timm {timm.__version__} has no model `resnet1`; did you mean `resnet18` or `resnet61q` or `resnet51q`?",
    ]


def test_prints_what_a_document_can_hold() -> None:
    """The output is the table's YAML, letter by letter."""
    entry = {"output_strides": [32], "drop_path": False, "maps": [{"name": "c2", "channels": 8, "module": "s1"}]}
    assert as_yaml("x_1", entry) == (
        "x_1:\n  output_strides: [32]\n  drop_path: false\n  maps:\n    - {name: c2, channels: 8, module: s1}\n"
    )


def test_usage() -> None:
    """Without names it says how it is called."""
    assert main([]) == 2


def test_specs_need_neither_torch_nor_timm() -> None:
    """A model of this plugin resolves and its maps are known with both hidden."""
    code = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'timm'): sys.modules[name] = None\n"
        "import registry\n"
        "spec = registry.load_spec('deeplabv3_mobilenetv4_conv_small')\n"
        "print(*(f'{m.name}:{m.channels}/{m.stride}' for m in spec.backbone.feature_maps()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "c1:32/2 c2:32/4 c3:64/8 c4:96/16 c5:960/16\n"
