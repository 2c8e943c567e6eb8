"""Files and texts to nodes: bytes are read up to a limit, decoded and composed."""

from __future__ import annotations

import os
import stat
from io import RawIOBase

from registry.source.composer import after, compose
from registry.source.nodes import Node, Scalar, Source, Span
from registry.source.problems import SourceProblem

MAX_BYTES = 4_000_000


def read_file(path: str | os.PathLike[str]) -> list[Node]:
    """Every document of a YAML or JSON file.

    Raises:
        SourceProblem: the file cannot be read, is too large, is not UTF-8, or is not YAML.
    """
    name = os.fspath(path)
    nowhere = _point(Source(name))
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError
        if found.st_size > MAX_BYTES:
            raise SourceProblem("REG006", f"the file has more than {MAX_BYTES:,} bytes", nowhere, "split it")
        if not stat.S_ISREG(found.st_mode):
            raise SourceProblem("REG001", "this is no regular file", nowhere)
        with open(path, "rb", buffering=0) as file:
            data = _at_most(file, MAX_BYTES + 1, found.st_size)
    except FileNotFoundError:
        raise SourceProblem("REG001", "there is no such file", nowhere) from None
    except IsADirectoryError:
        raise SourceProblem("REG001", "this is a folder, not a file", nowhere) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SourceProblem("REG001", f"the file cannot be read: {reason}", nowhere) from None
    return read_bytes(data, name)


def _at_most(file: RawIOBase, most: int, expected: int) -> bytes:
    """All bytes of a file, or its first `most`; at once where it has as many as expected."""
    data = b""
    while len(data) < most:
        more = file.read(min(max(expected, 4096), most - len(data)))
        data += more or b""
        if not more or len(data) == expected:
            break
    return data


def read_bytes(data: bytes, name: str) -> list[Node]:
    """Every document of a YAML or JSON text.

    Raises:
        SourceProblem: as for `read_file`.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        where = after(Source(name, before), before)
        message = f"the file is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}"
        raise SourceProblem("REG002", message, where, "save it as UTF-8") from None
    source = Source(name, text.removeprefix("\ufeff"))
    if len(data) > MAX_BYTES:
        raise SourceProblem("REG006", f"the text has more than {MAX_BYTES:,} bytes", _point(source), "split it")
    return compose(source)


def read_value(text: str, name: str) -> Node:
    """One value as a YAML document would read it; an empty text is null.

    Raises:
        SourceProblem: the text is not one YAML value.
    """
    source = Source(name, text)
    try:
        text.encode()
    except UnicodeEncodeError as error:  # bytes of the command line that no encoding explains
        where = after(Source(name), text[: error.start])
        raise SourceProblem("REG003", "not YAML: the text is not valid Unicode", where) from None
    documents = compose(source)
    if len(documents) > 1:
        raise SourceProblem("REG003", "one value was expected, not several documents", _point(source))
    return documents[0] if documents else Scalar(None, _point(source))


def _point(source: Source) -> Span:
    return Span(source, 1, 1, 1, 1)
