"""What a name means where several distributions are installed: `distribution/name` always, a bare name while it is unique.

A name that was given up is read as long as nothing else has it, and its new name is unique too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from registry.host.discovery import normal_name
from registry.host.records import Origin
from registry.specs import Rename

#: A name that was given up: by whom, and what took its place.
Former = tuple[str, Rename]


def split(name: str) -> tuple[str, str]:
    """The distribution that a name chooses, spelled as origins are, or an empty text; and the bare name."""
    distribution, slash, bare = name.rpartition("/")
    return normal_name(distribution) if slash else "", bare


def only_rename(distribution: str, former: Iterable[Former], owners: Iterable[str]) -> Rename | None:
    """The rename of a name that was given up, or None.

    Args:
        distribution: whose name is meant; empty for anybody's.
        former: who gave it up.
        owners: distributions that have something of that name now.
    """
    if any(distribution in ("", owner) for owner in owners):
        return None
    found = [rename for owner, rename in former if distribution in ("", owner)]
    return found[0] if len({rename.name for rename in found}) == 1 else None


def choices(origins: Sequence[Origin], name: str) -> str:
    """What to write instead of a bare name that several provide."""
    distributions = list(dict.fromkeys(origin.distribution for origin in origins))
    counts = Counter(origin.distribution for origin in set(origins))
    twice = [one for one in distributions if counts[one] > 1 or len(distributions) == 1]
    if twice:
        own = ", ".join(f"`{distribution}`" for distribution in twice)
        return f"the distribution {own} has it twice: one of them must be renamed, or a plugin blocked"
    return "write " + " or ".join(f"`{distribution}/{name}`" for distribution in distributions)
