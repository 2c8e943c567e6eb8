"""From resolved nodes to a typed spec, with everything that is wrong in one go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from registry.catalog.documents import OWN_KEYS, Document, EnvelopeSpec
from registry.catalog.merge import merge
from registry.catalog.translate import locate, translate
from registry.diagnostics import Diagnostic, Related, errors
from registry.errors import RegistryError
from registry.host import PluginHost
from registry.source import Entry, Mapping, Scalar, plain
from registry.specs import Finding, ModelSpec, PartSpec, Spec, TaskSpec

_ENVELOPE = (*OWN_KEYS, "references")


class Checker:
    """Validates resolved documents against the spec classes that plugins registered."""

    def __init__(self, host: PluginHost) -> None:
        self._host = host

    def check(self, document: Document, root: Mapping) -> tuple[Spec | None, list[Diagnostic]]:
        """The spec of a resolved document, None if it has errors, and every diagnostic.

        An inherited value is reported at the file that set it, with a note that names the document.
        """
        spec: Spec | None
        spec, found = self._model(root) if document.kind == "model" else self._part(document, root)
        diagnostics = [_with_heir(diagnostic, document) for diagnostic in found]
        return (None if errors(diagnostics) else spec), diagnostics

    def categories(self, task: TaskSpec) -> tuple[str, ...] | None:
        """The class names of a task, a registered list's read from its file; raises as `categories_named` does."""
        return self.categories_named(task.categories) if isinstance(task.categories, str) else task.categories

    def categories_named(self, name: str) -> tuple[str, ...]:
        """The class names of a registered list.

        Raises:
            UnknownNameError, ConflictError: no plugin, or several, register it.
        """
        return tuple(self._host.categories_named(name).file.read_text(encoding="utf-8").splitlines())

    def _model(self, root: Mapping) -> tuple[ModelSpec | None, list[Diagnostic]]:
        spec, found = self._validate(ModelSpec, root)
        if not isinstance(spec, ModelSpec):
            return None, found
        findings = [*_guarded(spec), *self._categories_findings(spec.task, spec.head.num_classes)]
        found += [_diagnostic(finding, root) for finding in findings]
        found += self._weights(spec, root)
        return spec, found

    def _part(self, document: Document, root: Mapping) -> tuple[PartSpec | None, list[Diagnostic]]:
        envelope = Mapping({k: e for k, e in root.entries.items() if k in _ENVELOPE and k != "extends"}, root.span)
        _, found = self._validate(EnvelopeSpec, envelope)
        settings = root.without(*_ENVELOPE)
        type_node = settings.get("type")
        if not isinstance(type_node, Scalar) or not isinstance(type_node.value, str):
            span = locate(root, ["type"] if type_node else ["name"]).span
            hint = f"name a type of {document.kind}"
            return None, [*found, Diagnostic("REG102", "error", "missing key `type`", span, hint)]
        try:
            spec_class = self._host.spec_class(document.kind, type_node.value)
        except RegistryError as error:
            message, _, hint = str(error).partition("; ")
            return None, [*found, Diagnostic("REG107", "error", message, type_node.span, hint or None)]
        bare = type_node.value.rpartition("/")[2]
        entries = {**settings.entries, "type": replace(settings.entries["type"], node=Scalar(bare, type_node.span))}
        spec, wrong = self._validate(spec_class, Mapping(entries, settings.span))
        found += wrong
        if not isinstance(spec, PartSpec):
            return None, found
        return spec, found + [_diagnostic(finding, settings) for finding in spec.check()]

    def _validate(self, spec_class: type[Spec], root: Mapping) -> tuple[Spec | None, list[Diagnostic]]:
        data: Any = plain(root)
        try:
            return spec_class.model_validate(data, context={"types": self._host}), []
        except ValidationError as error:
            return None, list(translate(error, root, spec_class, self._host))

    def _categories_findings(self, task: TaskSpec, num_classes: int) -> Iterator[Finding]:
        try:
            names = self.categories(task)
        except RegistryError as error:
            message, _, hint = str(error).partition("; ")
            yield Finding("REG205", ("task", "categories"), message, hint or None)
            return
        if names is not None and len(names) != num_classes:
            label = f"`{task.categories}` has" if isinstance(task.categories, str) else "the list has"
            yield Finding(
                "REG204",
                ("task", "categories"),
                f"the head tells {num_classes} classes apart, but {label} {len(names)} names",
                f"write {num_classes} names, or `categories: null`",
            )

    def _weights(self, spec: ModelSpec, root: Mapping) -> Iterator[Diagnostic]:
        """Task settings that travel with weights must fit the model's task."""
        task = root.get("task")
        for name, weights in spec.weights.items():
            place = locate(root, ["weights", name, "task"])
            if not weights.task or not isinstance(task, Mapping) or not isinstance(place.node, Mapping):
                continue
            merged = merge(task, place.node)
            assert isinstance(merged, Mapping)
            holder = Mapping({"task": Entry(place.span, merged)}, place.span)
            try:
                type(spec.task).model_validate(plain(merged), context={"types": self._host})
            except ValidationError as error:
                yield from translate(error, holder, ModelSpec, self._host, prefix=("task",))


def _guarded(spec: ModelSpec) -> Iterable[Finding]:
    """The model's findings; a part whose own arithmetic fails is a finding too, not a traceback."""
    try:
        return list(spec.check())
    except Exception as error:  # code of third parties, which must not take validation down
        text = f"checking the parts failed: {type(error).__name__}: {error}"
        return [Finding("REG201", (), text, "this is a fault of the plugin that brings the part")]


def _diagnostic(finding: Finding, root: Mapping) -> Diagnostic:
    span = locate(root, finding.path).span
    return Diagnostic(finding.rule, finding.severity, finding.message, span, finding.suggestion)


def _with_heir(diagnostic: Diagnostic, document: Document) -> Diagnostic:
    if diagnostic.span.file == document.file or diagnostic.span.file in ("--set", "overrides"):
        return diagnostic
    note = Related(f"inherited by the {document.kind} `{document.name}`", document.name_span)
    return replace(diagnostic, related=(*diagnostic.related, note))
