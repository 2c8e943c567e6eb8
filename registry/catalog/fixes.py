"""Applying fixes to files: only the text at each span changes, so comments and layout stay."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from registry.diagnostics import Diagnostic, Fix
from registry.errors import RegistryError
from registry.files import write_atomically
from registry.source import LINE_BREAK, Span
from registry.source.scalars import resolve


def apply_fixes(
    diagnostics: Iterable[Diagnostic], files: Iterable[str | os.PathLike[str]]
) -> tuple[dict[str, int], list[str]]:
    """Writes every fix into its file; each file is replaced whole or left alone.

    Args:
        files: the only files that may be changed.

    Returns:
        how many fixes were made by file, and what is told of files that cannot be read or written.
    """
    allowed = {os.path.realpath(file) for file in files}
    wanted: dict[str, list[Fix]] = {}
    for diagnostic in diagnostics:
        fix = diagnostic.fix
        if fix is not None and os.path.realpath(fix.span.file) in allowed:
            wanted.setdefault(fix.span.file, []).append(fix)
    done: dict[str, int] = {}
    failed: list[str] = []
    for file, fixes in wanted.items():
        try:
            done[file] = _fix_file(Path(file), fixes)
        except RegistryError as error:
            failed.append(str(error))
    return {file: count for file, count in done.items() if count}, failed


def _fix_file(path: Path, fixes: list[Fix]) -> int:
    try:
        if not path.stat().st_mode & stat.S_IWUSR:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        data = path.read_bytes()
        text = data.decode("utf-8")
        bom = "\ufeff" if text.startswith("\ufeff") else ""
        fixed, count = _fixed(text.removeprefix(bom), fixes)
        if count:
            write_atomically(os.path.realpath(path), (bom + fixed).encode("utf-8"), like=path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RegistryError(f"{path} cannot be fixed: {reason}") from error
    return count


def _fixed(text: str, fixes: list[Fix]) -> tuple[str, int]:
    """The text with fixes made from its end to its beginning, and how many of them still found what they replace."""
    starts = [0, *(match.end() for match in LINE_BREAK.finditer(text))]
    pieces: dict[tuple[int, int], str] = {}
    for fix in fixes:
        start, end = _offsets(fix.span, starts)
        if text[start:end] == _piece(fix.span):
            pieces.setdefault((start, end), _in_style(text[start:end], fix.text))
    before, count = len(text), 0
    for (start, end), new in sorted(pieces.items(), reverse=True):
        if end <= before:
            text, before, count = text[:start] + new + text[end:], start, count + 1
    return text, count


#: What may stand before a name and stays: an anchor, a tag that means nothing.
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
_LAST_WORD = re.compile(r"\S+(?=\s*\Z)")


def _in_style(old: str, name: str) -> str:
    """A name written as the one that it replaces: with its anchor, in its quotes or its block."""
    properties = _PROPERTIES.match(old)
    before = properties[0] if properties is not None else ""
    body = old[len(before) :]
    if body.startswith('"'):
        return before + json.dumps(name, ensure_ascii=False)
    if body.startswith("'"):
        return before + "'" + name.replace("'", "''") + "'"
    if body.startswith(("|", ">")):
        return before + _LAST_WORD.sub(lambda _: name, body, count=1)
    return before + (name if isinstance(resolve(name), str) else json.dumps(name))


def _piece(span: Span) -> str:
    """The text at a span in the source that was read."""
    text = span.source.text
    start, end = _offsets(span, [0, *(match.end() for match in LINE_BREAK.finditer(text))])
    return text[start:end]


def _offsets(span: Span, starts: list[int]) -> tuple[int, int]:
    last = starts[-1]
    line, end_line = (starts[n - 1] if n <= len(starts) else last for n in (span.line, span.end_line))
    return line + span.column - 1, end_line + span.end_column - 1
