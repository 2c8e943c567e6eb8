"""The digits written as a folder in COCO's format: once, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from pathlib import Path
from typing import Any, Final

import filelock
import numpy

from registry.cache_root import cache_root
from registry.errors import RegistryError
from registry_data.digits_material import PHOTOGRAPHS, material
from registry_data.digits_scenes import Scene, make_scene
from registry_data.digits_specs import DigitsSpec
from registry_data.names import DIGITS

#: Says what the folder holds, and with which settings it was made.
MARK: Final = "digits.json"
#: Changes whenever the same settings make other pictures.
_VERSION: Final = 1
_FOLDERS: Final = {"train": "train", "validation": "val"}
_QUALITY: Final = 92
_PATIENCE: Final = 600.0


def digits_folder(spec: DigitsSpec) -> Path:
    """The folder of the digits of some settings, made if it is not there.

    It holds annotations/instances_train.json and instances_val.json, and the pictures in train and val. Several processes may
    ask at the same time: one writes, the others wait.

    Raises:
        RegistryError: it cannot be written, or the folder given holds something else.
        MissingExtraError: scikit-learn or scikit-image is not installed.
    """
    settings = _settings(spec)
    try:
        target = Path(spec.root).expanduser().absolute() if spec.root is not None else _cached(settings)
        if _holds(target, settings):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(target.with_name(f".{target.name[:100]}.lock"), timeout=_PATIENCE):
            if not _holds(target, settings):
                _write(target, spec, settings)
        return target
    except filelock.Timeout as error:
        raise RegistryError(
            f"another process has been writing the digits for {_PATIENCE:.0f} s: {error.lock_file}"
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        where = spec.root or "the cache folder (REGISTRY_CACHE)"
        reason = getattr(error, "strerror", None) or error
        raise RegistryError(
            f"the digits cannot be written to {where}: {reason}; set `root` to another folder"
        ) from error


def _settings(spec: DigitsSpec) -> dict[str, Any]:
    return {"version": _VERSION, **spec.model_dump(mode="json", exclude={"root", "type"})}


def _cached(settings: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return cache_root() / "data" / f"digits-{digest[:16]}"


def _holds(target: Path, settings: dict[str, Any]) -> bool:
    """Whether the folder holds the digits of these settings; raises RegistryError where it holds something else."""
    if not target.exists():
        return False
    if not target.is_dir():
        raise RegistryError(f"{target} is no folder, and the digits are one; set `root` to another place")
    mark = target / MARK
    if not mark.is_file():
        if any(target.iterdir()):
            raise RegistryError(f"{target} is not empty and holds no digits; set `root` to a new or empty folder")
        return False
    try:
        found = json.loads(mark.read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("settings") != settings:
        told = found.get("settings", {}) if isinstance(found, dict) else {}
        differ = [key for key in settings if not isinstance(told, dict) or told.get(key) != settings[key]]
        raise RegistryError(
            f"{target} holds digits of other settings ({', '.join(differ)}); set `root` to another folder, or remove this one"
        )
    return True


def _write(target: Path, spec: DigitsSpec, settings: dict[str, Any]) -> None:
    sources = {split: material(split) for split in _FOLDERS}
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        (temporary / "annotations").mkdir(parents=True)
        first = 1
        for split, folder in _FOLDERS.items():
            (temporary / folder).mkdir()
            count = spec.training_images if split == "train" else spec.validation_images
            held = _empty()
            for index in range(count):
                scene = make_scene(spec, split, index, sources[split])
                name = f"{first + index:06d}.jpg"
                scene.picture.save(temporary / folder / name, format="JPEG", quality=_QUALITY, subsampling=0)
                _note(held, scene, name, first + index)
            first += count
            text = json.dumps(held, separators=(",", ":"))
            (temporary / "annotations" / f"instances_{folder}.json").write_text(text, encoding="utf-8")
        mark = {"about": "handwritten digits on photographs", "photographs": PHOTOGRAPHS, "settings": settings}
        (temporary / MARK).write_text(json.dumps(mark, indent=2), encoding="utf-8")
        if target.is_dir():  # an empty one that the user made, which Windows does not replace
            target.rmdir()
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _empty() -> dict[str, Any]:
    info = {
        "description": "scikit-learn's handwritten digits (UCI, Alpaydin and Kaynak) on scikit-image's photographs",
        "version": str(_VERSION),
    }
    categories = [{"id": number, "name": name, "supercategory": "digit"} for number, name in enumerate(DIGITS, start=1)]
    return {"info": info, "licenses": [], "images": [], "annotations": [], "categories": categories}


def _note(held: dict[str, Any], scene: Scene, name: str, number: int) -> None:
    side = scene.picture.width
    held["images"].append({"id": number, "file_name": name, "height": side, "width": side})
    for written in scene.digits:
        held["annotations"].append(
            {
                "id": len(held["annotations"]) + 1,
                "image_id": number,
                "category_id": written.digit + 1,
                "bbox": list(written.box),
                "area": int(written.mask.sum()),
                "iscrowd": 0,
                "segmentation": {"size": [side, side], "counts": run_lengths(written.mask)},
            }
        )


def run_lengths(mask: numpy.ndarray[Any, Any]) -> list[int]:
    """A mask, bool (H, W), as COCO's runs: column by column, zeros first."""
    flat = mask.ravel(order="F")
    changes = numpy.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = numpy.diff(numpy.concatenate(([0], changes, [len(flat)])))
    return ([0] if flat[0] else []) + [int(run) for run in runs]
