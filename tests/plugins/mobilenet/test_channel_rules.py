"""What is said about channel counts that are built unaligned, and about widths that rounding changes."""

from __future__ import annotations

from typing import Any

import pytest
from registry_baselines.mobilenet_v2_geometry import blocks_of as v2_blocks_of
from registry_baselines.specs import MobileNetV2Spec, ResNetSpec, RowSpec
from registry_mobilenet.channel_rules import Written, rounding_findings
from registry_mobilenet.geometry import blocks_of
from registry_mobilenet.specs import BlockSpec, MobileNetV3Spec, SqueezeExcitationSpec
from torchvision.models._utils import _make_divisible
from torchvision.models.mobilenetv3 import _mobilenet_v3_conf

import registry
from registry.specs import BackboneSpec, Finding, GroupNormSpec


def block(out: int, expanded: int = 64, **settings: Any) -> BlockSpec:
    return BlockSpec(kernel=3, expanded=expanded, out=out, activation="relu", **settings)


def told(spec: BackboneSpec) -> list[tuple[str, str, tuple[str | int, ...], str, str | None]]:
    return [(f.rule, f.severity, f.path, f.message, f.suggestion) for f in spec.check()]


# ---- channels that are no multiple of 8 ------------------------------------------------------------------------------

SLOW = "no multiple of 8, which is slow in integer kernels of phones"


def test_a_squeeze_of_another_divisor_is_warned_of() -> None:
    blocks = (block(16, 64), block(24, 72, se=True), block(24, 88, se=True))
    spec = MobileNetV3Spec(blocks=blocks, squeeze_excitation=SqueezeExcitationSpec(divisor=4))
    # 72 / 4 = 18, whose nearest multiple of 4 is 20
    assert told(spec) == [
        (
            "REG210",
            "warning",
            ("squeeze_excitation", "divisor"),
            f"block 2 squeezes 72 channels to 20 channels, {SLOW}",
            "write a divisor that is a multiple of 8",
        )
    ]


@pytest.mark.parametrize("divisor", [8, 16, 64])
def test_a_squeeze_of_multiples_of_8_is_fine(divisor: int) -> None:
    spec = MobileNetV3Spec(blocks=(block(24, 72, se=True),), squeeze_excitation=SqueezeExcitationSpec(divisor=divisor))
    assert told(spec) == []


def test_a_divisor_that_no_block_uses_is_fine() -> None:
    assert told(MobileNetV3Spec(blocks=(block(24),), squeeze_excitation=SqueezeExcitationSpec(divisor=3))) == []


def test_squeezes_that_come_out_as_multiples_of_8_are_fine() -> None:
    spec = MobileNetV3Spec(blocks=(block(24, 96, se=True),), squeeze_excitation=SqueezeExcitationSpec(divisor=12))
    assert told(spec) == []  # 96 / 4 = 24


def test_an_expansion_that_is_no_whole_number_is_warned_of() -> None:
    rows = (RowSpec(expand_ratio=1, out=16), RowSpec(expand_ratio=2.75, out=24, repeats=2))
    # 16 x 2.75 = 44
    assert told(MobileNetV2Spec(blocks=rows)) == [
        (
            "REG210",
            "warning",
            ("blocks", 1, "expand_ratio"),
            f"row 2 of the table expands 16 channels to 44 channels, {SLOW}",
            "write a whole number, such as 3",
        )
    ]


def test_an_expansion_by_a_fraction_that_yields_a_multiple_of_8_is_fine() -> None:
    assert told(MobileNetV2Spec(blocks=(RowSpec(expand_ratio=1.5, out=16),))) == []  # 32 x 1.5 = 48


def test_a_later_block_of_a_row_counts_too() -> None:
    rows = (RowSpec(expand_ratio=1, out=32), RowSpec(expand_ratio=2.25, out=40, repeats=2))  # 72, then 40 x 2.25 = 90
    ((rule, _, path, message, _),) = told(MobileNetV2Spec(blocks=rows))
    assert (rule, path) == ("REG210", ("blocks", 1, "expand_ratio"))
    assert message.startswith("row 2 of the table expands 40 channels to 90 channels")


@pytest.mark.parametrize(("stem", "better"), [(60, 64), (12, 16), (20, 24), (1, 8)])
@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
def test_a_resnets_stem_is_built_as_it_is_written(stem: int, better: int, kind: Any) -> None:
    assert told(ResNetSpec(block=kind, stem_channels=stem)) == [
        ("REG210", "warning", ("stem_channels",), f"the stem has {stem} channels, {SLOW}", f"write {better}")
    ]


def test_a_warning_waits_until_the_errors_are_mended() -> None:
    assert [f.rule for f in ResNetSpec(stem_channels=12, norm=GroupNormSpec(groups=8)).check()] == ["REG201"]
    assert [f.rule for f in MobileNetV3Spec(blocks=(block(20),), reduced_tail=True).check()] == ["REG201"]


def test_a_model_accepts_it() -> None:
    settings: dict[str, Any] = {"backbone.squeeze_excitation.divisor": 4, "weights": None, "default_weights": None}
    with pytest.warns(registry.RegistryWarning, match="REG210"):
        registry.load_spec("mobilenet_v3_small", overrides=settings)
    registry.load_spec("mobilenet_v3_small", overrides={**settings, "accepts": ["REG210"]})


# ---- widths that rounding changes ------------------------------------------------------------------------------------


def rounded(count: int, width: float) -> Finding | None:
    return next(iter(rounding_findings([Written(count, "block 3", ("blocks", 2, "out"))], width)), None)


def test_the_message_has_the_arithmetic() -> None:
    assert rounded(24, 0.35) is None  # 8.4 becomes 8, 5 % less
    found = rounded(28, 0.35)  # 9.8 lies nearest to 8 too, but that is less than nine tenths of it
    assert found is not None
    assert found.message == "block 3: 28 x 0.35 = 9.8 becomes 16, 63 % more"
    assert (found.path, found.also) == (("width_mult",), (("blocks", 2, "out"),))


@pytest.mark.parametrize("width", [0.05, 0.1, 0.25, 0.35, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.4, 2.0])
def test_a_note_comes_where_torchvisions_rounding_changes_more_than_a_tenth(width: float) -> None:
    for count in range(1, 200):
        exact, built = count * width, _make_divisible(count * width, 8)
        found = rounded(count, width)
        if abs(built - exact) * 10 <= exact * (1 + 1e-9):
            assert found is None, (count, width)
        else:
            assert found is not None, (count, width)
            assert (found.rule, found.severity) == ("REG211", "note")
            assert f"{built}, {100 * (built / exact - 1):.0f} % more" in found.message


def v3(kind: str, width: float, **settings: Any) -> MobileNetV3Spec:
    overrides = {"backbone.width_mult": width, **{f"backbone.{key}": value for key, value in settings.items()}}
    backbone = registry.load_spec(f"mobilenet_v3_{kind}", overrides=overrides).backbone
    assert isinstance(backbone, MobileNetV3Spec)
    return backbone


def worst(pairs: list[tuple[int, int]], width: float) -> float:
    return max(built / (count * width) - 1 for count, built in pairs)


@pytest.mark.parametrize("kind", ["large", "small"])
@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("width", [0.35, 0.5, 0.75, 1.0, 1.25, 2.0])
def test_the_worst_of_torchvisions_own_table_is_told(kind: str, tail: bool, width: float) -> None:
    plain, _ = _mobilenet_v3_conf(f"mobilenet_v3_{kind}", reduced_tail=tail)
    scaled, _ = _mobilenet_v3_conf(f"mobilenet_v3_{kind}", width_mult=width, reduced_tail=tail)
    pairs = [(16, scaled[0].input_channels)]
    for before, after in zip(plain, scaled, strict=True):
        pairs += [(before.expanded_channels, after.expanded_channels), (before.out_channels, after.out_channels)]
    most = worst(pairs, width)
    found = list(v3(kind, width, reduced_tail=tail).check())
    if most <= 0.1:
        assert found == []
    else:
        assert [(f.rule, f.severity, f.path) for f in found] == [("REG211", "note", ("width_mult",))]
        assert found[0].message.endswith(f", {100 * most:.0f} % more")


@pytest.mark.parametrize(
    ("kind", "width", "message"),
    [
        # the stem's 16 become 12, halfway between 8 and 16, and halves are rounded up
        ("small", 0.75, "stem: 16 x 0.75 = 12 becomes 16, 33 % more"),
        ("large", 0.75, "stem: 16 x 0.75 = 12 becomes 16, 33 % more"),
        # 5.6 becomes 8, the least there is
        ("small", 0.35, "stem: 16 x 0.35 = 5.6 becomes 8, 43 % more"),
        ("small", 0.1, "stem: 16 x 0.1 = 1.6 becomes 8, 400 % more"),
    ],
)
def test_the_first_of_the_worst_is_named(kind: str, width: float, message: str) -> None:
    (found,) = v3(kind, width).check()
    assert found.message == message
    assert found.suggestion == "write counts whose product is near a multiple of 8, or accept it"


def test_at_full_width_the_note_points_at_the_count_that_is_not_built() -> None:
    assert told(MobileNetV3Spec(blocks=(block(24), block(20, 100)))) == [
        (
            "REG211",
            "note",
            ("blocks", 1, "out"),
            "block 2: 20 becomes 24, 20 % more",
            "write 24, as channel counts are multiples of 8",
        )
    ]


def test_a_halved_tail_is_halved_before_it_is_rounded() -> None:
    spec = MobileNetV3Spec(blocks=(block(16), block(40, 80, stride=2), block(40, 80)), reduced_tail=True)
    # 40 / 2 = 20 becomes 24; the first block of the tail keeps its 80 inside, the next has 40
    ((_, _, path, message, _),) = told(spec)
    assert (path, message) == (("blocks", 1, "out"), "block 2: 20 becomes 24, 20 % more")
    assert [(b.expanded, b.out) for b in blocks_of(spec)] == [(64, 16), (80, 24), (40, 24)]


def test_a_tail_that_is_halved_to_nothing_is_no_worst_case() -> None:
    spec = MobileNetV3Spec(blocks=(block(16, 1, stride=2), block(1, 1)), reduced_tail=True)
    # 16 / 2 = 8 is built; 1 / 2 = 0 has no share that could be added to; the first block's 1 inside is not halved
    assert [message for _, _, _, message, _ in told(spec)] == ["block 1: 1 becomes 8, 700 % more"]
    assert [(b.expanded, b.out) for b in blocks_of(spec)] == [(8, 8), (8, 8)]


def test_mobilenet_v2_tells_its_rows() -> None:
    spec = MobileNetV2Spec(blocks=(RowSpec(expand_ratio=1, out=16), RowSpec(expand_ratio=6, out=24)), width_mult=0.75)
    ((rule, severity, path, message, _),) = told(spec)  # 12 becomes 16, a third more; 18 becomes 24, as much
    assert (rule, severity, path) == ("REG211", "note", ("width_mult",))
    assert message == "row 1: 16 x 0.75 = 12 becomes 16, 33 % more"
    assert [b.out for b in v2_blocks_of(spec)] == [16, 24]


def test_a_note_does_not_warn_and_names_no_shipped_document() -> None:
    registry.load_spec(
        "mobilenet_v3_small", overrides={"backbone.width_mult": 0.35}
    )  # a warning would be an error here
    for name in ("mobilenet_v3_large_075", "mobilenet_v3_small_075"):
        spec = registry.load_spec(name)
        assert (spec.accepts, [f.rule for f in spec.check()]) == (("REG211",), ["REG211"])
