"""An export from model to verified file: written under another name in the same folder, and renamed when all is well."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.artefacts import Artefact, reading_for
from registry.catalog import from_assignments
from registry.errors import MissingExtraError, RegistryError, UnknownNameError
from registry.registry import Registry
from registry.specs import ExportSpec, Finding, ModelSpec
from registry_export.specs import TargetSpec, TorchExportSpec

if TYPE_CHECKING:
    from torch import nn

    from registry_export.verify import Verification

_EXPORT = "export."


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: of the file, of a pair the one that is named.
        artefact: what it says of itself.
        verification: how far it is from the model; None for a target whose files cannot be loaded.
        delegation: how much an accelerated backend took, for targets that hand operators to one; else None.
    """

    path: Path
    artefact: Artefact | None
    size: int
    verification: Verification | None
    delegation: dict[str, Any] | None

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        data: dict[str, Any] = {"file": str(self.path), "bytes": self.size}
        if self.artefact is not None:
            data |= {
                "model": self.artefact.name,
                "target": self.artefact.target,
                "digest": self.artefact.digest,
                "shape": list(self.artefact.shape),
                "dynamic": list(self.artefact.dynamic),
                "parts": list(self.artefact.parts),
            }
        data["verification"] = None if self.verification is None else self.verification.as_data()
        data["delegation"] = self.delegation
        return data


def target_spec(registry: Registry, name: str, assignments: Sequence[str] = ()) -> ExportSpec:
    """The settings of a target.

    Args:
        name: of a document or its path, or a type.
        assignments: `KEY=VALUE` laid over it, with `export.` before each key.

    Raises:
        UnknownNameError, SpecError: no such document, or it is not valid.
    """
    library = registry.library
    try:
        document = library.open(name, "export")
    except UnknownNameError:
        if all((part.kind, part.type) != ("export", name.rpartition("/")[2]) for part in registry.host.parts):
            raise
        text = json.dumps({"kind": "export", "name": "target", "type": name})
        document = library.from_text(text, f"<{name}>", "export")
    root = library.resolve(document)
    own = [text.removeprefix(_EXPORT) for text in assignments if text.startswith(_EXPORT)]
    root = library.overridden(document, root, from_assignments(own))
    spec, _ = library.check(document, root)
    assert isinstance(spec, ExportSpec)
    return spec


def check(spec: ExportSpec, model: ModelSpec, path: Path) -> None:
    """Holds a target against a model and a file's name; needs neither torch nor the engine.

    Raises:
        RegistryError: they do not fit, with the rule.
    """
    if not path.name:
        raise RegistryError(f"`{path}` is a folder; name a file in it that ends in {spec.suffix}")
    if path.suffix.lower() != spec.suffix:
        raise RegistryError(
            f"files of the target `{spec.type}` end in {spec.suffix}; write `{path.with_suffix(spec.suffix)}`"
        )
    found: list[Finding] = list(spec.check_model(model))
    if found:
        told = [f"{each.message}; {each.suggestion} [{each.rule}]" for each in found]
        raise RegistryError("\n".join(told))


def check_installed(spec: ExportSpec) -> None:
    """Raises MissingExtraError where a package that the target needs is not installed."""
    for package in getattr(spec, "packages", ()):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"exporting to {spec.type}", spec.extra, package)  # type: ignore[attr-defined]  # beside packages


def check_companions(target: Path, companions: Sequence[str]) -> None:
    """Refuses to replace what stands where the other files of a pair go and belongs to no such pair.

    Raises:
        RegistryError: names the file.
    """
    for end in companions:
        beside = target.with_suffix(end)
        if beside.is_dir():
            raise RegistryError(f"{beside}, where a part of {target.name} goes, is a folder; choose another name")
        if beside.exists() and not target.exists():
            raise RegistryError(
                f"{beside}, where a part of {target.name} goes, is another file and would be replaced; choose another name"
            )


def exported(
    registry: Registry,
    model: nn.Module,
    spec: ExportSpec,
    path: str | os.PathLike[str],
    *,
    images: Sequence[str | os.PathLike[str]] = (),
) -> Exported:
    """Writes a model and verifies the file.

    Args:
        model: in eval mode, with `spec`; float, or what a quantization scheme returned.
        path: of the file; one that is there is replaced, once the new one is verified.
        images: files to verify on; none: photographs of installed packages, and noise.

    Raises:
        RegistryError: the model does not fit the target, the file differs from the model, or it cannot be written. No file is
            left, and an older one stays as it was.
        MissingExtraError: a package is not installed.
    """
    from registry_export.pictures import blank, verification_inputs
    from registry_export.verify import Verifier

    own: Any = model.spec
    target = Path(path).expanduser()
    check(spec, own, target)
    check_installed(spec)
    task = registry.task(own)
    inputs = verification_inputs(task, own, images)
    write, companions = registry.host.target(spec), getattr(spec, "companions", ())
    check_companions(target, companions)
    model.eval()
    with draft(target) as folder, reading_for(registry):
        file = folder / target.name
        report = write(spec, model, task.collate([inputs[0][1]]), file)
        loads = registry.host.record_of(spec).load is not None
        verification, artefact = None, None
        if loads:

            def again() -> Any:
                other = folder / f"again{target.suffix}"
                write(spec, model, task.collate([inputs[0][1]]), other)
                return registry.load_artefact(other)

            loaded: Any = _loaded(registry, file, spec, own.name)
            artefact = loaded.artefact
            limits = spec if isinstance(spec, TargetSpec) else TorchExportSpec()  # other people's targets may have none
            verification = Verifier(limits, model, task).run(loaded, inputs, blank(task), again)
        files = [file.with_suffix(end) for end in companions] + [file]
        size = sum(each.stat().st_size for each in files)
        _place(files, target)
    return Exported(target, artefact, size, verification, report if isinstance(report, dict) else None)


def _loaded(registry: Registry, file: Path, spec: ExportSpec, name: str) -> nn.Module:
    try:
        return registry.load_artefact(file)
    except RegistryError as error:
        told = str(error).partition("; it may be damaged")[0]
        raise RegistryError(
            f"`{name}` cannot be exported to `{spec.type}`: the file that was written does not run: {told}; no file was left"
        ) from error


@contextlib.contextmanager
def draft(target: Path) -> Iterator[Path]:
    """A folder beside a file in which it is made, removed at the end; those of processes that were killed are removed too.

    Raises:
        RegistryError: there is no such folder, or nothing can be written in it.
    """
    if target.is_dir() or not target.name:
        raise RegistryError(f"{target} is a folder; name a file in it")
    if not target.parent.is_dir():
        raise RegistryError(f"there is no folder {target.parent}; make it first")
    _sweep(target)
    folder = target.parent / f".{target.name[:100]}.{os.getpid()}.tmp"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise RegistryError(f"{target.parent} cannot be written: {error.strerror or error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(target: Path) -> None:
    """Removes drafts of this file whose process ended without doing so."""
    if os.name != "posix":
        return
    for left in target.parent.glob(f".{glob_escaped(target.name[:100])}.*.tmp"):
        number = re.fullmatch(r".*\.(\d+)\.tmp", left.name)
        if number is None or not left.is_dir():
            continue
        try:
            os.kill(int(number.group(1)), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except (PermissionError, OverflowError):
            continue


def glob_escaped(name: str) -> str:
    """A name as a pattern that matches it alone."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _place(files: Sequence[Path], target: Path) -> None:
    """Gives finished files their names, the named one last. Of a pair, the old one goes first, and comes back on failure."""
    before = files[0].with_name("before")
    kept = len(files) > 1 and target.exists()
    try:
        if kept:
            os.replace(target, before)
        for file in files:
            os.replace(file, target.with_suffix(file.suffix))
    except OSError as error:
        if kept and before.exists() and not target.exists():
            os.replace(before, target)
        raise RegistryError(f"{target} cannot be written: {error.strerror or error}") from error
