"""The registry: one object that knows every part and document, and the verbs people use it with.

What only building needs is imported where it is needed, so that checking specs starts at once.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from registry.artefacts import load_artefact, warn_of_missing
from registry.catalog import (
    Document,
    Explanation,
    Library,
    Override,
    Overrides,
    Reference,
    Validation,
    file_of,
    from_assignments,
    from_mapping,
    is_checkpoint,
)
from registry.diagnostics import Diagnostic
from registry.errors import RegistryWarning, WeightsError
from registry.host import PluginHost, PluginRecord, discover
from registry.host.discovery import local
from registry.source import Mapping
from registry.specs import ModelSpec, TaskSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

    from registry.assemble import InputRule
    from registry.tasks import Task
    from registry.weights import Choice, WeightsRequest

#: Dotted or nested settings, or assignments such as `backbone.width_mult=0.5`.
Settings = Union[Overrides, Sequence[str]]


class _Prepared(NamedTuple):
    """A model ready to be built: its spec, and the weights that it or its backbone alone asks for."""

    spec: ModelSpec
    choice: Choice | None
    start: Choice | None


class Registry:
    """Every part and document that some plugins bring.

    Args:
        plugins: modules or objects with hooks, for an isolated registry that knows nothing else. By default every installed
            plugin, as the environment variables allow.
        installed: whether installed plugins are known too; by default only where none are given.

    Raises:
        PluginError: `REGISTRY_STRICT_PLUGINS=1` and a plugin failed.
    """

    def __init__(self, plugins: Iterable[Any] | None = None, *, installed: bool | None = None) -> None:
        everyone = plugins is None if installed is None else installed
        self.host = PluginHost([*(discover() if everyone else ()), *local(plugins or ())])
        self.library = Library(self.host)

    @property
    def plugins(self) -> tuple[PluginRecord, ...]:
        """Every plugin that was met, with its state and what it registered."""
        return self.host.plugins

    def list_models(self, pattern: str = "*", *, task: str | None = None) -> list[str]:
        """Names of the models in the catalog, sorted.

        Args:
            pattern: a shell pattern such as `*_large*`, matched against names and aliases, letter case included.
            task: only models of that task.

        Raises:
            UnknownNameError: no plugin brings that task.
        """
        return [summary.name for summary in self.library.summaries(pattern, task=task)]

    def load_spec(
        self,
        model: Reference,
        *,
        overrides: Settings | None = None,
        num_classes: int | None = None,
        in_channels: int | None = None,
        weights: WeightsRequest | None = None,
    ) -> ModelSpec:
        """The resolved, checked spec of a model; nothing is built or fetched, and torch is not imported.

        Args:
            model: a name, a path (it starts with `.` or `/`, or ends in `.yaml`, `.yml`, `.json` or `.safetensors`), a spec, or
                a document as a mapping, such as `{"extends": "NAME", "head": {...}}`.
            overrides: settings laid over the document: `{"backbone.width_mult": 0.5}`, nested mappings, or a list of
                assignments `["backbone.width_mult=0.5"]` whose values are read as YAML.
            num_classes: the head's class count; class names of another count are dropped.
            in_channels: the backbone's input channels.
            weights: the weights whose pre-processing and class names the spec shall carry; see `build`.

        Raises:
            UnknownNameError, ConflictError: no document, or several, have that name; the message lists the nearest.
            SpecError: the document is not valid; `diagnostics` holds every reason with its position.
            WeightsError: unknown weights.
        """
        return self._prepare(model, overrides, num_classes, in_channels, weights).spec

    def build(
        self,
        model: Reference,
        *,
        weights: WeightsRequest | None = None,
        sha256: str | None = None,
        backbone_weights: WeightsRequest | None = None,
        overrides: Settings | None = None,
        num_classes: int | None = None,
        in_channels: int | None = None,
        adapt_input: InputRule | None = None,
        device: str | torch.device | None = None,
    ) -> nn.Module:
        """The model as an `nn.Module`, in training mode; its resolved spec is the attribute `spec`.

        Args:
            model: a name, a path, or a spec; see `load_spec`. A checkpoint's path builds the model it holds, weights included.
            weights: a name from the spec, `default`, `torchvision:ENUM.ENTRY`, `hf://owner/repo/file`, a local `.pth` or
                `.safetensors` file, or a `WeightsSpec`. None, the default, fetches nothing and initialises from torch's
                global random state; with weights that state is left untouched.
            sha256: digest that the file of either weights must have, or its first 8 or more hex digits; beside the spec's own.
            backbone_weights: what the backbone alone starts from, for training: `default` (the spec's own
                `backbone_weights`), or the file or reference of a model with the same backbone. Instead of `weights`.
            overrides: settings laid over the document; see `load_spec`.
            num_classes: class count. Where the weights have another, the backbone is kept and a warning says that the
                classifier is new.
            in_channels: input channels. Where the weights have another, `adapt_input` must say how.
            adapt_input: `sum` (each kernel is the sum over the weights' channels divided by `in_channels`, so that a grey
                picture copied into every channel gives the same answer), `mean` (their mean), or `random` (a new first
                layer).
            device: where parameters go, such as `cuda`; `meta` gives shapes without memory. None: where torch's default device
                is, or the CPU for a model with weights.

        Raises:
            MissingExtraError: torch is not installed.
            UnknownNameError, ConflictError, SpecError: as `load_spec`.
            WeightsError: the weights cannot be had, read, verified or fitted; nothing is half-loaded.
            RegistryError: the device is not there, or a plugin's code fails.
        """
        from registry.assemble import Wishes, build_model
        from registry.weights import located

        prepared = self._prepare(model, overrides, num_classes, in_channels, weights, backbone_weights)
        file, start = (located(choice, sha256) for choice in (prepared.choice, prepared.start))
        wishes = Wishes(new_head=num_classes is not None, input_rule=adapt_input)
        return build_model(self.host, prepared.spec, weights=file, backbone_weights=start, wishes=wishes, device=device)

    def save(self, model: nn.Module, path: str | os.PathLike[str]) -> Path:
        """Writes a built model as a checkpoint, which `build` reads back; the file is complete or absent.

        Raises:
            WeightsError: the module was not built by a registry, or the file cannot be written.
        """
        from registry.assemble import save

        return save(self.host, model, path)

    def load_artefact(self, path: str | os.PathLike[str]) -> nn.Module:
        """An exported model, run by its engine: it takes and returns what the model did, and carries `spec` and `artefact`.

        Raises:
            RegistryError: no export target loads such files, there is none, it is damaged, or a newer release wrote it.
            MissingExtraError: torch or its engine is not installed.
        """
        return load_artefact(self, Path(path).expanduser())

    def task(self, spec: ModelSpec) -> Task[Any, Any]:
        """The task object that feeds a model of that spec and reads its answers.

        Raises:
            MissingExtraError: torch is not installed.
        """
        from registry.assemble import build_task

        return build_task(self.host, spec, self.categories(spec.task))

    def categories(self, task: TaskSpec) -> tuple[str, ...] | None:
        """Class names in the order of the outputs, or None."""
        return self.library.categories(task)

    def explain(self, model: Reference, *, overrides: Settings | None = None, kind: str = "model") -> Explanation:
        """Every setting of a document with the file and line that set it, and the feature maps it yields.

        Raises:
            UnknownNameError, ConflictError, SpecError: as `load_spec`.
        """
        return self.library.explain(self._open(model, kind), _as_overrides(overrides))

    def validation(self, *, deep: bool = False) -> Validation:
        """A run that validates one file, text or document after the other; names must differ from one another's.

        Args:
            deep: build each model and backbone on the meta device and hold it to what its document declares.

        Raises MissingExtraError for `deep` where torch is not installed.
        """
        if not deep:
            return self.library.validation()
        from registry.assemble import deep_findings, require_torch

        require_torch("a deep validation")
        return self.library.validation(functools.partial(deep_findings, self.host))

    def validate(self, *paths: str | os.PathLike[str]) -> tuple[Diagnostic, ...]:
        """Everything that is wrong with the documents of files and folders, or of the catalog if none are given.

        Returns diagnostics sorted by file and position; empty where all is well.
        """
        return self.library.validate_files(paths) if paths else self.library.validate_catalog()

    def _open(self, model: Reference, kind: str = "model") -> Document:
        if is_checkpoint(model):
            from registry.assemble import read_spec_text

            path = os.fspath(model)
            text, made_with = read_spec_text(Path(path).expanduser())
            warn_of_missing(self.host, made_with, path)
            return self.library.from_text(text, path, kind)
        return self.library.open(model, kind)

    def _prepare(
        self,
        model: Reference,
        overrides: Settings | None,
        num_classes: int | None,
        in_channels: int | None,
        request: WeightsRequest | None,
        start_request: WeightsRequest | None = None,
    ) -> _Prepared:
        document = self._open(model)
        settings = _as_overrides(overrides)
        for path, value in (("head.num_classes", num_classes), ("backbone.in_channels", in_channels)):
            settings += from_mapping({path: value}) if value is not None else []
        root = self._resolve(document, settings, num_classes)
        spec = self._checked(document, root)
        own_file = os.fspath(model) if is_checkpoint(model) else None
        if request is None and start_request is None and own_file is None:
            return _Prepared(spec, None, None)
        from registry.weights import Choice, LocalFile, choose, choose_backbone

        choice = start = None
        if request is not None:
            choice = choose(request, spec).beside(functools.partial(file_of, root))
        elif own_file is not None:
            choice = Choice(LocalFile(Path(own_file).expanduser()), None)
        if start_request is not None:
            if choice is not None:
                raise WeightsError("weights of the whole model and of its backbone were given; keep one")
            start = choose_backbone(start_request, spec).beside(functools.partial(file_of, root))
        chosen = choice or start
        if chosen is not None and chosen.place:
            changed = self._resolve(document, settings, num_classes, chosen.place)
            spec = spec if changed == root else self._checked(document, changed)
        return _Prepared(spec, choice, start)

    def _resolve(
        self, document: Document, settings: Sequence[Override], num_classes: int | None, weights: Sequence[str] = ()
    ) -> Mapping:
        root = self.library.resolve(document)
        if weights:
            root = self.library.with_weights(root, weights)
        if num_classes is not None:
            root = self.library.fit_categories(root, num_classes)
        return self.library.overridden(document, root, settings)

    def _checked(self, document: Document, root: Mapping) -> ModelSpec:
        spec, found = self.library.check(document, root)
        for diagnostic in (d for d in found if d.severity == "warning"):
            told = str(diagnostic).replace(": warning: ", ": ", 1)  # which a warning says of itself
            warnings.warn(told, RegistryWarning, stacklevel=4)
        assert isinstance(spec, ModelSpec)
        return spec


def _as_overrides(settings: Settings | None) -> list[Override]:
    if settings is None:
        return []
    if isinstance(settings, str):
        return from_assignments([settings])
    return from_assignments(settings) if isinstance(settings, Sequence) else from_mapping(settings)
