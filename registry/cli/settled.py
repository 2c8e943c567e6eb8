"""What of a backbone depends on whether weights are loaded, in words."""

from __future__ import annotations

from collections.abc import Iterator

from registry.specs import BackboneSpec


def depending_on_weights(backbone: BackboneSpec) -> Iterator[tuple[str, str]]:
    """Each such setting with what it means without and with weights."""
    without, loaded = (backbone.settled(pretrained=pretrained) for pretrained in (False, True))
    for key in type(backbone).model_fields:
        before, after = getattr(without, key), getattr(loaded, key)
        if before != after and key != "trainable_stages":
            yield key, f"{_shown(before)} without weights; {_shown(after)} with weights"
    if backbone.trainable_stages is not None:
        when = "with weights, else all" if backbone.freeze == "with_weights" else "always"
        stages = len(backbone.feature_maps())
        yield "trained", f"the last {backbone.trainable_stages} of {stages} stages {when}"


def _shown(value: object) -> str:
    dump = getattr(value, "model_dump", None)
    return str(value) if dump is None else " ".join(str(item) for pair in dump().items() for item in pair)
