"""Whether the processor at hand multiplies and adds eight-bit integers without overflow."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

#: Flags of such instructions in Linux's list.
_FLAGS = {"avx512_vnni", "avx_vnni", "asimddp", "amx_int8"}


@functools.cache
def has_dot_products() -> bool:
    """True where it has dot-product instructions (VNNI, SDOT); elsewhere on x86 sums of two products stop at 16 bits."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return True  # products are widened there
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.lower().startswith(("flags", "features"))), "")
    return bool(_FLAGS & set(flags.split()))
