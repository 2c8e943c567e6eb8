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
            own = getattr(getattr(backbone, key), "kind", None)
            told = f"{_shown(before)} without weights, {_shown(after)} with"
            yield f"backbone.{key}", f"{own}: {told}" if own else told
    if backbone.trainable_stages is not None:
        when = "with weights, else all" if backbone.freeze == "with_weights" else "always"
        stages = len(backbone.feature_maps())
        yield "trainable stages", f"the last {backbone.trainable_stages} of {stages} stages {when}"


def _shown(value: object) -> str:
    """`batch (eps 1e-05, momentum 0.1)` for a spec that has a kind."""
    dump = getattr(value, "model_dump", None)
    if dump is None:
        return str(value)
    items = dump()
    kind = items.pop("kind", None)
    told = ", ".join(f"{key} {item}" for key, item in items.items())
    return told if kind is None else f"{kind} ({told})"
