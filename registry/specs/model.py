"""The model document: a backbone, a head and a task, with figures, weights and references."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from registry.errors import RegistryError, WeightsError
from registry.specs.about import AboutSpec
from registry.specs.base import Listed, Rename, Spec
from registry.specs.findings import Finding
from registry.specs.memo import per_spec
from registry.specs.part_cache import PartCache
from registry.specs.parts import (
    BackboneSpec,
    HeadSpec,
    PartSpec,
    PartTypes,
    QuantizationSpec,
    RecipeSpec,
    TaskSpec,
)
from registry.weights_reference import parse_reference

DIGEST = r"^[0-9a-fA-F]{8,64}$"
#: What `parse_reference` reads, for tools that know no more than regular expressions.
SOURCE = (
    r"^(?![\s\S]*[\x00-\x1f\x7f])("
    r"torchvision:[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*"
    r"|hf://[A-Za-z0-9_]([A-Za-z0-9_-]|\.(?!\.))*/[A-Za-z0-9_]([A-Za-z0-9_-]|\.(?!\.))*"
    r"(@[A-Za-z0-9_]([A-Za-z0-9_-]|\.(?!\.))*)?/((?!\.{1,2}/)[^/\\:]+/)*[^/\\:]*\.(safetensors|pth|pt)"
    r"|[./~][\s\S]*"
    r"|(?![A-Za-z][A-Za-z0-9+.-]+:)[\s\S]*\.(safetensors|pth|pt)"
    r")$"
)


@functools.lru_cache(maxsize=1024)  # heirs have the weights of their parents
def _known_source(text: str) -> str:
    if not text.startswith("~"):  # whose home folder that is, the machine decides
        try:
            parse_reference(text)
        except WeightsError as error:
            raise PydanticCustomError("weights_source", "{text}", {"text": str(error)}) from None
    return text


class FiguresSpec(Spec):
    """Published figures of the architecture, whatever its weights."""

    parameters: Annotated[int | None, Field(ge=0, description="Number of trainable parameters.")] = None
    macs: Annotated[float | None, Field(ge=0, description="Multiply-adds of one forward at the published size.")] = None
    source: Annotated[str | None, Field(description="Who published them.")] = None


class BudgetSpec(Spec):
    """Upper limits that a deep validation holds the built model to."""

    parameters: Annotated[float | None, Field(gt=0, description="Most parameters allowed.")] = None
    macs: Annotated[float | None, Field(gt=0, description="Most multiply-adds of one forward.")] = None
    size_mb: Annotated[float | None, Field(gt=0, description="Most megabytes (10^6 bytes) of float32 weights.")] = None


class WeightsSpec(Spec):
    """One set of published weights: where it is, how it is checked, and what travels with it."""

    renamed_keys: ClassVar[dict[str, Rename]] = {"licence": Rename("license", until="0.3")}

    source: Annotated[
        str,
        Field(
            min_length=1,
            description="`torchvision:ENUM.ENTRY`, `hf://owner/repo/file`, or a path that starts with `.` or `/`.",
            json_schema_extra={"pattern": SOURCE},
        ),
        AfterValidator(_known_source),
    ]
    sha256: Annotated[
        str | None,
        Field(pattern=DIGEST, description="SHA-256 of the file, or its first 8 or more hex digits."),
    ] = None
    metrics: Annotated[dict[str, float], Field(description="Published accuracy by metric name, in percent.")] = {}
    task: Annotated[
        dict[str, Any], Field(description="Task settings that these weights need, merged over the model's.")
    ] = {}
    backbone: Annotated[
        dict[str, Any], Field(description="Backbone settings that these weights need, merged over the model's.")
    ] = {}
    recipe: Annotated[str | None, Field(description="Link to the recipe that trained them.")] = None
    license: Annotated[str | None, Field(description="License of the weights.")] = None


@per_spec
def _findings(part: PartSpec) -> tuple[Finding, ...]:
    """The contradictions inside a part."""
    return tuple(part.check())


@per_spec
def _between(head: HeadSpec, backbone: BackboneSpec, task: TaskSpec) -> tuple[Finding, ...]:
    """The contradictions between parts that are each right in themselves; paths are relative to the model."""
    found: list[Finding] = []
    if head.task == task.type:
        found += _size_findings(head, backbone, task)
    for finding in head.check_backbone(backbone):
        own = finding.within("head")
        found.append(replace(own, also=(*own.also, ("backbone",))))
    if head.task == task.type:
        found += head.check_task(task)
    return tuple(found)


def _size_findings(head: HeadSpec, backbone: BackboneSpec, task: TaskSpec) -> Iterator[Finding]:
    """The image's sides against the steps of the backbone's coarsest map."""
    own = head.image_size()
    size = own or task.image_size()
    stride = max(feature.stride for feature in backbone.feature_maps())
    if size is None:
        return
    path, also = (("head",), (("backbone",),)) if own else (("task",), (("backbone",),))
    shown = f"images of {size[0]}x{size[1]} pixels"
    if min(size) < stride:
        text = (
            f"{shown} are smaller than the stride {stride} of the backbone's coarsest map, which keeps one value a side"
        )
        yield Finding("REG208", path, text, f"take images of {stride} pixels or more", "warning", also)
    elif size[0] % stride or size[1] % stride:
        wider = "x".join(str(-(-side // stride) * stride) for side in size)
        text = (
            f"{shown} are no multiple of the backbone's stride {stride}, so the last steps of its maps look at padding"
        )
        yield Finding("REG208", path, text, f"{wider} costs the same", "note", also)


def _resolve_part(value: Any, info: ValidationInfo) -> Any:
    """A mapping becomes the spec class that its `type` names among the parts of the field's kind."""
    if not isinstance(value, dict):
        return value
    types: PartTypes | None = info.context.get("types") if info.context else None
    if types is None or info.context is None:
        raise PydanticCustomError("no_registry", "a part given as a mapping is read through registry.load_spec()")
    kind = str(info.field_name)
    seen: PartCache = info.context.get("parts") or PartCache()
    return seen.part(kind, value, lambda: _read_part(kind, value, types, info.context))


def _read_part(kind: str, value: dict[str, Any], types: PartTypes, context: Any) -> PartSpec:
    type_name = value.get("type")
    if not isinstance(type_name, str):
        raise _at_type(kind, "string_type" if "type" in value else "missing", "a type is needed", type_name)
    try:
        spec_class = types.spec_class(kind, type_name)
    except RegistryError as error:
        raise _at_type(kind, "part_type", str(error), type_name) from error
    return spec_class.model_validate({**value, "type": type_of(spec_class, type_name)}, context=context)


def type_of(spec_class: type[PartSpec], name: str) -> str:
    """The type as the class knows it: without the distribution, and by its present name."""
    field, bare = spec_class.model_fields["type"], name.rpartition("/")[2]
    return bare if bare in get_args(field.annotation) else str(field.default)


def _at_type(kind: str, error_type: str, message: str, value: Any) -> ValidationError:
    """A validation error that points at the `type` key of a part."""
    error = PydanticCustomError(error_type, "{text}", {"text": message})
    return ValidationError.from_exception_data(kind, [InitErrorDetails(type=error, loc=("type",), input=value)])


_Part = BeforeValidator(_resolve_part)


class ModelSpec(AboutSpec):
    """A whole model: everything that is needed to build, feed and describe it."""

    kind: Annotated[Literal["model"], Field(description="What the document describes.")] = "model"
    task: Annotated[SerializeAsAny[TaskSpec], _Part, Field(description="What goes in and comes out.")]
    backbone: Annotated[
        SerializeAsAny[BackboneSpec], _Part, Field(description="What turns the image into feature maps.")
    ]
    head: Annotated[SerializeAsAny[HeadSpec], _Part, Field(description="What turns feature maps into outputs.")]
    recipe: Annotated[SerializeAsAny[Annotated[RecipeSpec, _Part]] | None, Field(description="How it is trained.")] = (
        None
    )
    quantization: Annotated[
        SerializeAsAny[Annotated[QuantizationSpec, _Part]] | None, Field(description="How it is quantized.")
    ] = None
    weights: Annotated[dict[str, WeightsSpec], Field(max_length=100, description="Published weights by name.")] = {}
    default_weights: Annotated[str | None, Field(description="Which of `weights` the word `default` means.")] = None
    backbone_weights: Annotated[
        WeightsSpec | None, Field(description="Weights that a training's backbone starts from; used when asked for.")
    ] = None
    accepts: Annotated[
        Listed[str], Field(max_length=100, description="Ids of warnings that the author knows about, such as `REG207`.")
    ] = ()
    figures: Annotated[FiguresSpec, Field(description="Published figures.", default_factory=FiguresSpec)]
    budget: Annotated[BudgetSpec, Field(description="Upper limits.", default_factory=BudgetSpec)]

    def parts(self) -> Iterator[tuple[str, PartSpec]]:
        """Each part of the model with the key that holds it."""
        for key in ("task", "backbone", "head", "recipe", "quantization"):
            part = getattr(self, key)
            if part is not None:
                yield key, part

    def check(self) -> Iterator[Finding]:
        """Contradictions inside and between the parts; paths are relative to the model."""
        own = [finding.within(key) for key, part in self.parts() for finding in _findings(part)]
        yield from own
        if self.head.task != self.task.type:
            yield Finding(
                "REG203",
                ("head", "type"),
                f"head `{self.head.type}` serves the task `{self.head.task}`, the model's task is `{self.task.type}`",
                f"set task to `{self.head.task}`, or choose a head for `{self.task.type}`",
                also=(("task", "type"), ("task",), ("head",)),
            )
        if self.recipe is not None and self.recipe.tasks and self.task.type not in self.recipe.tasks:
            yield Finding(
                "REG203",
                ("recipe", "type"),
                f"recipe `{self.recipe.type}` does not train `{self.task.type}`",
                also=(("recipe",), ("task", "type"), ("task",)),
            )
        if not any(finding.severity == "error" for finding in own):
            yield from self._check_stages()
            yield from _between(self.head, self.backbone, self.task)
            for key, part in (("recipe", self.recipe), ("quantization", self.quantization)):
                if part is not None:
                    yield from (finding.within(key) for finding in part.check_model(self))
        if self.default_weights is not None and self.default_weights not in self.weights:
            known = ", ".join(f"`{name}`" for name in self.weights) or "none"
            yield Finding(
                "REG206",
                ("default_weights",),
                f"no weights are called `{self.default_weights}`",
                f"known here: {known}",
            )

    def settings_for(self, option: str, value: Any) -> dict[str, Any]:
        """Dotted settings by which task and head follow an option of prediction, empty if neither does."""
        found = {f"task.{key}": setting for key, setting in self.task.settings_for(option, value).items()}
        found |= {f"head.{key}": setting for key, setting in self.head.settings_for(option, value).items()}
        return found

    def _check_stages(self) -> Iterator[Finding]:
        stages, wanted = len(self.backbone.feature_maps()), self.backbone.trainable_stages
        if wanted is not None and wanted > stages:
            yield Finding(
                "REG201",
                ("backbone", "trainable_stages"),
                f"the backbone has {stages} stages, so {wanted} cannot be trained",
                f"write 0 to {stages}, or null for all",
            )
        elif self.backbone.freeze == "always" and wanted is not None and wanted < stages and not self._has_weights():
            text = f"the first {stages - wanted} of the backbone's {stages} stages are frozen with random weights"
            hint = "name weights, or write freeze: with_weights"
            yield Finding("REG209", ("backbone", "trainable_stages"), text, hint, "warning", (("backbone", "freeze"),))

    def _has_weights(self) -> bool:
        return self.default_weights is not None or self.backbone_weights is not None

    def settled(self, *, pretrained: bool) -> ModelSpec:
        """The same model with everything decided that depends on whether weights are loaded."""
        return self.model_copy(update={"backbone": self.backbone.settled(pretrained=pretrained)})

    def digest(self) -> str:
        """SHA-256 (64 hex digits) of the spec's canonical JSON: equal specs, equal digests."""
        import hashlib

        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
