"""The registry that the functions of the package use, and parts that are defined in Python, as notebooks do."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

from registry import artefacts
from registry.errors import PluginError
from registry.host import Registrar, hookimpl
from registry.host.spec_classes import BASES
from registry.registry import Registry
from registry.specs import PartSpec

T = TypeVar("T")
_Key = tuple[str, str]


class _Definition:
    """A part as it was defined; two are never equal, whatever they hold."""

    def __init__(self, spec: Any, target: Any, init: Any) -> None:
        self.spec, self.target, self.init = spec, target, init


_lock = threading.RLock()
#: Parts of the whole process, by kind and type.
_lasting: dict[_Key, _Definition] = {}
#: Those of each open context of this thread or task, the innermost last.
_open: ContextVar[tuple[dict[_Key, _Definition], ...]] = ContextVar("open", default=())
_being_made = False


def default_registry() -> Registry:
    """The registry of every installed plugin and of the parts defined in Python, shared by the functions of this package.

    Raises:
        PluginError: a plugin asks for it while it is loaded.
    """
    global _being_made
    with _lock:
        if _being_made:
            raise PluginError(
                "the registry is asked for something while its plugins are loaded; do that inside a function"
            )
        _being_made = True
        try:
            frames = (_lasting, *_open.get())
            return _registry(tuple({key: one for frame in frames for key, one in frame.items()}.items()))
        finally:
            _being_made = False


artefacts.usual.append(default_registry)


@contextlib.contextmanager
def local_parts() -> Iterator[None]:
    """Parts defined inside this context are forgotten when it ends::

    with registry.local_parts():

        @registry.head(MyHeadSpec)
        def build(spec, backbone, backbone_spec): ...

        model = registry.build("my_model.yaml")

    They are there for this thread or task alone; `contextvars.copy_context().run` hands them to another.
    """
    frame: dict[_Key, _Definition] = {}
    _open.set((*_open.get(), frame))
    try:
        yield
    finally:
        _open.set(tuple(other for other in _open.get() if other is not frame))


def backbone(spec: type[PartSpec], *, init: Callable[..., None] | None = None) -> Callable[[T], T]:
    """Registers what is decorated as what builds a backbone of that spec; see `Registrar.backbone` for how it is called.

    The type is the default of the spec's field `type`. A part holds until the context of `local_parts` ends, or as long as the
    process lives; defining it again, as running a notebook's cell twice does, replaces it.

    Raises:
        PluginError: the class is no spec of that kind, or names no type.
    """
    return _decorator("backbone", spec, init)


def head(spec: type[PartSpec], *, init: Callable[..., None] | None = None) -> Callable[[T], T]:
    """Registers what is decorated as what builds a head of that spec; see `backbone`."""
    return _decorator("head", spec, init)


def task(spec: type[PartSpec]) -> Callable[[T], T]:
    """Registers the decorated class, a `registry.tasks.Task`, as the task of that spec; see `backbone`."""
    return _decorator("task", spec)


def dataset(spec: type[PartSpec]) -> Callable[[T], T]:
    """Registers what is decorated as what builds a dataset of that spec; see `backbone`."""
    return _decorator("dataset", spec)


def recipe(spec: type[T] | None = None) -> type[T]:
    """Registers the decorated spec class as a recipe, which has nothing to build; see `backbone`."""
    if spec is None:
        raise PluginError(
            "a recipe has nothing to build, so its spec class is decorated itself: write @registry.recipe"
        )
    _define("recipe", spec, None, None)
    return spec


def quantization(spec: type[PartSpec]) -> Callable[[T], T]:
    """Registers what is decorated as the quantization scheme of that spec; see `backbone`."""
    return _decorator("quantization", spec)


def export(spec: type[PartSpec]) -> Callable[[T], T]:
    """Registers what is decorated as the export target of that spec; see `backbone`."""
    return _decorator("export", spec)


def _decorator(kind: str, spec: type[PartSpec], init: Callable[..., None] | None = None) -> Callable[[T], T]:
    _type_of(kind, spec)  # a wrong class is told where it is given

    def define(target: T) -> T:
        _define(kind, spec, target, init)
        return target

    return define


def _define(kind: str, spec: Any, target: Any, init: Any) -> None:
    definition = _Definition(spec, target, init)
    key = (kind, _type_of(kind, spec))
    _Defined(((key, definition),)).registry_parts(Registrar.local())  # what is malformed is told here, and not kept
    with _lock:
        (_lasting, *_open.get())[-1][key] = definition


def _type_of(kind: str, spec: Any) -> str:
    base = BASES[kind]
    if not (isinstance(spec, type) and issubclass(spec, base)):
        raise PluginError(f"@registry.{kind} takes a subclass of registry.specs.{base.__name__}, not {spec!r}")
    field = spec.model_fields.get("type")
    name = None if field is None else field.default
    if not isinstance(name, str):
        raise PluginError(f'{spec.__name__} names no type; write: type: Literal["my_{kind}"] = "my_{kind}"')
    return name


class _Defined:
    """A plugin that brings the given parts."""

    __name__ = "notebook"

    def __init__(self, parts: tuple[tuple[_Key, _Definition], ...]) -> None:
        self._parts = parts

    @hookimpl
    def registry_parts(self, register: Registrar) -> None:
        """Registers each part."""
        for (kind, name), part in self._parts:
            more = {"target": part.target} if part.init is None else {"target": part.target, "init": part.init}
            getattr(register, kind)(name, spec=part.spec, **more)


@functools.lru_cache(maxsize=4)
def _registry(parts: tuple[tuple[_Key, _Definition], ...]) -> Registry:
    return Registry([_Defined(parts)], installed=True) if parts else Registry()
