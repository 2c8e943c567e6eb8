"""The object that a plugin's hook is given: it checks each registration and notes who made it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Union

from registry.errors import PluginError
from registry.host.records import (
    CatalogRecord,
    CategoriesRecord,
    CommandRecord,
    Contribution,
    Origin,
    PartRecord,
    RulesRecord,
)
from registry.host.spec_classes import checked
from registry.specs import PartSpec

#: Where a spec class or a target is, or the thing itself.
Spec = Union[str, type[PartSpec]]
Target = Union[str, Callable[..., Any]]
#: Names that were given up, each with the release that reads it no longer.
Renames = Mapping[str, str]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_RELEASE = re.compile(r"[0-9][0-9A-Za-z.+!-]*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class Registrar:
    """Takes the registrations of one plugin.

    Every method raises `PluginError` for a malformed name, target or path; then nothing of the plugin is kept.

    Specs, targets and initialisers are given as `module:attribute`, which is imported when somebody needs it. What is
    defined in Python at hand, as in a notebook or a test, can be given as the object itself.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.contribution = Contribution()
        self._closed = False

    def close(self) -> None:
        """Takes no more registrations: the hook has ended."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise PluginError(f"{self._origin} registers something after its hook ended; do it inside the hook")

    @classmethod
    def local(cls) -> Registrar:
        """One for a part that is given in Python."""
        return cls(Origin("notebook", "local", "0"))

    def backbone(
        self, type: str, *, spec: Spec, target: Target, init: Target | None = None, renames: Renames | None = None
    ) -> None:
        """A backbone.

        Args:
            type: name that documents use.
            spec: `module:class` of a BackboneSpec.
            target: `module:function`, called as `build(spec)`; returns an `nn.Sequential` of named stages whose
                sub-module paths are those of `spec.feature_maps()`.
            init: `module:function`, called as `init(spec, module)` after the whole model is put together, and only when
                no weights fill it.
            renames: types that it gave up, each with the release that reads it no longer; documents that name them get a
                warning.
        """
        self._part("backbone", type, spec, target, init, renames)

    def head(
        self, type: str, *, spec: Spec, target: Target, init: Target | None = None, renames: Renames | None = None
    ) -> None:
        """A head. `target` is called as `build(spec, backbone, backbone_spec)` and returns the whole model; see `backbone`."""
        self._part("head", type, spec, target, init, renames)

    def task(self, type: str, *, spec: Spec, target: Target, renames: Renames | None = None) -> None:
        """A task. `target` is a `registry.tasks.Task`, called as `Task(spec, categories)`."""
        self._part("task", type, spec, target, renames=renames)

    def dataset(self, type: str, *, spec: Spec, target: Target, renames: Renames | None = None) -> None:
        """A dataset.

        `target` is called as `build(spec, split)`, with the split `train` or `validation`, and returns something with a length
        whose items are pairs of an RGB `PIL.Image` and what the task's `collate_targets` takes a list of.
        """
        self._part("dataset", type, spec, target, renames=renames)

    def recipe(self, type: str, *, spec: Spec, target: Target | None = None, renames: Renames | None = None) -> None:
        """A training recipe; one that is pure data has no target."""
        self._part("recipe", type, spec, target, renames=renames)

    def quantization(self, type: str, *, spec: Spec, target: Target, renames: Renames | None = None) -> None:
        """A quantization scheme.

        `target` is called as `quantize(spec, model, batches)`: a model in eval mode, left as it is, and an iterable of inputs
        to calibrate with; it returns the quantized model.
        """
        self._part("quantization", type, spec, target, renames=renames)

    def export(
        self, type: str, *, spec: Spec, target: Target, load: Target | None = None, renames: Renames | None = None
    ) -> None:
        """An export target.

        `target` is called as `export(spec, model, inputs, path)`: a model in eval mode, one batch for it, and where to write
        the file, which is complete or absent afterwards. `load` is called as `load(path)` and returns an `nn.Module` in eval
        mode that takes and returns what the model did, with the attributes `spec` and `artefact`, a
        `registry.artefacts.Artefact`; files of a target without it cannot be used again.
        """
        self._part("export", type, spec, target, renames=renames, load=load)

    def catalog(self, package: str, folder: str) -> None:
        """A folder of YAML documents inside an importable package, which is not imported for it."""
        self.contribution.catalogs.append(CatalogRecord(self._folder("catalog", package, folder), self._origin))

    def categories(self, name: str, package: str, file: str) -> None:
        """A list of class names: a UTF-8 text file inside a package, one name a line, in the order of the outputs."""
        self._check_open()
        self._check_name(name)
        path = self._inside(package, file)
        if not path.is_file():
            raise PluginError(f"register.categories: there is no file `{file}` in the package `{package}`")
        self.contribution.categories.append(CategoriesRecord(name, path, self._origin))

    def rules(self, package: str, folder: str) -> None:
        """A folder of Markdown pages inside a package, `ID.md` for each rule that the plugin's checks report.

        A page begins with `# ID: title`, and has a wrong and a right example; see `registry.host.rule_pages`. Ids of the core
        begin with REG; choose other letters for yours.
        """
        self.contribution.rules.append(RulesRecord(self._folder("rules", package, folder), self._origin))

    def command(self, name: str, *, target: str, summary: str) -> None:
        """A verb of the command line: `target` is a `click.Command`, `summary` its line in `registry --help`."""
        self._check_open()
        self._check_name(name)
        self._check_target("target", target)
        if not isinstance(summary, str) or not summary.strip():
            raise PluginError(
                f"register.command: the summary of `{name}` is its line in `registry --help`, not {summary!r}"
            )
        if any(command.name == name for command in self.contribution.commands):
            raise PluginError(f"register.command: the verb `{name}` is registered twice")
        self.contribution.commands.append(CommandRecord(name, target, summary, self._origin))

    def _part(
        self,
        kind: str,
        type: str,
        spec: Spec,
        target: Target | None,
        init: Target | None = None,
        renames: Renames | None = None,
        load: Target | None = None,
    ) -> None:
        self._check_open()
        self._check_name(type)
        for label, value in (("spec", spec), ("target", target), ("init", init), ("load", load)):
            if value is not None:
                self._check_target(label, value)
        if any((part.kind, part.type) == (kind, type) for part in self.contribution.parts):
            raise PluginError(f"register.{kind}: the type `{type}` is registered twice")
        if renames is not None and not isinstance(renames, Mapping):
            raise PluginError(f"register.{kind}: renames are a mapping of old types to releases, not {renames!r}")
        for old, until in (renames or {}).items():
            self._check_name(old)
            if not isinstance(until, str) or not _RELEASE.fullmatch(until):
                raise PluginError(f"register.{kind}: {until!r} is no release; write renames={{{old!r}: '2.0'}}")
        given_up = tuple((renames or {}).items())
        record = PartRecord(kind, type, spec, target, init, self._origin, given_up, load)
        if not isinstance(spec, str):
            checked(record, spec)
        self.contribution.parts.append(record)

    @staticmethod
    def _check_name(name: str) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(f"{name!r} is not a name: use lower-case letters, digits, `_`, `-` and `.`")

    @staticmethod
    def _check_target(label: str, value: object) -> None:
        if callable(value):
            return
        if not isinstance(value, str) or not _TARGET.fullmatch(value):
            raise PluginError(f"{label}={value!r} is not of the form 'module:attribute'")

    def _folder(self, method: str, package: str, folder: str) -> Path:
        self._check_open()
        path = self._inside(package, folder)
        if not path.is_dir():
            raise PluginError(f"register.{method}: there is no folder `{folder}` in the package `{package}`")
        return path

    @staticmethod
    def _inside(package: str, relative: str) -> Path:
        """The path of something in a package's folder, found without importing the package."""
        named = isinstance(package, str) and package.isidentifier()
        found = importlib.util.find_spec(package) if named else None
        if found is None or not found.submodule_search_locations:
            raise PluginError(f"there is no package `{package}` to find `{relative}` in")
        root = Path(found.submodule_search_locations[0]).resolve()
        path = (root / relative).resolve()
        if not path.is_relative_to(root):
            raise PluginError(f"`{relative}` leaves the package `{package}`")
        return path
