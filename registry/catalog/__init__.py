"""The catalog: documents, `extends`, overrides, and the typed specs they become."""

from registry.catalog.documents import KINDS, Document
from registry.catalog.explain import Explanation, Setting, dotted, file_of
from registry.catalog.files import spec_files
from registry.catalog.fixes import apply_fixes
from registry.catalog.library import Library, Reference
from registry.catalog.overrides import Override, Overrides, from_assignments, from_mapping
from registry.catalog.parallel import validate_each
from registry.catalog.references import is_checkpoint, is_path
from registry.catalog.validation import Validation, each_once

__all__ = [
    "KINDS",
    "Document",
    "Explanation",
    "Library",
    "Override",
    "Overrides",
    "Reference",
    "Setting",
    "Validation",
    "apply_fixes",
    "dotted",
    "each_once",
    "file_of",
    "from_assignments",
    "from_mapping",
    "is_checkpoint",
    "is_path",
    "spec_files",
    "validate_each",
]
