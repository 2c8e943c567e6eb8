"""`registry validate` runs without `importlib.metadata`, and whoever asks that module for something gets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_PUT_OFF = "import sys\nfrom registry.cli import metadata_later\nmetadata_later.put_off()\n"
#: A module that only the real one imports.
_REAL = "importlib.metadata._functools"


def _run(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_validating_does_not_import_it(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text("kind: model\nname: small\nextends: mobilenet_v3_small\n", encoding="utf-8")
    code = f"import sys\nfrom registry.cli import main\ntry: main()\nfinally: print({_REAL!r} in sys.modules)"
    assert _run(code, "validate", file) == "1 file: no problems\nFalse\n"


@pytest.mark.parametrize(
    "use",
    [
        "import importlib.metadata; print(importlib.metadata.version('pydantic'))",
        "from importlib import metadata; print(metadata.version('pydantic'))",
        "from importlib.metadata import version; print(version('pydantic'))",
        "from importlib.metadata import entry_points; print(len(entry_points(group='registry')) > 0)",
        "import importlib.metadata._meta as meta; print(meta.PackageMetadata.__name__)",
        "from importlib.util import find_spec; print(find_spec('importlib.metadata').name)",
        "import importlib.metadata, inspect; print(inspect.getfile(importlib.metadata))",
        "from importlib.metadata import PackageNotFoundError as E, version\n"
        "try: version('no-such-thing')\nexcept E: print('none')",
    ],
)
def test_everything_is_there_when_somebody_asks(use: str) -> None:
    printed = _run(_PUT_OFF + use)
    assert printed == _run(use)
    assert printed.strip()


def test_naming_it_alone_does_not_import_it() -> None:
    use = f"from importlib.metadata import entry_points\nprint({_REAL!r} in sys.modules)"
    assert _run(_PUT_OFF + use) == "False\n"


def test_one_that_was_imported_stays() -> None:
    use = f"import sys, importlib.metadata\nbefore = importlib.metadata\n{_PUT_OFF}print(importlib.metadata is before)"
    assert _run(use) == "True\n"
