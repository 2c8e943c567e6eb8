"""The kit: every check of a plugin's parts and documents, run one at a time."""

from __future__ import annotations

import fnmatch
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from registry.catalog import Document
from registry.errors import MissingExtraError, RegistryError
from registry.host.records import PartRecord
from registry.specs import ModelSpec, Spec
from registry.suggest import did_you_mean
from registry.testing.bench import Bench
from registry.testing.check import Check
from registry.testing.checks import CHECKS
from registry.testing.choice import chosen
from registry.testing.outcome import Outcome, Skipped, State, case_id
from registry.testing.quiet import quiet
from registry.testing.subjects import DocumentSubject, PartSubject, PluginSubject, Subject

if TYPE_CHECKING:
    from registry.registry import Registry

#: A model by name or path, or a spec in hand.
Model = Union[str, "os.PathLike[str]", ModelSpec]
#: Dotted settings laid over a model.
Variation = Mapping[str, Any]
#: What parts are tried with, by `kind-type`.
Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Case:
    """One check of one subject."""

    subject: Subject
    check: Check

    @property
    def id(self) -> str:
        """`head-my_head-name_of_the_check`."""
        return case_id(self.subject.label, self.check.name)


class Kit:
    """Checks of a plugin.

    Args:
        plugin: a plugin, `distribution/plugin`, or a distribution, which means all of its plugins; or the record of one part.
        models: models to look at the parts through, before those that the plugin ships.
        variations: settings laid over those models, run and measured too; each must suit one of them at least.
        skip: reasons by ids of cases, which may be shell patterns.
        settings: what parts are tried with, by `kind-type`, such as `{"dataset-my_dataset": {"folder": "samples"}}`.

    Raises:
        UnknownNameError: no plugin has that name.
        RegistryError: it is not loaded; a variation suits no model; `skip` or `settings` name nothing; settings are not valid.
    """

    def __init__(
        self,
        registry: Registry,
        plugin: str | PartRecord,
        *,
        models: Iterable[Model] | None = None,
        variations: Sequence[Variation] = (),
        skip: Mapping[str, str] | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.registry = registry
        self.settings = dict(settings or {})
        self._variations = tuple(variations)
        self._skip = dict(skip or {})
        self._benches: dict[str, Bench] = {}
        self._results: dict[tuple[str, str], list[str] | Skipped] = {}
        self._parameters: dict[str, float] = {}
        self._specs: dict[int, tuple[Document, Spec | None]] = {}
        origin = f"{plugin.origin.distribution}/{plugin.origin.plugin}" if isinstance(plugin, PartRecord) else plugin
        self.records = chosen(registry, origin)
        self.given = [registry.load_spec(model) for model in models or ()]
        origins = {(record.origin.distribution, record.origin.plugin) for record in self.records}
        shipped = [document for document in registry.library.catalog.documents if document.origin is not None]
        self.documents = [d for d in shipped if d.origin and (d.origin.distribution, d.origin.plugin) in origins]
        beside = {distribution for distribution, _ in origins}
        #: of the plugin's distribution, which is installed as a whole
        self._beside = [d for d in shipped if d.origin and d.origin.distribution in beside and d not in self.documents]
        subjects = [PartSubject(self, plugin)] if isinstance(plugin, PartRecord) else list(self._subjects())
        self.cases = [Case(s, check) for s in subjects for check in CHECKS if s.groups & check.groups]
        self._refuse_what_is_meant_for_nothing({s.id: s for s in subjects if isinstance(s, PartSubject)})

    def _subjects(self) -> Iterator[Subject]:
        for record in self.records:
            yield PluginSubject(self, record)
            yield from (PartSubject(self, part) for part in record.contribution.parts)
        yield from (DocumentSubject(self, document) for document in self.documents)

    def _refuse_what_is_meant_for_nothing(self, parts: Mapping[str, PartSubject]) -> None:
        for name in self.settings:
            if name not in parts:
                hint = did_you_mean(name, parts)
                raise RegistryError(f"settings: no part is called `{name}`" + (f"; {hint}" if hint else ""))
            parts[name].given()
        ids = [case.id for case in self.cases]
        for pattern in self._skip:
            if not fnmatch.filter(ids, pattern):
                hint = did_you_mean(pattern, ids)
                raise RegistryError(f"skip: no check is called `{pattern}`" + (f"; {hint}" if hint else ""))
        for variation in self._variations:
            if not any(self._takes(spec, variation) for spec in [*self.given, *self.own_models()]):
                raise RegistryError(
                    f"variations: no model takes {dict(variation)}; write settings of a model that does"
                )

    def _takes(self, spec: ModelSpec, variation: Variation) -> bool:
        try:
            self.registry.load_spec(spec, overrides=dict(variation))
        except RegistryError:
            return False
        return True

    def spec_of(self, document: Document) -> Spec | None:
        """The spec of a document, None where it is not valid: another check tells that."""
        if id(document) not in self._specs:
            library = self.registry.library
            try:
                spec: Spec | None = library.check(document, library.resolve(document))[0]
            except RegistryError:
                spec = None
            self._specs[id(document)] = (document, spec)
        return self._specs[id(document)][1]

    def own_models(self) -> list[ModelSpec]:
        """Models that the plugin ships."""
        return self._models(self.documents)

    def _models(self, documents: Iterable[Document]) -> list[ModelSpec]:
        specs = (self.spec_of(document) for document in documents if document.kind == "model")
        return [spec for spec in specs if isinstance(spec, ModelSpec)]

    def models_using(self, record: PartRecord) -> list[ModelSpec]:
        """Models that use a part, the smallest first: of those given, else of the plugin, else of its distribution."""
        for models in (self.given, self.own_models(), self._models(self._beside)):
            found = [spec for spec in models if self._uses(spec, record)]
            if found:
                return sorted(found, key=self.parameters)
        return []

    def _uses(self, spec: ModelSpec, record: PartRecord) -> bool:
        return any(self.registry.host.record_of(part) == record for _, part in spec.parts())

    def candidates(self, task: str | None = None) -> list[ModelSpec]:
        """Models to try a part with that is in none: given or the plugin's own, else the smallest of each task.

        Args:
            task: only models of that task, and then the five smallest.
        """
        for models in (self.given, self.own_models()):
            found = [spec for spec in models if task in (None, spec.task.type)]
            if found:
                return sorted(found, key=self.parameters)[:3]
        everyone = sorted(self._models(self.registry.library.catalog.documents), key=self.parameters)
        if task is not None:
            return [spec for spec in everyone if spec.task.type == task][:5]
        return [next(s for s in everyone if s.task.type == t) for t in dict.fromkeys(s.task.type for s in everyone)]

    def parameters(self, spec: ModelSpec) -> float:
        """How many parameters a model has, as published, else as counted; infinitely many where neither can be told."""
        if spec.figures.parameters is not None:
            return spec.figures.parameters
        key = spec.digest()
        if key not in self._parameters:
            self._parameters[key] = self._counted(spec)
        return self._parameters[key]

    def _counted(self, spec: ModelSpec) -> float:
        try:
            with quiet(torch=True):
                model = self.registry.build(spec, device="meta")
        except RegistryError:  # torch is not there, or another check tells
            return float("inf")
        return sum(parameter.numel() for parameter in model.parameters())

    def bench(self, spec: ModelSpec) -> Bench:
        """The bench of a model, one for all checks; only the latest is kept, as models are large."""
        key = spec.digest()
        if key not in self._benches:
            self._benches.clear()
            self._benches[key] = Bench(self.registry, spec, self._variations)
        return self._benches[key]

    def run(self, case: Case) -> Outcome:
        """Runs one check; whatever goes wrong inside is an outcome that failed."""
        started = time.perf_counter()
        state, message = self._ended(case)
        return Outcome(case.subject.label, case.check.name, state, message, time.perf_counter() - started)

    def _ended(self, case: Case) -> tuple[State, str]:
        reason = next((why for pattern, why in self._skip.items() if fnmatch.fnmatchcase(case.id, pattern)), None)
        if reason is not None:
            return "skipped", reason
        try:
            if case.check.torch:
                from registry.assemble import require_torch

                require_torch("this check")
            with quiet(torch=case.check.torch):
                faults = self._faults(case)
        except (Skipped, MissingExtraError) as error:
            return "skipped", str(error)
        except RegistryError as error:
            return "failed", str(error)
        except Exception as error:  # code of third parties
            return "failed", f"{type(error).__name__}: {error}"
        return ("failed", "\n".join(faults)) if faults else ("passed", "")

    def _faults(self, case: Case) -> list[str]:
        if not case.check.through_model:
            return list(case.check.function(case.subject))
        spec = self._model_of(case.subject)
        key = (case.check.name, spec.digest())
        if key not in self._results:  # several parts of one model share what was found
            bench = self.bench(spec)
            try:
                self._results[key] = [f"model `{bench.name}`: {fault}" for fault in case.check.function(bench)]
            except Skipped as skipped:
                self._results[key] = skipped
        found = self._results[key]
        if isinstance(found, Skipped):
            raise found
        return found

    def _model_of(self, subject: Subject) -> ModelSpec:
        if isinstance(subject, PartSubject):
            models = self.models_using(subject.record)
            if models:
                return models[0]
            raise Skipped("no model uses it; see is_used_by_a_model")
        spec = subject.spec if isinstance(subject, DocumentSubject) else None
        if not isinstance(spec, ModelSpec):
            raise Skipped("the document is not valid; see document_validates")
        return spec
