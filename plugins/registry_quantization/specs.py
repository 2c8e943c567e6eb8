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

    #: Export targets that write what comes out.
    targets: ClassVar[tuple[str, ...]] = ("torch-export",)
    #: Whether models can be trained with simulated rounding.
    trains: ClassVar[bool] = True
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
        if getattr(model.recipe, "quantization_aware", None) is None:
            return
        if not self.trains:
            text = f"the recipe trains with simulated rounding, and `{self.type}` quantizes after training alone"
            hint = "set recipe.quantization_aware to null, or choose the scheme xnnpack"
            yield Finding("REG472", ("type",), text, hint)
        elif not head.exportable:
            text = f"the recipe trains with simulated rounding, and `{model.name}` takes lists of images, which is not traced"
            hint = "set recipe.quantization_aware to null: detectors are quantized after training"
            yield Finding("REG472", ("type",), text, hint)


class XnnpackSpec(SchemeSpec):
    """torchao's PT2E flow with XNNPACK's rules, for ExecuTorch on phones and CPUs: int8, weights around zero."""

    type: Annotated[Literal["xnnpack"], _Type] = "xnnpack"
    targets: ClassVar[tuple[str, ...]] = ("executorch", "torch-export")
    rounds_outputs: ClassVar[bool] = True


class X86Spec(SchemeSpec):
    """torchao's PT2E flow with the rules of Inductor on x86: uint8 inputs, int8 weights. `torch.compile` makes it fast."""

    type: Annotated[Literal["x86"], _Type] = "x86"

    def check(self) -> Iterable[Finding]:
        """Scales that Inductor has no kernels for."""
        if not self.per_channel:
            text = "Inductor's kernels on x86 take a scale for each output channel"
            yield Finding("REG474", ("per_channel",), text, "leave it out, or choose the scheme xnnpack")


class QnnpackSpec(SchemeSpec):
    """torch's eager mode, as torchvision quantizes MobileNetV3: uint8 inputs, int8 weights. For QNNPACK on ARM, or x86."""

    type: Annotated[Literal["qnnpack"], _Type] = "qnnpack"
    targets: ClassVar[tuple[str, ...]] = ("torchscript",)
    rounds_outputs: ClassVar[bool] = True
    engine: Annotated[
        Literal["qnnpack", "x86", "fbgemm", "onednn"],
        Field(description="torch's engine that packs and runs the integers. Files are read where torch has it."),
    ] = "qnnpack"
    per_channel: Annotated[
        bool, Field(description="A scale for each output channel of the weights, else one for the whole tensor.")
    ] = False

    def check_model(self, model: ModelSpec) -> Iterable[Finding]:
        """What keeps the scheme from that model."""
        yield from super().check_model(model)
        if self.operations != "all":
            return
        hint = "write `operations: layers`"
        if model.backbone.type != "mobilenet_v3" or model.task.type != "classification":
            text = f"everything is made of integers in classifiers of MobileNetV3 alone, which `{model.name}` is not"
            yield Finding("REG477", ("operations",), text, hint)
            return
        squeeze = getattr(model.backbone, "squeeze_excitation", None)
        used = {getattr(model.backbone, "activation", None), getattr(squeeze, "activation", None)}
        used |= {getattr(block, "activation", None) for block in getattr(model.backbone, "blocks", ())}
        if "silu" in used:
            text = f"`{model.name}` has the activation silu, which torch does not compute from integers"
            yield Finding("REG478", ("operations",), text, f"{hint}, or choose the scheme xnnpack")


class OnnxSpec(SchemeSpec):
    """Static quantization for ONNX Runtime, as pairs of QuantizeLinear and DequantizeLinear: uint8 inputs, int8 weights."""

    type: Annotated[Literal["onnx"], _Type] = "onnx"
    targets: ClassVar[tuple[str, ...]] = ("onnx",)
    trains: ClassVar[bool] = False
    rounds_outputs: ClassVar[bool] = True
    ranges: Annotated[
        Literal["histogram", "quantile", "min_max"],
        Field(
            description="Ranges of inputs and outputs: those of least error on a histogram, without the outermost "
            "ten-thousandths of the values, or of all values."
        ),
    ] = "histogram"
    least_output_signal: Annotated[
        float | None,
        Field(
            ge=0,
            le=200,
            description="Layers stay float if rounding one of their tensors alone would leave the model's outputs with fewer "
            "decibels of signal-to-noise ratio; null: none does.",
        ),
    ] = 20.0
    symmetric: Annotated[
        bool, Field(description="Inputs are int8 with ranges around zero, as TensorRT wants them, and not uint8.")
    ] = False
    reduce_range: Annotated[
        bool | None,
        Field(
            description="Weights have seven bits, so that sums do not overflow on processors without dot products of eight "
            "bits (VNNI); null: where the processor at hand has none."
        ),
    ] = None


class OpenVINOSpec(SchemeSpec):
    """NNCF's quantization after training, for OpenVINO: int8 weights around zero."""

    type: Annotated[Literal["openvino"], _Type] = "openvino"
    targets: ClassVar[tuple[str, ...]] = ("openvino",)
    trains: ClassVar[bool] = False
    preset: Annotated[
        Literal["performance", "mixed"],
        Field(description="Ranges of inputs: around zero, which is faster, or from the least to the greatest value."),
    ] = "mixed"
    ranges: Annotated[
        Literal["histogram", "quantile", "min_max"],
        Field(
            description="Ranges of inputs: those of least error on a histogram, without the outermost ten-thousandths of each "
            "picture, or of all values. Values too near each other for a histogram take the second."
        ),
    ] = "histogram"
    bias_correction: Annotated[
        Literal["fast", "full", "none"],
        Field(
            description="Shift biases by what rounding adds to them on average: from statistics, layer by layer, or not."
        ),
    ] = "fast"
    half_range: Annotated[
        bool | None,
        Field(
            description="Keep weights to half of the integers, for processors without dot products of eight bits (VNNI), whose "
            "sums overflow otherwise; null: as the processor at hand needs."
        ),
    ] = None
    accuracy_drop: Annotated[
        float | None,
        Field(
            ge=0,
            lt=1,
            description="Greatest share of answers to the batches that may differ from the float model's: classes, or those of "
            "pixels. Layers are put back to float until it is kept; null: none is.",
        ),
    ] = None

    def check_model(self, model: ModelSpec) -> Iterable[Finding]:
        """What keeps the scheme from that model."""
        yield from super().check_model(model)
        if not model.head.exportable:
            yield from self.only_tensors(model.name)

    def only_tensors(self, name: str) -> Iterable[Finding]:
        """Settings that a model that takes a list of images does not have."""
        if self.accuracy_drop is not None:
            text = f"`{name}` returns lists of detections, of which no share of equal answers can be told"
            yield Finding("REG476", ("accuracy_drop",), text, "set it to null, and look at the model's figures")
        if self.bias_correction == "full":
            text = f"NNCF corrects biases layer by layer only in models without branches, and the graph of `{name}` has some"
            yield Finding("REG476", ("bias_correction",), text, "write `fast` or `none`")
