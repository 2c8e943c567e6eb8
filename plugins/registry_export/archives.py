"""What a file that torch reads may hold: checked before torch opens it, as torch runs pickled code and file operators in it."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import torch

from registry.artefacts import LONGEST
from registry.errors import RegistryError

#: What reading a damaged archive raises.
_BROKEN = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError)
#: Bytes of what the packed members of an archive unpack to; tensors are stored as they are.
_UNPACKED = 64 * 1024 * 1024
#: Names that the expressions of sizes are made of, beside symbols and functions of torch's.
_SYMBOL = re.compile(r"[a-z]{1,5}\d+")
_FUNCTIONS = frozenset((
    *("Symbol", "Integer", "Rational", "Float", "Add", "Mul", "positive", "nonnegative", "integer", "real", "precision"),
    *("Max", "Min", "Mod", "Abs", "And", "Or", "Not", "Eq", "Ne", "Le", "Lt", "Ge", "Gt", "Pow", "True", "False", "oo"),
    *("floor", "ceiling", "int_oo", "FloorDiv", "ModularIndexing", "Where", "PythonMod", "CleanDiv", "CeilToInt"),
    *("CeilDiv", "FloorToInt", "IntTrueDiv", "FloatTrueDiv", "FloatPow", "PowByNatural", "LShift", "RShift", "TruncToInt"),
    *("RoundToInt", "RoundDecimal", "ToFloat", "TruncToFloat", "Identity", "IntInfinity", "NegativeIntInfinity"),
))  # fmt: skip
#: Operators of TorchScript that reach files; more in a source text are refused than torch would run.
_REACHING = re.compile(r"\b(?:torch|aten)\s*\.\s*(save|load|from_file|_?pickle\w*)\b")


def members(data: bytes, name: str) -> dict[str, bytes]:
    """What an archive holds, by names without the folder that all of it lies in.

    Args:
        name: of the file, for messages.

    Raises:
        RegistryError: it is no archive, a member is damaged or given twice, or it would unpack to far more than it is.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            entries = [entry for entry in packed.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries if entry.compress_type != zipfile.ZIP_STORED) > _UNPACKED:
                raise RegistryError(f"{name} would unpack to more than {_UNPACKED >> 20} MiB, and is not read")
            if len({_inner(entry.filename).lower() for entry in entries}) < len(entries):  # as torch compares names
                raise RegistryError(
                    f"{name} holds a member twice; it is damaged or was altered: export the model again"
                )
            return {_inner(entry.filename): packed.read(entry) for entry in entries}
    except (*_BROKEN, zlib.error) as error:
        raise RegistryError(f"{name} cannot be read: {error}; it may be damaged: export the model again") from error


def _inner(name: str) -> str:
    return name.partition("/")[2] or name


def check_program(data: bytes, name: str) -> None:
    """Refuses a program of `torch.export` in which loading it would run something else.

    Raises:
        RegistryError: a member is pickled code, a library, or an expression that is no size; or the file is damaged.
    """
    found = members(data, name)
    if not any(member.startswith("models/") for member in found):
        raise RegistryError(f"{name} is no file of torch.export; it may be damaged: export the model again")
    strange = next((member for member in found if member != member.lower()), None)
    if strange is not None:
        raise _refused(name, strange, "a name that torch.export does not write")
    pickled = {member for member in found if member.endswith(".pt")}
    for member, content in found.items():
        if member.startswith(("data/aotinductor/", "data/executorch/", "mtia/", "serialized_")):
            raise _refused(name, member, "which torch would run as it loads the file")
        if member.startswith("extra/") and len(content) > 4 * LONGEST:
            raise RegistryError(f"{name}: its metadata has {len(content)} bytes, of at most {4 * LONGEST}")
        if member.endswith("_config.json"):
            pickled |= _pickled(member, content, name)
        if member.startswith("models/"):
            for text in _expressions(_json(content, name)):
                if not is_size(text):
                    raise _refused(name, member, "an expression in it is no size")
    for member in pickled & set(found):
        _check_pickle(found[member], name, member)


def check_script(data: bytes, name: str) -> None:
    """Refuses a program of TorchScript whose code reads or writes files.

    Raises:
        RegistryError: it does, or the file is damaged.
    """
    for member, content in members(data, name).items():
        if member.lower().endswith(".py"):
            text = content.decode("utf-8", "replace").replace("\\\n", "")
            reaching = _REACHING.search(text)
            if reaching is not None:
                raise _refused(name, member, f"it calls `{reaching.group(1)}`, which reaches files")
        if member.startswith("extra/") and len(content) > 4 * LONGEST:
            raise RegistryError(f"{name}: its metadata has {len(content)} bytes, of at most {4 * LONGEST}")


def is_size(text: str) -> bool:
    """True for an expression of numbers, symbols and functions of torch's alone, as sympy writes it in full or in short."""
    text = re.sub(r"'([a-z]{1,5}\d+)'", r"\1", text)
    if re.fullmatch(r"[\w\s+\-*/%(),<>=!&|~.]*", text) is None or re.search(r"[A-Za-z_)]\s*\.|\.\s*[A-Za-z_]", text):
        return False
    return all(_SYMBOL.fullmatch(word) or word in _FUNCTIONS for word in re.findall(r"[A-Za-z_]\w*", text))


def _pickled(member: str, content: bytes, name: str) -> set[str]:
    """Members that a list of tensors says are pickled."""
    listed = _json(content, name).get("config")
    found = set()
    for entry in listed.values() if isinstance(listed, dict) else ():
        path = str(entry.get("path_name", "")) if isinstance(entry, dict) else ""
        if not path.startswith(("weight_", "tensor_")):
            raise _refused(name, path, "an object that is no tensor")
        if "/" in path or ".." in path:
            raise _refused(name, path, "a name that leads elsewhere")
        if entry.get("use_pickle"):
            found.add(f"{member.rpartition('/')[0]}/{path}")
    return found


def _check_pickle(content: bytes, name: str, member: str) -> None:
    try:
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # of many types
        raise _refused(name, member, "it holds more than tensors") from error


def _json(content: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RegistryError(f"{name} is damaged; use a good copy, or export the model again")
    return found


def _expressions(value: Any) -> Iterator[str]:
    """Every text that torch evaluates as an expression, and keys that stand for one."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            for key, inner in each.items():
                if key in ("expr_str", "range_constraints") and isinstance(inner, (str, dict)):
                    yield from [inner] if isinstance(inner, str) else inner
                waiting.append(inner)
        elif isinstance(each, list):
            waiting.extend(each)


def _refused(name: str, member: str, why: str) -> RegistryError:
    return RegistryError(f"{name} is not loaded: its member `{member}`: {why}; export the model again")
