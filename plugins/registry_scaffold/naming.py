"""One name, in the forms that a distribution needs, and whether they are free."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import re
import sys
from dataclasses import dataclass
from typing import Final

import registry.specs
from registry import Registry, RegistryError

#: The longest name with which the lines of every template stay within 120 characters.
LONGEST: Final = 30
#: What pytest, packaging or Windows take for something else.
_RESERVED: Final = {
    "conftest",
    "tests",
    "test",
    "setup",
    "src",
    "dist",
    "build",
    "docs",
    "con",
    "prn",
    "aux",
    "nul",
} | {f"{device}{number}" for device in ("com", "lpt") for number in range(10)}
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*")


@dataclass(frozen=True)
class Names:
    """One name in all its forms.

    Attributes:
        folder: as it was given.
        distribution: what pip installs: lower case, words joined with `-`.
        package: what Python imports, and the type that documents name: lower case, words joined with `_`.
        stem: what names of classes begin with: `MyHead`.
    """

    folder: str
    distribution: str
    package: str
    stem: str


def parse_name(text: str) -> Names:
    """The forms of a name.

    Raises:
        RegistryError: it is no name, too long, a word of Python, or one that the code needs for something else.
    """
    if not _NAME.fullmatch(text):
        words = re.findall(r"[a-z0-9]+", text.lower())
        while words and not words[0][0].isalpha():
            words.pop(0)
        hint = "-".join(words)[:LONGEST].rstrip("-") or "my-head"
        rule = "letters a to z, digits, and `-` or `_` between words, a letter first"
        raise RegistryError(f"{text!r} is not a name for a plugin; use {rule}, such as `{hint}`")
    if len(text) > LONGEST:
        raise RegistryError(f"`{text}` has {len(text)} characters; use at most {LONGEST}")
    words = re.split("[-_]", text.lower())
    names = Names(text, "-".join(words), "_".join(words), "".join(word[0].upper() + word[1:] for word in words))
    if keyword.iskeyword(names.package):
        raise RegistryError(
            f"`{names.package}` is a word of Python, so no package can be called that; {_longer(names)}"
        )
    if names.package in _RESERVED:
        raise RegistryError(f"`{names.package}` means something else to tools or systems; {_longer(names)}")
    if f"{names.stem}Spec" in registry.specs.__all__:
        raise RegistryError(f"`{names.package}` would hide the class `{names.stem}Spec` of the core; {_longer(names)}")
    return names


def check_free(names: Names, kind: str, registry: Registry) -> None:
    """Looks whether anything on this machine has one of the names already.

    Args:
        kind: of the part that is to be registered.
        registry: whose parts and plugins are looked at.

    Raises:
        RegistryError: a module of Python, an installed package or distribution, a plugin, or a part has it.
    """
    package, instead = names.package, _longer(names)
    if package in sys.stdlib_module_names or package in sys.builtin_module_names:
        raise RegistryError(f"`{package}` would hide a module of Python's standard library; {instead}")
    if _importable(package):
        raise RegistryError(f"a package `{package}` is installed here already; {instead}, or uninstall that one first")
    if names.distribution in _needed():
        raise RegistryError(f"`{names.distribution}` is a package that vision-registry uses; {instead}")
    if _installed(names.distribution):
        raise RegistryError(f"a distribution `{names.distribution}` is installed here already; {instead}")
    for record in registry.plugins:
        if package in (record.origin.plugin, record.origin.plugin.replace("-", "_")):
            raise RegistryError(
                f"there is a plugin `{record.origin.plugin}` of {record.origin.distribution}; {instead}"
            )
    for part in registry.host.parts:
        if (part.kind, part.type) == (kind, package):
            raise RegistryError(f"there is a {kind} `{package}` of {part.origin.distribution}; {instead}")


def _longer(names: Names) -> str:
    return f"choose another name, such as `my-{names.distribution}`"


def _importable(package: str) -> bool:
    """True for a module, and for a package without `__init__.py` that some distribution brings; a mere folder is neither."""
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # what is imported and says nothing of where it came from
        return True
    if found is None:
        return False
    return found.origin is not None or package in importlib.metadata.packages_distributions()


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _needed() -> set[str]:
    """Every distribution that the core needs, with any of its extras, installed or not."""
    names = (re.split(r"[^\w.-]", text)[0] for text in importlib.metadata.requires("vision-registry") or ())
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}
