"""`importlib.metadata` imported when somebody asks it for something.

pydantic imports it at the first validation, to look for plugins of its own, which the command line has switched off. That takes
5 % of the time of a start.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_NAME = "importlib.metadata"


class _Later(ModuleType):
    """Stands for the module until an attribute of it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_module(), name)

    @staticmethod
    def entry_points(**parameters: Any) -> Any:
        """As that of the module, which importing this name alone does not import."""
        return _module().entry_points(**parameters)


def _module() -> ModuleType:
    if isinstance(sys.modules.get(_NAME), _Later):
        del sys.modules[_NAME]
    return importlib.import_module(_NAME)


def put_off() -> None:
    """Lets the module stand aside until it is used, unless it was imported already."""
    spec = find_spec(_NAME)
    if _NAME in sys.modules or spec is None:
        return
    later = _Later(_NAME)
    later.__spec__, later.__path__ = spec, list(spec.submodule_search_locations or ())
    sys.modules[_NAME] = later
    importlib.metadata = later  # as importing a module does
