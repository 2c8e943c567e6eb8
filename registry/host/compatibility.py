"""Which releases of this package a plugin works with."""

from __future__ import annotations

import functools
import re

from registry.errors import PluginError
from registry.host.records import Origin

#: The distribution that ships this package; its plugins are the built-in ones.
OWN_DISTRIBUTION = "vision-registry"

#: Left as it is until a plugin of others asks for it.
_REQUIREMENT = r"^Requires-Dist:\s*vision[-_.]registry\s*(?:\[[^\]\n]*\])?\s*\(?\s*([<>=!~][^;)\n]*)\)?\s*(;[^\n]*)?$"


def required_release(metadata: str) -> str | None:
    """The releases of this package that a distribution's metadata asks for, such as `>=0.3,<1`; None if any will do.

    What only an extra asks for, or another environment, does not count.
    """
    matches = re.finditer(_REQUIREMENT, metadata, re.MULTILINE | re.IGNORECASE)
    found = [match[1].strip() for match in matches if match[2] is None or _holds(match[2][1:])]
    return ",".join(found) or None


def _holds(marker: str) -> bool:
    from packaging.markers import InvalidMarker, Marker

    try:
        return Marker(marker).evaluate({"extra": ""})
    except InvalidMarker:
        return False


def refuse_newer(required: object, origin: Origin) -> None:
    """Refuses a plugin that was written for other releases of this package.

    Args:
        required: a version specifier; None for any.

    Raises:
        PluginError: the installed release is another, or the specifier is none.
    """
    if required is None:
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        if not isinstance(required, str):
            raise InvalidSpecifier
        wanted = SpecifierSet(required)
    except InvalidSpecifier as error:
        text = f'requires_registry = {required!r} is no version specifier; write for instance ">=0.1"'
        raise PluginError(text) from error
    installed = _installed()
    if installed is not None and not wanted.contains(installed, prereleases=True):
        hint = f"install a release that fits, or another release of {origin.distribution}"
        raise PluginError(f"it needs {OWN_DISTRIBUTION} {wanted}, and {installed} is installed; {hint}")


@functools.cache
def _installed() -> str | None:
    """The release that is installed; None where a source tree runs that is not."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(OWN_DISTRIBUTION)
    except PackageNotFoundError:
        return None
