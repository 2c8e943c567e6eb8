"""What is said about specs that are wrong, before and while they are built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm

import registry
from registry.errors import RegistryError
from registry_timm.backbone import build
from registry_timm.specs import TimmSpec

_C2 = {"name": "c2", "channels": 24, "stride": 4, "module": "blocks_1"}
_C5 = {"name": "c5", "channels": 320, "stride": 32, "module": "blocks_6"}


def _findings(**settings: Any) -> list[tuple[str, str | None]]:
    return [(f.message, f.suggestion) for f in TimmSpec.model_validate(settings).check()]


@pytest.mark.parametrize(
    ("settings", "message", "suggestion"),
    [
        (
            {"model": "mnasnet_100"},
            "the feature maps of `mnasnet_100` are not in this plugin's table",
            "declare them: maps: [{name: c2, channels: 24, stride: 4, module: blocks_1}, ...], "
            "as `python -m registry_timm.tabulate mnasnet_100` prints them",
        ),
        (
            {"model": "mobilenetv4_conv_smal"},
            "the feature maps of `mobilenetv4_conv_smal` are not in this plugin's table",
            "did you mean `mobilenetv4_conv_small`? Else declare them: maps: "
            "[{name: c2, channels: 24, stride: 4, module: blocks_1}, ...], "
            "as `python -m registry_timm.tabulate mobilenetv4_conv_smal` prints them",
        ),
        (
            {"model": "resnet18", "out_indices": [1, 5]},
            "there is no map 5: the model has 5",
            "write 0 to 4",
        ),
        (
            {"model": "resnet18", "out_indices": [2, 1]},
            "map 1 comes after 2",
            "write each once, the finest first",
        ),
        (
            {"model": "ghostnet_100", "output_stride": 16},
            "timm cannot build `ghostnet_100` with an output stride of 16",
            "write 32, or take another model",
        ),
        (
            {"model": "ghostnet_100", "drop_path_rate": 0.1},
            "`ghostnet_100` has no stochastic depth in timm",
            "remove the key",
        ),
        (
            {"model": "mnasnet_100", "maps": [{**_C2, "module": "blocks.1"}]},
            "`blocks.1` lies inside another module, and stages of this backbone lie side by side",
            "write `blocks_1` for a module of a container",
        ),
        (
            {"model": "mnasnet_100", "maps": [_C2, {**_C5, "name": "c2"}]},
            "two maps are called `c2`",
            "give each a name of its own",
        ),
        (
            {"model": "mnasnet_100", "maps": [_C5, _C2]},
            "stride 4 comes after 32",
            "write the finest map first",
        ),
        (
            {"model": "mnasnet_100", "maps": [_C2], "output_stride": 16},
            "the strides of `mnasnet_100` multiply to 4, so the output stride cannot be 16",
            "write null",
        ),
    ],
)
def test_found_without_building(settings: dict[str, Any], message: str, suggestion: str) -> None:
    """Each contradiction alone, in full."""
    assert _findings(**settings) == [(message, suggestion)]


@pytest.mark.parametrize("name", ["resnet18.a1_in1k", "hf-hub:timm/resnet18", "../x", "ResNet18", ""])
def test_names_that_are_none(name: str, tmp_path: Path) -> None:
    """Tags of weights, addresses and paths are refused by the spec, so timm is never asked for them."""
    file = tmp_path / "one.yaml"
    file.write_text(f"kind: backbone\nname: one\ntype: timm\nmodel: '{name}'\n", encoding="utf-8")
    (diagnostic,) = registry.validate(file)
    assert (diagnostic.span.line, diagnostic.message) == (
        4,
        "models of timm are named in lower-case letters, digits and `_`, without a tag of weights: "
        "`resnet18`, and not `resnet18.a1_in1k`",
    )


def test_unknown_to_timm() -> None:
    """A name that looks right can only be looked up when the model is built."""
    spec = TimmSpec.model_validate({"model": "mnasnet_1000", "maps": [_C5]})
    with pytest.raises(RegistryError) as caught:
        build(spec)
    assert str(caught.value) == (
        f"timm {timm.__version__} has no model `mnasnet_1000`; "
        "did you mean `mnasnet_100` or `semnasnet_100` or `mnasnet_140`?"
    )


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (
            [_C2, {**_C5, "module": "block_6"}],
            "the map `c5` of `mnasnet_100` comes from `block_6`, which timm does not have; "
            "did you mean `blocks_6` or `blocks_5` or `blocks_4`?",
        ),
        (
            [{**_C2, "channels": 32}],
            "the map `c2` of `mnasnet_100` is declared with 32 channels and stride 4, and timm's has 24 and 4; "
            "`python -m registry_timm.tabulate mnasnet_100` prints what to declare",
        ),
        (
            [_C2, {**_C5, "name": "c3", "stride": 4, "module": "blocks_0"}],
            "the map `c3` of `mnasnet_100` does not lie after the one before it",
        ),
    ],
)
def test_declared_maps_are_held_to_timms(maps: list[dict[str, Any]], message: str) -> None:
    """Names, order and sizes of declared maps are compared when the backbone is built."""
    with pytest.raises(RegistryError) as caught:
        build(TimmSpec.model_validate({"model": "mnasnet_100", "maps": maps}))
    assert str(caught.value) == message


def test_no_chain_of_modules() -> None:
    """A model with branches is refused with the reason."""
    maps = [{"name": "c2", "channels": 128, "stride": 4, "module": "stage1"}]
    with pytest.raises(RegistryError) as caught:
        build(TimmSpec.model_validate({"model": "hrnet_w18_small", "maps": maps}))
    assert str(caught.value).startswith("timm runs `hrnet_w18_small` not as one module after the other")


def test_setting_that_the_model_does_not_take() -> None:
    """What a model without a table refuses is told with the settings."""
    maps = [{"name": "c5", "channels": 160, "stride": 32, "module": "blocks_7"}]
    spec = TimmSpec.model_validate({"model": "repghostnet_050", "maps": maps, "output_stride": 16})
    with pytest.raises(RegistryError) as caught:
        build(spec)
    assert str(caught.value).startswith(
        "timm cannot make feature maps of `repghostnet_050` with in_chans=3, output_stride=16: AssertionError"
    )


def test_declared_maps_build(tmp_path: Path) -> None:
    """A model that ships no document, as the README shows it."""
    file = tmp_path / "mine.yaml"
    file.write_text(
        "kind: model\nname: mine\nextends: lraspp_mobilenetv4_conv_small\nfigures: null\n"
        "backbone:\n  type: timm\n  model: mnasnet_100\n  output_stride: 16\n  maps:\n"
        "    - {name: c3, channels: 40, stride: 8, module: blocks_2}\n"
        "    - {name: c5, channels: 320, stride: 32, module: blocks_6}\n",
        encoding="utf-8",
    )
    assert registry.validate(file) == ()
    assert sum(p.numel() for p in registry.build(file, device="meta").parameters()) > 2_000_000
