"""State dicts in the archives that `torch.save` writes, their tensors memory mapped.

This gives what `torch.load(weights_only=True, mmap=True)` gives, about three times as fast, for archives that hold tensors of
common types and plain values alone. The format: `torch.serialization` and torch's notes on serialization semantics.
"""

from __future__ import annotations

import struct
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from registry.weights.pickled import Function, NotPlainError, values_of

if TYPE_CHECKING:
    import torch
    from torch import nn

#: Names of storages in pickles, and of their types in torch.
_TYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
#: Before the bytes of a record: a signature, 22 bytes, and the lengths of the name and of what else comes before the bytes.
_HEADER = struct.Struct("<4s22xHH")
_SIGNATURE = b"PK\x03\x04"


class _Storage:
    """Numbers of one type in an archive."""

    def __init__(self, held: torch.UntypedStorage, dtype: torch.dtype, count: int) -> None:
        self.held, self.dtype, self.count = held, dtype, count


def read_archive(path: Path) -> Any:
    """What an archive holds. Changing its tensors changes memory, never the file.

    Raises:
        NotPlainError: it holds anything but tensors of common types, dicts, lists, tuples, numbers and texts, or is damaged.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _read(archive, file, path)
        except (zipfile.BadZipFile, KeyError, IndexError, UnicodeDecodeError, struct.error) as error:
            raise NotPlainError(str(error)) from error


def _read(archive: zipfile.ZipFile, file: BinaryIO, path: Path) -> Any:
    import torch

    folder = archive.infolist()[0].filename.partition("/")[0]
    # torch wrote no record of the byte order before 2.1, and reads those as little endian
    orders = [record for record in archive.infolist() if record.filename == f"{folder}/byteorder"]
    if [archive.read(record).decode() for record in orders] not in ([], [sys.byteorder]) or sys.byteorder != "little":
        raise NotPlainError("the bytes are in another order")
    size = path.stat().st_size
    mapped = torch.UntypedStorage.from_file(str(path), False, size)
    storages: dict[str, _Storage] = {}

    def stored(identity: Any) -> _Storage:
        kind, dtype, key, location, count = identity
        if kind != "storage" or type(dtype) is not torch.dtype or location == "meta" or count < 0:
            raise NotPlainError("something else than a storage lies outside")
        if key not in storages:
            length = count * dtype.itemsize
            record = archive.getinfo(f"{folder}/data/{key}")
            start = _start(file, record.header_offset)
            if record.compress_type != zipfile.ZIP_STORED or length > record.file_size or start + length > size:
                raise NotPlainError(f"the record {record.filename} is too short")
            held = mapped[start : start + length] if length else mapped[:0]
            storages[key] = _Storage(held, dtype, count)
        if storages[key].dtype is not dtype:
            raise NotPlainError(f"the record {key} has two types")
        return storages[key]

    known = {
        **{f"torch {name}": getattr(torch, dtype) for name, dtype in _TYPES.items()},
        "collections OrderedDict": Function(OrderedDict),
        "torch._utils _rebuild_tensor_v2": Function(_tensor),
        "torch._utils _rebuild_parameter": Function(_parameter),
    }
    return values_of(archive.read(f"{folder}/data.pkl"), known, stored)


def _start(file: BinaryIO, header: int) -> int:
    """Where a record's bytes begin."""
    file.seek(header)
    signature, name, extra = _HEADER.unpack(file.read(_HEADER.size))
    if signature != _SIGNATURE:
        raise NotPlainError("a record has no header")
    return header + _HEADER.size + int(name) + int(extra)


def _tensor(
    storage: Any, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], requires_grad: bool, hooks: Any
) -> torch.Tensor:
    import torch

    if type(storage) is not _Storage or hooks or len(shape) != len(stride) or min((offset, *shape, *stride)) < 0:
        raise NotPlainError("a tensor is not plain")
    last = offset + sum((length - 1) * step for length, step in zip(shape, stride, strict=True))
    if 0 not in shape and last >= storage.count:
        raise NotPlainError("a tensor ends behind its storage")
    tensor = torch.empty(0, dtype=storage.dtype, device="cpu").set_(storage.held, offset, shape, stride)
    return tensor.requires_grad_() if requires_grad else tensor


def _parameter(data: Any, requires_grad: bool, hooks: Any) -> nn.Parameter:
    import torch
    from torch import nn

    if not isinstance(data, torch.Tensor) or hooks:
        raise NotPlainError("a parameter is not plain")
    return nn.Parameter(data, requires_grad=bool(requires_grad))
