"""The winning settings as what is written over a document: a patch, a document of its own, and `--set` words."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from registry.catalog import from_assignments
from registry.catalog.references import is_path
from registry.source import plain
from registry_tuning.fields import setting

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_DATA = "dataset"


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted settings as nested mappings."""
    found: dict[str, Any] = {}
    for path, value in values.items():
        *above, last = path.split(".")
        place = found
        for key in above:
            below = place.setdefault(key, {})
            if not isinstance(below, dict):
                below = place[key] = {}
            place = below
        if isinstance(place.get(last), dict) and isinstance(value, dict):
            place[last].update(value)
        else:
            place[last] = value
    return found


def words(values: Mapping[str, Any]) -> list[str]:
    """`--set PATH=VALUE` for each setting, quoted for a shell."""
    return [f"--set {shlex.quote(setting(path, value))}" for path, value in values.items()]


def as_yaml(data: Mapping[str, Any], indent: int = 0) -> str:
    """Nested mappings as YAML, everything else in the form that JSON shares with it."""
    lines = []
    for key, value in data.items():
        name = key if _BARE.match(key) else json.dumps(key)
        if isinstance(value, dict) and value:
            lines.append(f"{'  ' * indent}{name}:\n{as_yaml(value, indent + 1)}")
        else:
            text = value if isinstance(value, str) and _plain(value) else json.dumps(value, ensure_ascii=False)
            lines.append(f"{'  ' * indent}{name}: {text}\n")
    return "".join(lines)


def document(model: str, recipe: str | None, assignments: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """A model document that extends the one that was searched: its fixed settings, and over them the winning ones.

    Settings of the data set are left out, as they are no part of a model.
    """
    given = {".".join(override.path): plain(override.node) for override in from_assignments(assignments)}
    own = {path: value for path, value in {**given, **values}.items() if path.split(".")[0] != _DATA}
    body = nested(own)
    if recipe is not None and not isinstance(body.get("recipe"), str):
        body["recipe"] = {"extends": _reference(recipe), **body.get("recipe", {})}
    name = re.sub(r"[^a-z0-9_]+", "_", Path(model).stem.lower()).strip("_")
    return {"kind": "model", "name": f"{name}_tuned", "extends": _reference(model), **body}


def _reference(name: str) -> str:
    return str(Path(name).expanduser().resolve()) if is_path(name) else name


def _plain(text: str) -> bool:
    return bool(_BARE.match(text)) and text.lower() not in ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
