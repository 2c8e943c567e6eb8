"""What authors of plugins call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from registry.errors import RegistryError
from registry.testing.outcome import ConformanceError, Outcome

if TYPE_CHECKING:
    from registry.registry import Registry
    from registry.testing.kit import Case, Model, Settings, Variation


def conformance(
    plugin: str,
    *,
    registry: Registry | None = None,
    models: Iterable[Model] | None = None,
    variations: Sequence[Variation] = (),
    skip: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> Callable[..., None]:
    """A pytest test of every check of every part and document of a plugin; write `test_conformance = conformance("my_plugin")`.

    Args:
        plugin: a plugin, `distribution/plugin`, or a distribution, which means all of its plugins.
        registry: where it is; by default among everything installed.
        models: names, paths or specs of models to look at the parts through, before those that the plugin ships.
        variations: settings laid over those models, such as `{"backbone.width_mult": 0.5}`, run and measured too.
        skip: reasons by ids of tests, such as `{"head-my_head-exports_as_declared": "the exporter lacks an operator"}`; ids may
            be shell patterns.
        settings: what parts are tried with that need some, by `kind-type`: `{"dataset-my_dataset": {"folder": "samples"}}`.

    A name that nothing has, or a plugin that failed, is a test that fails and says so.
    """
    import pytest

    from registry.testing.kit import Kit

    try:
        kit = Kit(registry or _installed(), plugin, models=models, variations=variations, skip=skip, settings=settings)
    except RegistryError as error:
        told = str(error)

        def test_conformance() -> None:
            pytest.fail(told, pytrace=False)

        return test_conformance

    @pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in kit.cases])
    def test_each(case: Case) -> None:
        outcome = kit.run(case)
        if outcome.state == "skipped":
            pytest.skip(outcome.message)
        if outcome.state == "failed":
            pytest.fail(f"{case.check.proves}\n{outcome.message}", pytrace=False)

    return test_each


def check_part(
    kind: str,
    type: str,
    *,
    registry: Registry | None = None,
    models: Iterable[Model] | None = None,
    variations: Sequence[Variation] = (),
    skip: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> None:
    """Runs every check of one part; arguments as those of `conformance`.

    Raises:
        UnknownNameError, ConflictError: no plugin, or several, bring such a part.
        ConformanceError: with all that failed.
    """
    from registry.testing.kit import Kit

    registry = registry or _installed()
    kit = Kit(
        registry, registry.host.part(kind, type), models=models, variations=variations, skip=skip, settings=settings
    )
    failed = [outcome for outcome in map(kit.run, kit.cases) if outcome.state == "failed"]
    if failed:
        raise ConformanceError(failed)


def run_checks(
    registry: Registry,
    plugin: str,
    *,
    models: Iterable[Model] | None = None,
    variations: Sequence[Variation] = (),
    skip: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> Iterator[Outcome]:
    """Every check of a plugin, run as the outcomes are asked for; arguments as those of `conformance`.

    Raises:
        UnknownNameError: no plugin has that name.
        RegistryError: it is not loaded, or an argument is meant for nothing.
    """
    from registry.testing.kit import Kit

    kit = Kit(registry, plugin, models=models, variations=variations, skip=skip, settings=settings)
    return map(kit.run, kit.cases)


def _installed() -> Registry:
    from registry import default_registry

    return default_registry()
