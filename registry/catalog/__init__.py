"""The catalog: documents, `extends`, overrides, and the typed specs they become."""

from registry.catalog.documents import KINDS, Document
from registry.catalog.explain import Explanation, Setting, dotted
from registry.catalog.library import Library, Reference
from registry.catalog.overrides import Override, Overrides, from_assignments, from_mapping
from registry.catalog.references import is_checkpoint, is_path

__all__ = [
    "KINDS",
    "Document",
    "Explanation",
    "Library",
    "Override",
    "Overrides",
    "Reference",
    "Setting",
    "dotted",
    "from_assignments",
    "from_mapping",
    "is_checkpoint",
    "is_path",
]
