"""Schema files: one for each kind of document, and one for all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from registry.catalog.catalog import Catalog
from registry.catalog.documents import KINDS
from registry.errors import RegistryError
from registry.files import write_atomically
from registry.host import PluginHost
from registry.schema.documents import schema_of
from registry.schema.node import Schema

#: Name of the schema of any document; the others are called after their kind.
ANY = "document"


def text_of(schema: Schema) -> str:
    """The schema as indented JSON with a line break at the end."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write(
    host: PluginHost, catalog: Catalog, folder: str | os.PathLike[str], names: Iterable[str] = (*KINDS, ANY)
) -> list[Path]:
    """Writes `NAME.schema.json` for each name, and makes the folder where it is missing.

    Args:
        names: kinds of documents, or `document` for any.

    Raises:
        RegistryError: a file cannot be written.
    """
    written = []
    for name in names:
        path = Path(folder, f"{name}.schema.json")
        text = text_of(schema_of(host, catalog, None if name == ANY else name))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text.encode())
        except OSError as error:
            raise RegistryError(f"{path} cannot be written: {error.strerror or error}") from error
        written.append(path)
    return written
