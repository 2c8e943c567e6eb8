"""The text that every artefact carries: JSON, checked when it is read.

It says which target wrote the file, which model is in it, with which pre-processing and labels, and what shapes go in.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from registry.errors import RegistryError

#: Version of the text that is written; a newer one is refused.
VERSION = 1
#: Characters of the longest text that is read.
LONGEST = 4 * 1024 * 1024
#: Key under which files keep the text, where their format has keys.
KEY = "vision_registry"


@dataclass(frozen=True)
class Artefact:
    """What a file of an exported model says of itself.

    Attributes:
        target: type of the export part that wrote it.
        settings: of the target, as plain data.
        spec: the model's resolved spec, as plain data.
        plugins: versions of the distributions whose parts the model uses, by name.
        categories: class names in the order of the outputs, or None.
        takes: `batch` for a tensor (N, C, H, W), `images` for a list of tensors (C, H, W).
        shape: of the example: (N, C, H, W), or (C, H, W) for `images`.
        dynamic: which axes may differ from the example: `batch`, `height`, `width`.
        outputs: structure of what comes out, as the target that wrote it describes it.
        parts: names of the parts that the file holds, for a model that was split; else empty.
        quantization: settings of the scheme, or None for a float model.
        files: SHA-256 of each file that belongs to it, by the end of its name.
        size: bytes of all its files; 0 until it is read from one.
    """

    target: str
    settings: dict[str, Any]
    spec: dict[str, Any]
    plugins: dict[str, str]
    categories: tuple[str, ...] | None
    takes: str
    shape: tuple[int, ...]
    dynamic: tuple[str, ...] = ()
    outputs: Any = "tensor"
    parts: tuple[str, ...] = ()
    quantization: dict[str, Any] | None = None
    files: dict[str, str] = field(default_factory=dict)
    size: int = 0

    @property
    def name(self) -> str:
        """The model's."""
        return str(self.spec.get("name", "model"))

    @property
    def digest(self) -> str:
        """SHA-256 of all that it says, as hex digits."""
        return hashlib.sha256(_plain(self._body()).encode()).hexdigest()

    def _body(self) -> dict[str, Any]:
        body = asdict(self)
        del body["size"]
        return body

    def to_text(self) -> str:
        """JSON that `from_text` reads.

        Raises:
            RegistryError: it is longer than artefacts may carry.
        """
        text = _plain({"format": "vision-registry", "version": VERSION, "digest": self.digest, **self._body()})
        if len(text) > LONGEST:
            raise RegistryError(f"`{self.name}`: its metadata would be {len(text)} characters, of at most {LONGEST}")
        return text

    @classmethod
    def from_text(cls, text: str | bytes | None, name: str) -> Artefact:
        """Reads what `to_text` wrote.

        Args:
            name: of the file, for messages.

        Raises:
            RegistryError: there is none, it is damaged or altered, or a newer release wrote it.
        """
        if not text:
            raise RegistryError(f"{name} has no metadata of a registry; export the model with: registry export MODEL")
        if len(text) > LONGEST:
            raise RegistryError(f"{name}: its metadata has {len(text)} characters, of at most {LONGEST}")
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise RegistryError(f"{name}: its metadata is no JSON; the file is damaged: use a good copy") from None
        if not isinstance(data, dict) or data.get("format") != "vision-registry":
            raise RegistryError(f"{name}: its metadata is not that of a registry; export the model again")
        version = data.get("version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise RegistryError(f"{name}: its metadata has no version; the file is damaged: use a good copy")
        if version > VERSION:
            raise RegistryError(
                f"{name} has format version {version}, and this release reads versions up to {VERSION}; "
                "install a newer vision-registry, or export the model again"
            )
        digest = data.pop("digest", None)
        try:
            found = _from_data(data)
        except (KeyError, TypeError, ValueError):
            raise RegistryError(f"{name}: its metadata lacks what it must hold; use a good copy") from None
        if digest != found.digest:
            raise RegistryError(f"{name}: its metadata was altered or damaged; use a good copy")
        return found

    def sized(self, *paths: str | os.PathLike[str]) -> Artefact:
        """The same, with the size of its files."""
        return replace(self, size=sum(os.path.getsize(path) for path in paths))


def _plain(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _from_data(data: dict[str, Any]) -> Artefact:
    def mapping(key: str, kind: type = object) -> dict[str, Any]:
        value = data[key]
        if not isinstance(value, dict) or not all(isinstance(each, kind) for each in value.values()):
            raise TypeError(key)
        return value

    def sequence(key: str, kind: type) -> tuple[Any, ...]:
        value = data[key]
        if not isinstance(value, list) or not all(isinstance(each, kind) for each in value):
            raise TypeError(key)
        return tuple(value)

    if data["takes"] not in ("batch", "images") or not isinstance(data["target"], str):
        raise ValueError("takes")
    if len(data["shape"]) != (4 if data["takes"] == "batch" else 3) or not all(
        type(side) is int and side > 0 for side in data["shape"]
    ):
        raise ValueError("shape")
    for key in ("largest", "largest_batch"):  # of targets that have such limits
        if key in data["settings"] and not (type(data["settings"][key]) is int and data["settings"][key] > 0):
            raise ValueError(key)
    return Artefact(
        target=data["target"],
        settings=mapping("settings"),
        spec=mapping("spec"),
        plugins=mapping("plugins", str),
        categories=None if data["categories"] is None else sequence("categories", str),
        takes=data["takes"],
        shape=sequence("shape", int),
        dynamic=sequence("dynamic", str),
        outputs=data["outputs"],
        parts=sequence("parts", str),
        quantization=None if data["quantization"] is None else mapping("quantization"),
        files=mapping("files", str),
    )
