"""What pytest gains where this distribution is installed: two fixtures and a line in the header.

It is loaded in every run of pytest, so it stands apart from the package `registry`, whose import takes longer, and imports
nothing before a fixture asks for it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from registry.registry import Registry


def pytest_report_header() -> str:
    """Versions of the registry and of torch, and the plugins that are installed, none of which is imported for it."""
    versions = [f"{name} {found}" for name in ("vision-registry", "torch") if (found := _version(name)) is not None]
    plugins = sorted({point.name for point in importlib.metadata.entry_points(group="registry")})
    return f"registry: {', '.join(versions)}; plugins: {', '.join(plugins) or 'none'}"


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@pytest.fixture
def isolated_registry() -> Callable[..., Registry]:
    """Makes a registry that knows only the given plugins: `isolated_registry(my_plugin.plugin, other.plugin)`."""

    def make(*plugins: Any) -> Registry:
        from registry.registry import Registry

        return Registry(plugins=plugins)

    return make


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch on one thread, its global random state put back afterwards; small models are faster so, and repeat exactly."""
    torch = pytest.importorskip("torch", reason="needs torch: pip install 'vision-registry[torch]'")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
