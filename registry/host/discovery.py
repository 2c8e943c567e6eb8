"""Finding plugins: entry points of installed distributions, filtered by environment before anything is imported."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from registry.errors import RegistryWarning
from registry.host.compatibility import OWN_DISTRIBUTION, required_release
from registry.host.entry_points import entry_points
from registry.host.records import Origin
from registry.suggest import did_you_mean

GROUP = "registry"


class Candidate(NamedTuple):
    """A plugin that was found and not imported yet.

    Attributes:
        load: imports and returns the object whose hooks are called.
        enabled: False when an environment variable blocks it.
        requires: releases of this package that its distribution asks for, as a version specifier; None for any.
    """

    origin: Origin
    load: Callable[[], Any]
    enabled: bool = True
    requires: str | None = None


def discover() -> list[Candidate]:
    """Every installed plugin, sorted by distribution and name, the built-in ones first.

    `REGISTRY_PLUGINS` (a comma-separated list of plugins or distributions) allows only those beside the built-in ones, and
    none where it is empty; `REGISTRY_DISABLED_PLUGINS` blocks any.
    """
    allowed = _listed("REGISTRY_PLUGINS")
    blocked = _listed("REGISTRY_DISABLED_PLUGINS") or frozenset()
    candidates = []
    for point in entry_points(GROUP):
        name, version = _identity(point.head)
        origin = Origin(point.name, name, version)
        names = {point.name, name, f"{name}/{point.name}"}
        built_in = name == OWN_DISTRIBUTION
        enabled = not names & blocked and (built_in or allowed is None or bool(names & allowed))
        requires = None if built_in else required_release(point.head)
        candidates.append(Candidate(origin, point.load, enabled, requires))
    _warn_of_unknown(candidates)
    return sorted(candidates, key=_order)


def _warn_of_unknown(candidates: list[Candidate]) -> None:
    """Tells of names in the variables that no plugin and no distribution has."""
    known = {text for c in candidates for text in (c.origin.plugin, c.origin.distribution)}
    for variable in ("REGISTRY_PLUGINS", "REGISTRY_DISABLED_PLUGINS"):
        for name in filter(None, map(str.strip, os.environ.get(variable, "").split(","))):
            if name.rpartition("/")[2] not in known and normal_name(name) not in known:
                hint = did_you_mean(name, known)
                text = f"{variable} names `{name}`, and no plugin or distribution is called that"
                warnings.warn(text + (f"; {hint}" if hint else ""), RegistryWarning, stacklevel=3)


def _identity(head: str) -> tuple[str, str]:
    """Name and version of a distribution; what an interrupted removal left behind may have neither."""
    found = {key: match[1].strip() for key in ("Name", "Version") if (match := re.search(rf"^{key}:(.*)$", head, re.M))}
    return normal_name(found["Name"]) if found.get("Name") else "unknown", found.get("Version") or "unknown"


def local(plugins: Iterable[Any]) -> list[Candidate]:
    """Candidates for modules or objects given in Python, as tests and notebooks do."""
    return [Candidate(Origin(_object_name(plugin), "local", "0"), _giver(plugin)) for plugin in plugins]


def _order(candidate: Candidate) -> tuple[bool, str, str]:
    origin = candidate.origin
    return origin.distribution != OWN_DISTRIBUTION, origin.distribution, origin.plugin


def _listed(variable: str) -> frozenset[str] | None:
    text = os.environ.get(variable)
    if text is None:
        return None
    names = {name.strip() for name in text.split(",") if name.strip()}
    spelled = {
        "/".join([normal_name(first), rest]) if slash else normal_name(first)
        for first, slash, rest in (name.partition("/") for name in names)
    }
    return frozenset(names | spelled)


def normal_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _object_name(plugin: Any) -> str:
    try:
        return str(getattr(plugin, "__name__", type(plugin).__name__))
    except Exception:  # an object may do anything when it is asked
        return type(plugin).__name__


def _giver(plugin: Any) -> Callable[[], Any]:
    return lambda: plugin
