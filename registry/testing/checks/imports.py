"""Modules that are imported before anything is built, proven to need no torch."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from registry.errors import RegistryError
from registry.host import PluginRecord
from registry.host.discovery import GROUP, normal_name
from registry.specs import BackboneSpec
from registry.testing.check import check
from registry.testing.outcome import Skipped
from registry.testing.subjects import PartSubject, PluginSubject

#: Imports each module where torch cannot be imported, and prints those that need it, with the place that asks for it.
_SCRIPT = """
import importlib, json, sys, traceback

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
found = {}

def look(name):
    module, _, attribute = name.partition(":")
    if attribute and module in found:
        return  # told already
    plugin = importlib.import_module(module)
    for step in filter(None, attribute.split(".")):
        plugin = getattr(plugin, step)
    if name in json.loads(sys.argv[2]):
        from registry.host import Registrar

        plugin.registry_parts(register=Registrar.local())
    for data in json.loads(sys.argv[3]).get(name, ()):
        spec = plugin.model_validate(data)
        spec.feature_maps(), spec.inner_maps(), list(spec.check())

for name in json.loads(sys.argv[1]):
    try:
        look(name)
    except BaseException as error:
        places = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
        own = [f for f in places if f.filename not in ("<string>", __file__ if "__file__" in dir() else "")]
        own = [f for f in own if f.name != "find_spec"]
        where = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
        found[name] = f"{type(error).__name__}: {error}{where}"
print("\\n" + json.dumps(found))
"""


@check("plugin")
def imports_without_torch(plugin: PluginSubject) -> Iterator[str]:
    """The plugin's module, its hook and its spec modules run in a fresh process in which torch cannot be imported."""
    specs = [part.spec for part in plugin.record.contribution.parts]
    wanted = {spec.partition(":")[0] for spec in specs if isinstance(spec, str)}
    own, backbones = _entry(plugin.record), _backbones(plugin)
    names = sorted(name for name in wanted | {own or "", *backbones} - {""} if _is_found(name.partition(":")[0]))
    if not names:
        raise Skipped("it has no module that a fresh process could import")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    command = [sys.executable, "-c", _SCRIPT, json.dumps(names), json.dumps([own]), json.dumps(backbones)]
    try:
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        yield f"importing {', '.join(names)} takes more than two minutes"
        return
    lines = ended.stdout.splitlines()
    if ended.returncode != 0 or not lines:
        told = (ended.stderr.strip().splitlines() or ["it says nothing"])[-1]
        yield f"importing {', '.join(names)} ended the process with {ended.returncode}: {told}"
        return
    for name, error in json.loads(lines[-1]).items():
        what = f"`{name}` cannot be imported"
        if name == own:
            what = f"`{name}` or its hook registry_parts cannot run"
        elif name in backbones:
            what = f"feature_maps() and check() of `{name}` cannot run"
        yield f"{what} without torch: {error}; import it inside the functions that need it"


def _backbones(plugin: PluginSubject) -> dict[str, list[dict[str, Any]]]:
    """A sample of the settings of each backbone, by its spec class."""
    found: dict[str, list[dict[str, Any]]] = {}
    for part in plugin.record.contribution.parts:
        if part.kind == BackboneSpec.kind and isinstance(part.spec, str):
            with contextlib.suppress(RegistryError):  # another check tells
                found[part.spec] = [spec.model_dump(mode="json") for spec in PartSubject(plugin.kit, part).samples[:1]]
    return found


def _entry(record: PluginRecord) -> str | None:
    """The module or `module:attribute` with the plugin's hook, where it has one."""
    origin = record.origin
    if origin.distribution == "local":
        return origin.plugin
    for point in importlib.metadata.entry_points(group=GROUP, name=origin.plugin):
        if point.dist is not None and normal_name(point.dist.name) == origin.distribution:
            return point.value
    return None


def _is_found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
