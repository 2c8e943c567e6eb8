"""Settings of the quantization schemes. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from registry.specs import Finding, ModelSpec, QuantizationSpec
from registry.specs.base import Listed

_Type = Field(description="Registered type of the part.")


class SchemeSpec(QuantizationSpec):
    """What all schemes have in common: how ranges are found, and which layers stay float."""

    #: Whether outputs of layers are rounded before an activation takes them.
    rounds_outputs: ClassVar[bool] = False

    calibration_batches: Annotated[
        int, Field(ge=1, le=10_000, description="Most batches, of those that are given, from which ranges are taken.")
    ] = 32
    per_channel: Annotated[
        bool, Field(description="A scale for each output channel of the weights, else one for the whole tensor.")
    ] = True
    operations: Annotated[
        Literal["layers", "all"],
        Field(description="What is quantized: convolutions and linear layers, or additions, products and pools too."),
    ] = "layers"
    depthwise: Annotated[bool, Field(description="Quantize depthwise convolutions too.")] = True
    float_modules: Annotated[
        Listed[str],
        Field(max_length=1000, description="Modules that stay float: their names, with `*` for any characters."),
    ] = ()
    least_signal: Annotated[
        float | None,
        Field(
            ge=0,
            le=200,
            description="Layers whose signal-to-noise ratio would be below this many decibels stay float; null: none does.",
        ),
    ] = 30.0
    scope: Annotated[
        Literal["backbone", "all"],
        Field(description="Of a detector: quantize its backbone with its FPN, or every part that can be traced."),
    ] = "backbone"

    def check_model(self, model: ModelSpec) -> Iterable[Finding]:
        """What keeps the scheme from that model."""
        head = model.head
        if not head.exportable and not head.splittable:
            yield Finding(
                "REG471",
                ("type",),
                f"`{self.type}` cannot trace the head `{head.type}`, which gives no parts that can be traced",
                "give its model a method `split()`, see registry.modules.split, or leave quantization out",
            )
        wanted = getattr(model.recipe, "quantization_aware", None)
        if wanted is not None and not head.exportable:
            yield Finding(
                "REG472",
                ("type",),
                f"the recipe trains with simulated rounding, for which `{model.name}` is not traced: it takes lists of images",
                "set recipe.quantization_aware to null: detectors are quantized after training",
            )


class XnnpackSpec(SchemeSpec):
    """torchao's PT2E flow with XNNPACK's rules, for ExecuTorch on phones and CPUs: int8, weights around zero."""

    type: Annotated[Literal["xnnpack"], _Type] = "xnnpack"
    rounds_outputs: ClassVar[bool] = True


class X86Spec(SchemeSpec):
    """torchao's PT2E flow with the rules of Inductor on x86: uint8 inputs, int8 weights. `torch.compile` makes it fast."""

    type: Annotated[Literal["x86"], _Type] = "x86"

    def check(self) -> Iterable[Finding]:
        """Scales that Inductor has no kernels for."""
        if not self.per_channel:
            text = "Inductor's kernels on x86 take a scale for each output channel"
            yield Finding("REG474", ("per_channel",), text, "leave it out, or choose the scheme xnnpack")
