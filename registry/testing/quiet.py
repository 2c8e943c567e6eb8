"""Running code of plugins without its noise, and without a trace in torch's global state."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*, torch: bool) -> Iterator[None]:
    """Without warnings; with torch on one thread, and its global random state put back afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not torch:
            yield
            return
        from registry.assemble import require_torch

        require_torch("this check")
        import torch as torch_module

        threads = torch_module.get_num_threads()
        torch_module.set_num_threads(1)
        try:
            with torch_module.random.fork_rng(devices=[]):
                yield
        finally:
            torch_module.set_num_threads(threads)
