"""Loading one plugin after the other, each under its own guard, so that a broken one takes no other down."""

from __future__ import annotations

import contextlib
import inspect
import sys
import time
import warnings
from typing import Any

import pluggy

from registry.errors import PluginError
from registry.host import hookspecs
from registry.host.compatibility import refuse_newer
from registry.host.discovery import Candidate
from registry.host.heavy import HeavyImports
from registry.host.records import Contribution, Origin, PluginRecord
from registry.host.registrar import Registrar
from registry.suggest import did_you_mean

#: Characters of an error that are shown.
_LONGEST = 1000


class Loader:
    """Imports plugins and calls their hooks."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager("registry")
        self._manager.add_hookspecs(hookspecs)

    def load(self, candidate: Candidate) -> PluginRecord:
        """A plugin's record; of one that fails nothing but the reason stays."""
        origin = candidate.origin
        if not candidate.enabled:
            return PluginRecord(origin, "disabled", None, 0.0, Contribution())
        started = time.perf_counter()
        heavy = HeavyImports()
        try:
            # what a plugin prints is no part of a verb's output, and the warnings of others are not its business
            with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
                refuse_newer(candidate.requires, origin)
                contribution = self._call_hooks(origin, candidate.load())
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # whatever a plugin does, the others must work
            text = _one_line(error)
            return PluginRecord(origin, "failed", text, time.perf_counter() - started, Contribution())
        seconds = time.perf_counter() - started
        return PluginRecord(origin, "loaded", None, seconds, contribution, heavy.told("loading it", seconds))

    def _call_hooks(self, origin: Origin, plugin: Any) -> Contribution:
        others = self._manager.get_plugins()
        if any(other is plugin for other in others):
            return Contribution()  # a second entry point for the same module
        name = f"{origin.distribution}/{origin.plugin}"
        while self._manager.has_plugin(name):
            name += "+"  # several objects of one class
        registrar = Registrar(origin)
        try:
            refuse_newer(getattr(plugin, "requires_registry", None), origin)
            self._manager.register(plugin, name)
            self._refuse_unknown_hooks(plugin)
            self._registry_parts(others, registrar)
        except BaseException:
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            raise
        finally:
            registrar.close()
        return registrar.contribution

    def _registry_parts(self, others: set[Any], registrar: Registrar) -> None:
        """The hook `registry_parts`, called on the newest plugin alone so that each registration has one author."""
        self._manager.subset_hook_caller("registry_parts", others)(register=registrar)

    def _refuse_unknown_hooks(self, plugin: Any) -> None:
        known = [name for name in vars(hookspecs) if name.startswith("registry_")]
        names = (name for name in dir(plugin) if not name.startswith("__"))
        marked = [name for name in names if self._manager.parse_hookimpl_opts(plugin, name) is not None]
        for name in marked:
            if name not in known:
                raise PluginError(f"there is no hook `{name}`; {did_you_mean(name, known)}")
            if inspect.iscoroutinefunction(getattr(plugin, name)) or inspect.isgeneratorfunction(getattr(plugin, name)):
                raise PluginError(f"`{name}` is a coroutine or a generator, which nobody runs; write a plain function")
        if not marked:
            hooks = ", ".join(f"`{name}`" for name in known)
            raise PluginError(f"it implements no hook; mark a function called {hooks} with @registry.hookimpl")


def _one_line(error: BaseException) -> str:
    """What a plugin raised, whatever it is, on one line of bounded length."""
    try:
        text = " ".join(str(error).split())
    except KeyboardInterrupt:
        raise
    except BaseException:
        text = "it cannot say why"
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"
