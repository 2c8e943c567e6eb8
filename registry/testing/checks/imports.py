"""Modules that are imported before anything is built, proven to need no torch."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator

from registry.host import PluginRecord
from registry.host.discovery import GROUP, normal_name
from registry.testing.check import check
from registry.testing.outcome import Skipped
from registry.testing.subjects import PluginSubject

#: Imports each module where torch cannot be imported, and prints those that need it, with the place that asks for it.
_SCRIPT = """
import importlib, json, sys, traceback

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
found = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
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
    """The plugin's module and its spec modules import in a fresh process in which torch cannot be imported."""
    wanted = {part.spec.partition(":")[0] for part in plugin.record.contribution.parts}
    own = _module(plugin.record)
    names = sorted(name for name in wanted | ({own} if own else set()) if _is_found(name))
    if not names:
        raise Skipped("it has no module that a fresh process could import")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    command = [sys.executable, "-c", _SCRIPT, json.dumps(names)]
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
        yield f"`{name}` cannot be imported without torch: {error}; import it inside the functions that need it"


def _module(record: PluginRecord) -> str | None:
    """The module with the plugin's hook, where it has one."""
    origin = record.origin
    if origin.distribution == "local":
        return origin.plugin
    for point in importlib.metadata.entry_points(group=GROUP, name=origin.plugin):
        if point.dist is not None and normal_name(point.dist.name) == origin.distribution:
            return point.module
    return None


def _is_found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
