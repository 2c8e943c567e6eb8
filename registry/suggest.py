"""Nearest names, for every message that says "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, limit: int = 3) -> list[str]:
    """Up to `limit` known names that look like `name`, the closest first."""
    import difflib  # 15 ms of start-up that only mistakes need

    by_folded = {candidate.lower().replace("-", "_"): candidate for candidate in known}
    folded = name.lower().replace("-", "_")
    if folded in by_folded and by_folded[folded] != name:
        return [by_folded[folded]]
    close = difflib.get_close_matches(folded, by_folded, n=limit, cutoff=0.6)
    if not close and len(folded) >= 3:
        close = sorted(candidate for candidate in by_folded if folded in candidate)[:limit]
    return [by_folded[candidate] for candidate in close]


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """`did you mean ...?` with the nearest names, else the known names if they are few, else None."""
    known = sorted(set(known))
    close = nearest(name, known)
    if close:
        return "did you mean " + " or ".join(f"`{candidate}`" for candidate in close) + "?"
    if 0 < len(known) <= 12:
        return "known: " + ", ".join(f"`{candidate}`" for candidate in known)
    return None
