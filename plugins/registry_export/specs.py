"""Settings of the export targets. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from registry.specs import ExportSpec, Finding, ModelSpec
from registry.specs.base import Listed

_Type = Field(description="Registered type of the part.")
#: An axis of the model's input that may have any length.
AxisName = Literal["batch", "height", "width"]
#: Relative spacing of float16 numbers: no half-precision file is closer to float32 than this.
_HALF = 2.0**-11


def _fixed(spec: ModelSpec) -> tuple[int, int] | None:
    """Height and width of every image of a model of one tensor; None where they follow the picture, as without a crop."""
    preprocessing = getattr(spec.task, "preprocessing", None)
    if preprocessing is not None and getattr(preprocessing, "crop", None) is None:
        return None
    return spec.task.image_size() or spec.head.image_size()


class TargetSpec(ExportSpec):
    """What all targets have in common: axes that may change, and what verification holds the file to."""

    #: Ends of the names of files that lie beside the one of the target's suffix.
    companions: ClassVar[tuple[str, ...]] = ()
    #: The extra of this distribution that brings the engine, and the packages that writing and running need.
    extra: ClassVar[str] = "torch"
    packages: ClassVar[tuple[str, ...]] = ()
    #: Whether a model that takes a list of images is written whole, and not as its parts.
    whole: ClassVar[bool] = False

    dynamic: Annotated[
        Listed[AxisName] | None,
        Field(
            max_length=3,
            description="Axes of the input that may have any length; null: the batch, and height and width where the model's "
            "pre-processing does not fix them. Models that take a list of images keep what their parts allow.",
        ),
    ] = None
    largest: Annotated[
        int, Field(ge=32, le=8192, description="Greatest height and width in pixels, where they may change.")
    ] = 1344
    largest_batch: Annotated[int, Field(ge=1, le=65536, description="Greatest batch, where it may change.")] = 1024
    tolerance: Annotated[
        float,
        Field(gt=0, le=1, description="Largest difference to eager, as a share of the output's largest magnitude."),
    ] = 1e-3
    detection_tolerance: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="The same for corners and scores of detections, of which selection keeps other ones.",
        ),
    ] = 1e-2
    quantized_tolerance: Annotated[
        float, Field(gt=0, le=1, description="The same for a quantized model, whose steps engines round differently.")
    ] = 0.25
    agreement: Annotated[
        float, Field(ge=0, le=1, description="Least share of answers that agree: classes, or classes of pixels.")
    ] = 0.99
    detection_agreement: Annotated[
        float, Field(ge=0, le=1, description="The same for boxes: of near ties, suppression keeps one or the other.")
    ] = 0.9
    quantized_agreement: Annotated[float, Field(ge=0, le=1, description="The same for a quantized model.")] = 0.8

    def check_model(self, model: ModelSpec) -> Iterable[Finding]:
        """What keeps this target from taking that model; paths are relative to the target."""
        head = model.head
        lists = not head.exportable
        if lists and not self.whole and not head.splittable:
            yield Finding(
                "REG461",
                ("type",),
                f"`{self.type}` cannot trace the head `{head.type}`, which gives no parts that can be traced",
                "export it with `onnx`, or give its model a method `split()`, see registry.modules.split",
            )
        for axis in self.dynamic or ():
            fixed = _fixed(model)
            if axis == "batch" and lists:
                text = f"`{model.name}` takes a list of images, which the file runs one by one: its batch has no axis"
                yield Finding("REG462", ("dynamic",), text, "leave `batch` out, or write null")
            elif axis != "batch" and not lists and fixed is not None:
                text = f"pre-processing of `{model.name}` always gives {fixed[1]}x{fixed[0]} pixels: its {axis} does not change"
                yield Finding("REG462", ("dynamic",), text, "leave it out, or write null")

    def axes(self, spec: ModelSpec) -> tuple[AxisName, ...]:
        """The axes that may change for a model of one tensor."""
        if self.dynamic is not None:
            return self.dynamic
        return ("batch",) if _fixed(spec) is not None else ("batch", "height", "width")


class TorchExportSpec(TargetSpec):
    """A program of `torch.export`, which `torch.export.load` reads without the code of the model."""

    type: Annotated[Literal["torch-export"], _Type] = "torch-export"
    suffix: ClassVar[str] = ".pt2"


class OnnxSpec(TargetSpec):
    """An ONNX model for ONNX Runtime and others. Detectors are in it whole, selection of boxes included."""

    type: Annotated[Literal["onnx"], _Type] = "onnx"
    suffix: ClassVar[str] = ".onnx"
    extra: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")
    whole: ClassVar[bool] = True

    opset: Annotated[int, Field(ge=16, le=23, description="Version of ONNX's operators.")] = 18
    exporter: Annotated[
        Literal["auto", "export", "trace"],
        Field(description="torch's exporter: by `torch.export`, by tracing, or the first of them that can."),
    ] = "auto"


class OpenVINOSpec(TargetSpec):
    """A model of OpenVINO: an `.xml` file and its weights in a `.bin` file beside it, each useless alone."""

    type: Annotated[Literal["openvino"], _Type] = "openvino"
    suffix: ClassVar[str] = ".xml"
    companions: ClassVar[tuple[str, ...]] = (".bin",)
    extra: ClassVar[str] = "openvino"
    packages: ClassVar[tuple[str, ...]] = ("openvino",)
    whole: ClassVar[bool] = True

    half: Annotated[bool, Field(description="Keep weights as float16, in half the size; computed in float32.")] = False
    opset: Annotated[
        int, Field(ge=16, le=23, description="Version of ONNX's operators, for models that go by ONNX.")
    ] = 18

    def check(self) -> Iterable[Finding]:
        """A tolerance that half precision cannot keep."""
        if self.half and self.tolerance < _HALF:
            text = f"weights in half precision differ by a share of {_HALF:.1e}, more than the tolerance {self.tolerance:g}"
            yield Finding("REG463", ("tolerance",), text, "write `half: false`, or a tolerance of 0.01")


class ExecuTorchSpec(TargetSpec):
    """A program of ExecuTorch for phones and CPUs, with all that XNNPACK can run handed to it."""

    type: Annotated[Literal["executorch"], _Type] = "executorch"
    suffix: ClassVar[str] = ".pte"
    extra: ClassVar[str] = "executorch"
    packages: ClassVar[tuple[str, ...]] = ("executorch",)

    delegate: Annotated[
        bool, Field(description="Hand what XNNPACK can run to it; else ExecuTorch's own slow operators run.")
    ] = True
    least_delegated: Annotated[
        float, Field(ge=0, le=1, description="Least share of operators that XNNPACK must take.")
    ] = 0.0
    largest: Annotated[
        int, Field(ge=32, le=8192, description="Greatest height and width in pixels, for which memory is planned.")
    ] = 1024
    largest_batch: Annotated[int, Field(ge=1, le=4096, description="Greatest batch, for which memory is planned.")] = 1

    def check(self) -> Iterable[Finding]:
        """A share of operators that nobody takes."""
        if self.least_delegated > 0 and not self.delegate:
            text = f"`least_delegated` is {self.least_delegated:g}, and nothing is delegated"
            yield Finding("REG464", ("least_delegated",), text, "write `delegate: true`, or leave it out")

    def axes(self, spec: ModelSpec) -> tuple[AxisName, ...]:
        """As every target, and a batch of one where no more is planned for."""
        found = super().axes(spec)
        return tuple(axis for axis in found if axis != "batch" or self.largest_batch > 1)


class TorchScriptSpec(TargetSpec):
    """A program of TorchScript, which torch reads without the code of the model. torch has given it up."""

    type: Annotated[Literal["torchscript"], _Type] = "torchscript"
    suffix: ClassVar[str] = ".ts"
    whole: ClassVar[bool] = True

    method: Annotated[
        Literal["auto", "script", "trace"],
        Field(description="Compile the model's code, record a run of it, or the first of them that can."),
    ] = "auto"
