"""From a document to all that it means: `extends` followed, named parts put in place."""

from __future__ import annotations

from registry.catalog.catalog import Catalog
from registry.catalog.documents import OWN_KEYS, Document
from registry.catalog.merge import merge
from registry.diagnostics import Diagnostic, SpecError
from registry.errors import ConflictError, RegistryError, UnknownNameError
from registry.host import PluginHost
from registry.source import Entry, Mapping, Node, Scalar, Sequence, Span
from registry.specs import PART_KINDS

#: Keys about a part's document that are not settings of the part.
_NOT_SETTINGS = (*OWN_KEYS, "references")


class Resolver:
    """Resolves documents and remembers the result, so that a parent of many is merged once."""

    def __init__(self, catalog: Catalog, host: PluginHost) -> None:
        self._catalog = catalog
        self._host = host
        self._resolved: dict[tuple[str, Span], Mapping] = {}

    def resolve(self, document: Document) -> Mapping:
        """The document with everything it inherits and every named part written out.

        Each node keeps the span of the file that set it.

        Raises:
            SpecError: a name that nobody has, a circle, or an `extends` that is no reference.
        """
        return self._resolve(document, ())

    def _resolve(self, document: Document, above: tuple[Document, ...]) -> Mapping:
        key = (document.kind, document.node.span)
        if key not in self._resolved:
            layers = self._layers(document, above)
            merged = Mapping({}, document.node.span)
            for layer in layers:
                own = layer.node.without("extends") if layer is document else layer.node.without(*OWN_KEYS)
                merged = self._laid(merged, own, layer, above)
            self._resolved[key] = Mapping(merged.entries, document.node.span)
        return self._resolved[key]

    def _layers(self, document: Document, above: tuple[Document, ...]) -> list[Document]:
        """The document's ancestors, each once and every one after its own ancestors, then itself."""
        if document in above:
            circle = " -> ".join(d.name for d in (*above[above.index(document) :], document))
            where = document.node.get("extends") or document.node
            raise _error("REG109", f"the documents extend one another in a circle: {circle}", where.span)
        layers: list[Document] = []
        for reference in _references(document.node.get("extends")):
            parent = self._find(document.kind, reference, document)
            layers += [layer for layer in self._layers(parent, (*above, document)) if layer not in layers]
        return [*layers, document]

    def lay(self, base: Mapping, over: Mapping, by: Document) -> Mapping:
        """`over`, written in or for the document `by`, laid over a resolved document, its named parts put in place.

        Raises:
            SpecError: as `resolve`.
        """
        return self._laid(base, over, by, ())

    def _laid(self, base: Mapping, over: Mapping, by: Document, above: tuple[Document, ...]) -> Mapping:
        if by.kind == "model":
            for key in PART_KINDS:
                entry = over.entries.get(key)
                if entry is None:
                    continue
                part = self._part(key, entry.node, by, above)
                if part is not entry.node:  # named anew, so nothing of the old part is kept
                    base = base.without(key)
                    over = Mapping({**over.entries, key: Entry(entry.key_span, part)}, over.span)
        merged = merge(base, over)
        assert isinstance(merged, Mapping)
        return merged

    def _part(self, kind: str, node: Node, by: Document, above: tuple[Document, ...]) -> Node:
        """A part given by name, or extending a named one, written out; anything else unchanged."""
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return self._named_part(kind, node, by, above)
        if isinstance(node, Mapping) and "extends" in node.entries:
            settings: Node = Mapping({}, node.span)
            for reference in _references(node.get("extends")):
                settings = merge(settings, self._named_part(kind, reference, by, above))
            return merge(settings, node.without("extends"))
        return node

    def _named_part(self, kind: str, reference: Scalar, by: Document, above: tuple[Document, ...]) -> Node:
        name = str(reference.value)
        known_type = any(part.kind == kind and part.type == name.rpartition("/")[2] for part in self._host.parts)
        if known_type and not self._catalog.providers(kind, name):
            return Mapping({"type": Entry(reference.span, reference)}, reference.span)
        document = self._find(kind, reference, by)
        settings = self._resolve(document, (*above, by)).without(*_NOT_SETTINGS)
        return Mapping(settings.entries, reference.span)

    def _find(self, kind: str, reference: Scalar, by: Document) -> Document:
        try:
            return self._catalog.refer(kind, str(reference.value), by)
        except SpecError:
            raise
        except (UnknownNameError, ConflictError) as error:
            rule = "REG111" if "leaves" in str(error) else "REG108"
            raise _error(rule, str(error), reference.span) from error
        except RegistryError as error:
            raise _error("REG108", str(error), reference.span) from error


def _references(node: Node | None) -> list[Scalar]:
    """The names or paths of an `extends`: one text or a list of texts."""
    if node is None:
        return []
    items = list(node.items) if isinstance(node, Sequence) else [node]
    references = [item for item in items if isinstance(item, Scalar) and isinstance(item.value, str)]
    if len(references) != len(items) or not items:
        raise _error("REG103", "`extends` takes a name, a path, or a list of them", node.span)
    return references


def _error(rule: str, message: str, span: Span) -> SpecError:
    message, _, suggestion = message.partition("; ")
    return SpecError([Diagnostic(rule, "error", message, span, suggestion or None)])
