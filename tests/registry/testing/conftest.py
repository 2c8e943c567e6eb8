"""A tiny plugin of its own for each test, broken where the test says so."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry.registry import Registry

SOURCE = Path(__file__).resolve().parent / "tiny"
_numbers = itertools.count()

#: Makes a registry of the tiny plugin after edits: a file, what stands there once, and what takes its place.
Make = Callable[..., Registry]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """See `Make`. Every call is a package of another name, so that nothing of another one is imported."""
    made: list[str] = []
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(*edits: tuple[str, str, str]) -> Registry:
        name = f"tiny{next(_numbers)}"
        made.append(name)
        written = set()
        for file in sorted(path for path in SOURCE.rglob("*") if path.suffix in (".py", ".yaml")):
            relative = file.relative_to(SOURCE)
            text = file.read_text(encoding="utf-8")
            for _, old, new in (edit for edit in edits if edit[0] == str(relative)):
                assert text.count(old) == 1, f"{relative} holds {old!r} {text.count(old)} times"
                text = text.replace(old, new)
            text = text.replace('"tiny.', f'"{name}.').replace('catalog("tiny"', f'catalog("{name}"')
            (tmp_path / name / relative).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / relative).write_text(text, encoding="utf-8")
            written.add(str(relative))
        assert {edit[0] for edit in edits} <= written
        importlib.invalidate_caches()
        return Registry(plugins=[importlib.import_module(f"{name}.plugin")])

    yield make
    for module in [module for module in sys.modules if module.partition(".")[0] in made]:
        del sys.modules[module]
