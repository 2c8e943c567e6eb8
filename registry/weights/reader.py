"""Reading state dicts, without ever running what a file holds."""

from __future__ import annotations

import contextlib
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.errors import MissingExtraError, WeightsError
from registry.weights.archive import read_archive
from registry.weights.contents import TORCH_READABLE, Contents, contents_of
from registry.weights.header import check_length, read_header, read_metadata
from registry.weights.pickled import NotPlainError
from registry.weights.unwrap import state_dict_in
from registry.weights_reference import SUFFIXES

if TYPE_CHECKING:
    import torch

__all__ = ["read_metadata", "read_state_dict"]

_SAFE_SUFFIX = SUFFIXES[0]
_WANTED_CODE = re.compile(r"GLOBAL (\S+)")
_SAVE_AGAIN = "save model.state_dict() with torch.save or as safetensors"
_FETCH_AGAIN = "fetch or save it again"
_REMEDIES = {
    Contents.TORCHSCRIPT: f"if you trust it, load it with torch.jit.load yourself and {_SAVE_AGAIN}",
    Contents.CUT_ZIP: _FETCH_AGAIN,
    Contents.EMPTY: _FETCH_AGAIN,
    Contents.WEB_PAGE: "fetch the weights file itself, not the page that offers it",
    Contents.LFS_POINTER: "run `git lfs pull` where it comes from",
    Contents.TAR: f"if you trust it, load it yourself and {_SAVE_AGAIN}",
    Contents.PICKLE: f"if you trust it, load it yourself and {_SAVE_AGAIN}",
}


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a weights file.

    The tensors are memory mapped where the format allows: the file must stay as it is while they are in use. Changing
    them changes memory, never the file.

    Args:
        path: a `.safetensors` file, or a `.pth` or `.pt` file that torch.save wrote. A checkpoint may wrap its state
            dict under `model`, `state_dict`, `model_state_dict` or, when none of these holds one, `model_ema`; names
            that all start with `module.` lose that.

    Raises:
        MissingExtraError: when torch or safetensors is not installed.
        WeightsError: when the file cannot be read, or holds something else.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise WeightsError(f"{path}: weights files end in {', '.join(SUFFIXES)}; rename it to say which it is")
    contents = contents_of(path)
    safe = path.suffix == _SAFE_SUFFIX
    if safe and contents in TORCH_READABLE:
        raise WeightsError(f"{path} {contents.value}, not safetensors; rename it to end in .pth")
    if not safe and contents is Contents.SAFETENSORS:
        raise WeightsError(f"{path} {contents.value}, not what torch.save writes; rename it to end in {_SAFE_SUFFIX}")
    if contents in _REMEDIES:
        raise WeightsError(f"{path} {contents.value}; {_REMEDIES[contents]}")
    if contents in (Contents.TEXT, Contents.OTHER_ZIP) or (not safe and contents not in TORCH_READABLE):
        raise WeightsError(f"{path} {contents.value}; give a file of tensors: {_SAVE_AGAIN}")
    held = _safetensors(path) if safe else _torch(path, mapped=contents is Contents.TORCH_ZIP)
    return state_dict_in(held, str(path))


def _safetensors(path: Path) -> Any:
    check_length(path, read_header(path))
    try:
        import safetensors.torch
    except ImportError as error:
        raise MissingExtraError(f"reading {path.name}", "torch", "safetensors") from error
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:  # the header is JSON of any shape, so the library can stumble anywhere
        raise _unreadable(path, error) from error


def _torch(path: Path, *, mapped: bool) -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(f"reading {path.name}", "torch", "torch") from error
    if mapped:
        # whatever this does not know is torch's to read or to refuse
        with contextlib.suppress(NotPlainError, OSError):
            return read_archive(path)
    try:
        return torch.load(str(path), map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        wanted = _WANTED_CODE.search(str(error))
        asks = f"asks for {wanted[1]}" if wanted else "asks for something"
        raise WeightsError(
            f"{path} holds more than tensors: it {asks}, which could run code, so nothing was read; if you trust it, "
            f"load it yourself and {_SAVE_AGAIN}"
        ) from error
    except Exception as error:  # a damaged pickle makes torch stumble anywhere
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> WeightsError:
    # torch's errors go on for a page; the first sentence says what it is.
    said = (str(error).strip() or type(error).__name__).splitlines()[0].partition(". ")[0]
    return WeightsError(f"{path} cannot be read ({said}); if it was cut short or damaged, {_FETCH_AGAIN}")
