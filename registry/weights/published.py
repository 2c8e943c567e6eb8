"""What torchvision publishes for an entry of its weights enums: a url, and the first digits of the file's sha256."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from registry.errors import MissingExtraError, WeightsError
from registry.suggest import did_you_mean
from registry.weights_reference import TorchvisionEntry

# `name-0123abcd.pth`; a few quantized ones are `name_0123abcd.pth`, and some publish ten digits.
_PUBLISHED_DIGITS = re.compile(r"[-_]([0-9a-f]{8,64})\.[a-z]+")


@dataclass(frozen=True)
class Published:
    """A published file: where it is, what to call it, and the known first digits of its sha256 (none: empty)."""

    url: str
    name: str
    digits: str


def find_published(reference: TorchvisionEntry) -> Published:
    """Ask torchvision what it publishes for an entry.

    Raises:
        MissingExtraError: when torchvision is not installed.
        WeightsError: when it has no such enum or entry; the message lists the nearest names.
    """
    models = _torchvision_models()
    try:
        url = str(models.get_weight(f"{reference.enum}.{reference.entry}").url)
    except KeyError:
        _refuse_entry(models, reference)
    except (AttributeError, TypeError, ValueError):
        # torchvision raises a bare TypeError for a name that is there but is no enum, such as the name of a model.
        _refuse_enum(models, reference)
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    digits = _PUBLISHED_DIGITS.search(name)
    return Published(url, name, digits[1] if digits and digits.end() == len(name) else "")


def torch_checkpoints() -> Path:
    """The folder that torch itself keeps fetched weights in, whether or not it exists."""
    import torch.hub

    return Path(torch.hub.get_dir()) / "checkpoints"


def _torchvision_models() -> Any:
    try:
        return importlib.import_module("torchvision.models")
    except ImportError as error:
        raise MissingExtraError("weights published by torchvision", "torch", "torchvision") from error
    except (RuntimeError, OSError, AttributeError) as error:
        # A torchvision built for another torch fails here, while it registers its operators.
        raise WeightsError(
            f"torchvision is installed but cannot be imported ({error}); install the versions of torch and torchvision "
            "that belong together"
        ) from error


def _refuse_entry(models: Any, reference: TorchvisionEntry) -> NoReturn:
    known = {enum.__name__: enum for enum in _enums(models).values()}.get(reference.enum)
    names = list(known.__members__) if known is not None else []
    raise WeightsError(
        f"{reference}: torchvision's {reference.enum} has no entry `{reference.entry}`; "
        f"its entries: {', '.join(names) or 'none'}"
    ) from None


def _refuse_enum(models: Any, reference: TorchvisionEntry) -> NoReturn:
    enums = _enums(models)
    message = f"{reference}: torchvision has no weights enum `{reference.enum}`"
    if reference.enum.lower() in enums:
        own = enums[reference.enum.lower()].__name__
        raise WeightsError(f"{message}; that is the name of a model, whose weights are in {own}") from None
    hint = did_you_mean(reference.enum, {enum.__name__ for enum in enums.values()})
    raise WeightsError(f"{message}; {hint or 'its documentation lists them beside each model'}") from None


def _enums(models: Any) -> dict[str, Any]:
    return {name: models.get_model_weights(name) for name in models.list_models()}
