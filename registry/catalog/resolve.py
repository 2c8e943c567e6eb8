"""From a document to all that it means: `extends` followed, named parts put in place."""

from __future__ import annotations

import os
from dataclasses import replace

from registry.catalog.catalog import Catalog, OutsideError
from registry.catalog.documents import OWN_KEYS, YAML_SUFFIXES, Document
from registry.catalog.merge import merge
from registry.diagnostics import Diagnostic, Related, SpecError
from registry.errors import RegistryError
from registry.host import PluginHost
from registry.source import Entry, Mapping, Node, Scalar, Sequence, Source, Span
from registry.specs import PART_KINDS

#: Keys about a part's document that are not settings of the part.
_NOT_SETTINGS = (*OWN_KEYS, "references")


#: Characters of a reference; no file system takes a longer path.
_LONGEST = 4096


#: How far back the parents of parents are followed.
_MOST_GENERATIONS = 250


class Resolver:
    """Resolves documents and remembers the result, so that a parent of many is merged once."""

    def __init__(self, catalog: Catalog, host: PluginHost) -> None:
        self._catalog = catalog
        self._host = host
        self._resolved: dict[tuple[str, Span], Mapping] = {}
        #: What plugins' documents give their heirs, by the identities of these nodes, which are kept with it.
        self._given: dict[tuple[object, ...], tuple[list[Document], Mapping]] = {}

    def resolve(self, document: Document) -> Mapping:
        """The document with everything it inherits and every named part written out.

        Each node keeps the span of the file that set it.

        Raises:
            SpecError: a name that nobody has, a circle, or an `extends` that is no reference.
        """
        return self._resolve(document, ())

    def _resolve(self, document: Document, above: tuple[Document, ...]) -> Mapping:
        key = (document.kind, document.node.span)
        found = self._resolved.get(key)
        if found is None:
            inherited = self._merged(self._layers(document, above)[:-1], above)
            merged = self._laid(inherited, self._own_types(document).without("extends"), document, above)
            found = Mapping(merged.entries, document.node.span)
            if document.origin is not None:  # a user's file, or a parent of it, may change between two calls
                self._resolved[key] = found
        return found

    def _merged(
        self, layers: list[Document], above: tuple[Document, ...], skipped: tuple[str, ...] = OWN_KEYS
    ) -> Mapping:
        """Documents laid over one another, without their `skipped` keys."""
        key = (skipped, *(id(layer.node) for layer in layers))
        if key in self._given:
            return self._given[key][1]
        merged = Mapping({}, Span(Source(""), 1, 1, 1, 1))
        for layer in layers:
            merged = self._laid(merged, self._own_types(layer).without(*skipped), layer, above)
        if all(layer.origin is not None for layer in layers):  # users' files may change
            self._given[key] = layers, merged
        return merged

    def ancestors(self, document: Document) -> list[Document]:
        """What a document extends, each ancestor once and after its own ancestors; raises as `resolve` does."""
        return self._layers(document, ())[:-1]

    def _layers(
        self, document: Document, above: tuple[Document, ...], known: dict[int, list[Document]] | None = None
    ) -> list[Document]:
        """The document's ancestors, each once and every one after its own ancestors, then itself."""
        if document in above:
            circle = " -> ".join(d.name for d in (*above[above.index(document) :], document))
            where = document.node.get("extends") or document.node
            raise _error("REG109", f"the documents extend one another in a circle: {circle}", where.span)
        if len(above) >= _MOST_GENERATIONS:
            text = f"more than {_MOST_GENERATIONS} documents extend one another in a row"
            raise _error("REG006", text, (document.node.get("extends") or document.node).span)
        known = {} if known is None else known  # an ancestor of many is followed once
        if id(document.node) in known:
            return known[id(document.node)]
        layers: list[Document] = []
        for reference in _references(document.node.get("extends")):
            parent = self._find(document.kind, reference, document)
            layers += [layer for layer in self._layers(parent, (*above, document), known) if layer not in layers]
        known[id(document.node)] = [*layers, document]
        return known[id(document.node)]

    def lay(self, base: Mapping, over: Mapping, by: Document) -> Mapping:
        """`over`, written in or for the document `by`, laid over a resolved document, its named parts put in place.

        Raises:
            SpecError: as `resolve`.
        """
        return self._laid(base, over, by, ())

    def _laid(self, base: Mapping, over: Mapping, by: Document, above: tuple[Document, ...]) -> Mapping:
        if by.kind == "model":
            wrong: list[Diagnostic] = []
            for key in PART_KINDS:
                entry = over.entries.get(key)
                if entry is None:
                    continue
                try:
                    part = self._part(key, entry.node, by, above)
                except SpecError as error:  # the other parts may be wrong too
                    wrong += error.diagnostics
                    continue
                if part is not entry.node:  # named anew, so nothing of the old part is kept
                    base = base.without(key)
                    over = Mapping({**over.entries, key: Entry(entry.key_span, part)}, over.span)
            if wrong:
                raise SpecError(wrong)
        merged = merge(base, over)
        assert isinstance(merged, Mapping)
        return merged

    def _part(self, kind: str, node: Node, by: Document, above: tuple[Document, ...]) -> Node:
        """A part given by name, or extending named ones, written out; anything else unchanged."""
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return self._named_part(kind, [node], by, above)
        if isinstance(node, Mapping) and "extends" in node.entries:
            base = self._named_part(kind, _references(node.get("extends")), by, above)
            return merge(base, node.without("extends"))
        return node

    def _named_part(self, kind: str, references: list[Scalar], by: Document, above: tuple[Document, ...]) -> Mapping:
        """The settings of named parts, later ones laid over earlier ones, an ancestor of several laid once."""
        settings: Node = Mapping({}, references[0].span)
        seen: list[Document] = []
        if len(references) == 1 and not self._is_type(kind, str(references[0].value)):
            layers = self._layers(self._find(kind, references[0], by), (*above, by))
            return Mapping(self._merged(layers, above, _NOT_SETTINGS).entries, references[0].span)
        for reference in references:
            if self._is_type(kind, str(reference.value)):
                own = self._own_type(kind, reference, by)
                named: Node = Mapping({"type": Entry(reference.span, own)}, reference.span)
                settings = merge(settings, named)
                continue
            document = self._find(kind, reference, by)
            for layer in self._layers(document, (*above, by)):
                if layer not in seen:
                    settings = merge(settings, self._own_types(layer).without(*_NOT_SETTINGS))
                    seen.append(layer)
        assert isinstance(settings, Mapping)
        return Mapping(settings.entries, references[0].span)

    def _own_types(self, document: Document) -> Mapping:
        """The text of a document, in which a plugin's own types come first where several distributions have them."""
        node = document.node
        if document.origin is None:
            return node
        if document.kind != "model":
            return self._with_own_type(document.kind, node, document)
        for key in PART_KINDS:
            entry = node.entries.get(key)
            if entry is not None and isinstance(entry.node, Mapping):
                part = self._with_own_type(key, entry.node, document)
                if part is not entry.node:
                    node = Mapping({**node.entries, key: Entry(entry.key_span, part)}, node.span)
        return node

    def _with_own_type(self, kind: str, part: Mapping, by: Document) -> Mapping:
        entry = part.entries.get("type")
        if entry is None or not isinstance(entry.node, Scalar):
            return part
        own = self._own_type(kind, entry.node, by)
        return part if own is entry.node else Mapping({**part.entries, "type": entry._replace(node=own)}, part.span)

    def _own_type(self, kind: str, written: Scalar, by: Document) -> Scalar:
        if by.origin is None or not isinstance(written.value, str):
            return written
        own = self._host.own_type(kind, written.value, by.origin)
        return written if own == written.value else Scalar(own, written.span)

    def _is_type(self, kind: str, name: str) -> bool:
        """True for the type of a part, unless a document has that name."""
        return self._host.has_type(kind, name) and not self._catalog.providers(kind, name)

    def _find(self, kind: str, reference: Scalar, by: Document) -> Document:
        if len(str(reference.value)) > _LONGEST:
            raise _error("REG001", f"a reference has at most {_LONGEST:,} characters", reference.span)
        try:
            return self._catalog.refer(kind, str(reference.value), by)
        except SpecError as error:
            unreadable = [d for d in error.diagnostics if d.rule == "REG001"]
            if unreadable:  # told where the file is named, not in the file that is not there
                text = f"{unreadable[0].message} `{reference.value}`"
                raise _error("REG001", text, reference.span) from error
            if error.diagnostics[0].rule == "REG108":  # the file is right, and not what is asked for
                raise _error("REG108", f"`{reference.value}`: {error.diagnostics[0].text}", reference.span) from error
            raise SpecError(_noted(error, Related("asked for here", reference.span))) from error
        except (OSError, ValueError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).rstrip(".")
            raise _error("REG001", f"the path cannot be followed: {reason}", reference.span) from error
        except RegistryError as error:
            rule = "REG111" if isinstance(error, OutsideError) else "REG108"
            raise _error(rule, _beside(str(reference.value), by) or str(error), reference.span) from error


def _noted(error: SpecError, note: Related) -> list[Diagnostic]:
    return [replace(diagnostic, related=(*diagnostic.related, note)) for diagnostic in error.diagnostics]


def _beside(name: str, by: Document) -> str | None:
    """What is told of a name that nobody has where a file of that name lies beside the document."""
    folder = os.path.dirname(by.file)
    files = [name + suffix for suffix in YAML_SUFFIXES if os.path.isfile(os.path.join(folder, name + suffix))]
    return f"no document is called `{name}`; write `./{files[0]}` for the file" if files else None


def _references(node: Node | None) -> list[Scalar]:
    """The names or paths of an `extends`: one text or a list of texts."""
    if node is None:
        return []
    items = list(node.items) if isinstance(node, Sequence) else [node]
    references = [item for item in items if isinstance(item, Scalar) and isinstance(item.value, str)]
    if len(references) != len(items) or not items or not all(item.value for item in references):
        raise _error("REG103", "`extends` takes a name, a path, or a list of them", node.span)
    return references


def _error(rule: str, message: str, span: Span) -> SpecError:
    message, _, suggestion = message.partition("; ")
    return SpecError([Diagnostic(rule, "error", message, span, suggestion or None)])
