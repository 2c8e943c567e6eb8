"""From resolved nodes to a typed spec, with everything that is wrong in one go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from registry.catalog.documents import OWN_KEYS, Document, EnvelopeSpec
from registry.catalog.merge import merge
from registry.catalog.placing import OVERRIDES, placed, with_heir
from registry.catalog.renames import rename_keys
from registry.catalog.translate import Place, locate, shown, translate
from registry.diagnostics import Diagnostic, errors
from registry.errors import PluginError, RegistryError
from registry.host import PluginHost
from registry.host.blame import place_of
from registry.source import Entry, Mapping, Scalar, plain
from registry.specs import Finding, ModelSpec, PartSpec, Spec, TaskSpec
from registry.specs.model import type_of
from registry.specs.part_cache import PartCache
from registry.suggest import did_you_mean

_ENVELOPE = (*OWN_KEYS, "references")
#: Keys that a document has beside the fields of its spec class: a model's, and a part's.
_OUTER = (("extends",), _ENVELOPE)


class Checker:
    """Validates resolved documents against the spec classes that plugins registered."""

    def __init__(self, host: PluginHost) -> None:
        self._host = host
        self._parts = PartCache()
        self._context = {"types": host, "parts": self._parts}
        self._categories: dict[str, tuple[str, ...]] = {}

    def check(self, document: Document, root: Mapping) -> tuple[Spec | None, list[Diagnostic]]:
        """The spec of a resolved document, None if it has errors, and every diagnostic.

        An inherited value is reported at the file that set it, with a note that names the document.
        """
        spec: Spec | None
        spec, found = self._model(document, root) if document.kind == "model" else self._part(document, root)
        diagnostics = [with_heir(diagnostic, document) for diagnostic in found]
        return (None if errors(diagnostics) else spec), diagnostics

    def placed(
        self, document: Document, root: Mapping, spec: Spec, findings: Iterable[Finding]
    ) -> Iterator[Diagnostic]:
        """Findings about a checked document at their places in it, without those that its author accepts."""
        for finding in findings:
            if not isinstance(spec, ModelSpec) or not _accepted(finding, spec):
                yield with_heir(placed(finding, root, document), document)

    def categories(self, task: TaskSpec) -> tuple[str, ...] | None:
        """The class names of a task, a registered list's read from its file; raises as `categories_named` does."""
        return self.categories_named(task.categories) if isinstance(task.categories, str) else task.categories

    def categories_named(self, name: str) -> tuple[str, ...]:
        """The class names of a registered list.

        Raises:
            UnknownNameError, ConflictError: no plugin, or several, register it.
        """
        if name in self._categories:
            return self._categories[name]
        record = self._host.categories_named(name)
        try:
            names = tuple(record.file.read_text(encoding="utf-8-sig").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise PluginError(f"the list of categories `{name}` of {record.origin} cannot be read: {error}") from error
        self._categories[name] = names
        return names

    def _model(self, document: Document, root: Mapping) -> tuple[ModelSpec | None, list[Diagnostic]]:
        spec, found, root = self._validate(ModelSpec, root)
        if not isinstance(spec, ModelSpec):
            return None, found
        counted = self._categories_findings(spec.task, spec.head.num_classes)
        findings = [*_guarded(spec), *(_at_class_count(finding, document, root) for finding in counted)]
        findings += self._accepts_findings(spec)
        found += [placed(finding, root, document) for finding in findings if not _accepted(finding, spec)]
        found += self._weights(spec, root, document)
        return spec, found

    def _part(self, document: Document, root: Mapping) -> tuple[PartSpec | None, list[Diagnostic]]:
        envelope = Mapping({k: e for k, e in root.entries.items() if k in _ENVELOPE and k != "extends"}, root.span)
        _, found, _ = self._validate(EnvelopeSpec, envelope)
        settings = root.without(*_ENVELOPE)
        type_node = settings.get("type")
        if not isinstance(type_node, Scalar) or not isinstance(type_node.value, str):
            span = locate(root, ["type"] if type_node else ["name"]).span
            hint = f"name a type of {document.kind}"
            if type_node is None or (isinstance(type_node, Scalar) and type_node.value is None):
                return None, [*found, Diagnostic("REG102", "error", "missing key `type`", span, hint)]
            text = f"expected a text, got {shown(plain(type_node))}"
            return None, [*found, Diagnostic("REG103", "error", text, span, hint)]
        try:
            spec_class = self._host.spec_class(document.kind, type_node.value)
        except RegistryError as error:
            message, _, hint = str(error).partition("; ")
            return None, [*found, Diagnostic("REG107", "error", message, type_node.span, hint or None)]
        bare = Scalar(type_of(spec_class, type_node.value), type_node.span)
        entries = {**settings.entries, "type": settings.entries["type"]._replace(node=bare)}
        spec, wrong, settings = self._validate(spec_class, Mapping(entries, settings.span))
        found += wrong
        if not isinstance(spec, PartSpec):
            return None, found
        return spec, found + [placed(finding, settings, document) for finding in _guarded(spec)]

    def _validate(
        self, spec_class: type[Spec], root: Mapping, holder: Mapping | None = None, prefix: tuple[str, ...] = ()
    ) -> tuple[Spec | None, list[Diagnostic], Mapping]:
        """The spec of a mapping, in which null stands for the default wherever nothing else is allowed.

        Args:
            holder: the model's mapping that has this one at `prefix`, if errors are to be told as seen from there.

        Returns:
            The spec or None, what is wrong or given up, and the mapping by its present names.
        """
        told: list[Diagnostic] = []
        data: Any = plain(root)
        while True:
            try:
                return self._spec(spec_class, data), told, root
            except ValidationError as error:
                items = error.errors(include_url=False)
                root, given_up = rename_keys(root, items, spec_class, self._host)
                if given_up:
                    told += given_up
                    data = plain(root)
                elif not _drop_nulls(data, items):
                    return None, [*told, *self._translated(items, spec_class, root, holder, prefix)], root
            except Exception as error:  # code of third parties, which must not take validation down
                text = f"the spec class {spec_class.__name__} failed: {type(error).__name__}: {error}{place_of(error)}"
                hint = "this is a fault of the plugin that brings it"
                return None, [*told, Diagnostic("REG199", "error", text, locate(root, ()).span, hint)], root

    def _spec(self, spec_class: type[Spec], data: Any) -> Spec:
        def read() -> Any:
            return spec_class.model_validate(data, context=self._context)

        return self._parts.part(spec_class, data, read) if issubclass(spec_class, PartSpec) else read()

    def _translated(
        self,
        items: Sequence[ErrorDetails],
        spec_class: type[Spec],
        root: Mapping,
        holder: Mapping | None,
        prefix: tuple[str, ...],
    ) -> Iterator[Diagnostic]:
        """What pydantic found, in this project's words; arguments as those of `_validate`."""
        if holder is None:
            outer = _OUTER[issubclass(spec_class, PartSpec)]
            return translate(items, root, spec_class, self._host, outer=outer)
        entry = holder.entries[prefix[0]]._replace(node=root)
        holder = Mapping({**holder.entries, prefix[0]: entry}, holder.span)
        return translate(items, holder, ModelSpec, self._host, prefix=prefix)

    def _categories_findings(self, task: TaskSpec, num_classes: int) -> Iterator[Finding]:
        try:
            names = self.categories(task)
        except RegistryError as error:
            message, _, hint = str(error).partition("; ")
            yield Finding("REG205", ("task", "categories"), message, hint or None)
            return
        if names is not None and len(names) != num_classes:
            background = ", the background among them if it is a class" if len(names) == num_classes - 1 else ""
            label = f"`{task.categories}` has" if isinstance(task.categories, str) else "the list has"
            yield Finding(
                "REG204",
                ("task", "categories"),
                f"the head tells {num_classes} classes apart, but {label} {len(names)} names",
                f"write {num_classes} names{background}, or `categories: null`",
            )

    def _accepts_findings(self, spec: ModelSpec) -> Iterator[Finding]:
        for index, rule in enumerate(spec.accepts):
            if rule not in self._host.rule_ids:
                hint = did_you_mean(rule, self._host.rule_ids) or "list them with: registry rule"
                yield Finding("REG105", ("accepts", index), f"there is no rule `{rule}`", hint)

    def _weights(self, spec: ModelSpec, root: Mapping, document: Document) -> Iterator[Diagnostic]:
        """Task and backbone settings that travel with weights must fit the model's."""
        named = root.get("weights")
        entries = named.entries if isinstance(named, Mapping) else {}
        sets = [(("weights", name), entry.node, ("task", "backbone")) for name, entry in entries.items()]
        for path, node, keys in (*sets, (("backbone_weights",), root.get("backbone_weights"), ("backbone",))):
            for key in keys:
                settings = node.entries.get(key) if isinstance(node, Mapping) else None
                own = root.get(key)
                if settings is None or not isinstance(settings.node, Mapping) or not isinstance(own, Mapping):
                    continue
                if settings.node.entries:
                    place = Place((*path, key), settings.node, settings.key_span)
                    yield from self._overlaid(spec, key, own, place, document)

    def _overlaid(
        self, spec: ModelSpec, key: str, own: Mapping, place: Place, document: Document
    ) -> Iterator[Diagnostic]:
        """What is wrong with a part of a model under the settings at `place`."""
        merged = merge(own.without("type"), place.node)
        assert isinstance(merged, Mapping)
        if merged.get("type") is None:
            bare = Entry(place.span, Scalar(getattr(spec, key).type, place.span))
            merged = Mapping({"type": bare, **merged.entries}, merged.span)
        holder = Mapping({key: Entry(place.span, merged)}, place.span)
        part, wrong, _ = self._validate(type(getattr(spec, key)), merged, holder, (key,))
        yield from wrong
        if not isinstance(part, PartSpec):
            return
        if isinstance(part, TaskSpec):
            own_findings = [finding.within(key) for finding in _guarded(part)]
            own_findings += self._categories_findings(part, spec.head.num_classes)
        else:
            own_findings = [f for f in _guarded(spec.model_copy(update={key: part})) if f not in _guarded(spec)]
        yield from (placed(f, holder, document) for f in own_findings if not _accepted(f, spec))


def _drop_nulls(data: Any, items: Sequence[ErrorDetails]) -> bool:
    """Removes from plain data the nulls that errors are about; False where they are about none."""
    dropped = False
    parent: Any
    key: Any
    node: Any
    for item in items:
        parent, key = None, None
        node = data
        for step in item["loc"]:  # names of union members stand in the path too, and are stepped over
            if _has(node, step):
                parent, key, node = node, step, node[step]
        unknown = item["type"] == "extra_forbidden"  # a misspelled key is told whatever its value
        if item["input"] is None and node is None and isinstance(parent, dict) and not unknown:
            parent.pop(key, None)
            dropped = True
    return dropped


def _has(node: Any, step: Any) -> bool:
    if isinstance(node, list):
        return isinstance(step, int) and step < len(node)
    return isinstance(node, dict) and step in node


def _at_class_count(finding: Finding, document: Document, root: Mapping) -> Finding:
    """A finding about names: at these, or at the class count where it is wrong and only that is the document's own."""
    own = (document.file, *OVERRIDES)
    names, count = (locate(root, path).span.file for path in (("task", "categories"), ("head", "num_classes")))
    moved = finding.rule == "REG204" and names not in own and count in own
    return replace(finding, path=("head", "num_classes")) if moved else finding


def _guarded(spec: ModelSpec | PartSpec) -> Iterable[Finding]:
    """The findings of a model or part; a part whose own arithmetic fails is a finding too, not a traceback."""
    try:
        return list(spec.check())
    except Exception as error:  # code of third parties, which must not take validation down
        text = f"checking the parts failed: {type(error).__name__}: {error}{place_of(error)}"
        return [Finding("REG201", (), text, "this is a fault of the plugin that brings the part")]


def _accepted(finding: Finding, spec: ModelSpec) -> bool:
    """A warning that the author of the document knows about."""
    return finding.severity != "error" and finding.rule in spec.accepts
