"""What the sources of diagnostics are called where they are shown: which of them are files, and texts that can be written."""

from __future__ import annotations

import re

_NO_FILES = frozenset({"--set", "overrides"})
_SURROGATES = re.compile("[\ud800-\udfff]")


def is_file(name: str) -> bool:
    """Whether a source's name is a path, not `<stdin>`, `--set` or `overrides`."""
    return name not in _NO_FILES and not (name.startswith("<") and name.endswith(">"))


def encodable(text: str) -> str:
    """The text with U+FFFD for the bytes of a path or argument that no encoding explained."""
    return _SURROGATES.sub("\ufffd", text)
