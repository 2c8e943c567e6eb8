"""The study in its storage: opened, compared with what is asked for, and freed of trials whose process died."""

from __future__ import annotations

import datetime
import json
import time
import warnings
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from registry.errors import RegistryError
from registry_tuning.processes import is_gone

#: Seconds between signs of life of a running trial, and after how many without one it counts as dead.
HEARTBEAT, GRACE = 10, 60
#: How often the settings of a trial whose process was killed are tried.
ATTEMPTS = 3
_DEFINITION = "definition"
#: What databases say where two processes make the same tables at once.
_RACE = ("already exists", "database is locked", "UNIQUE constraint", "duplicate key", "no such table", "relation ")


def opened(
    url: str, name: str, definition: dict[str, Any], higher: bool, pruner: optuna.pruners.BasePruner
) -> optuna.Study:
    """The study of that name, made if there is none.

    Args:
        url: of the storage, as SQLAlchemy takes it.
        definition: what trials must have in common to be compared, as plain data.
        higher: the larger figure is the better one.

    Raises:
        RegistryError: the storage cannot be reached, or its study of that name searches something else.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    shown = shown_url(url)
    for attempt in range(20):
        try:
            study = _opened(url, name, definition, higher, pruner)
            break
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
            if attempt < 19 and any(word in str(error) for word in _RACE):
                time.sleep(0.25)  # another process makes the tables at this moment
                continue
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise RegistryError(f"the storage {shown} cannot be used: {reason}") from error
        except ImportError as error:
            driver = error.name or getattr(error.__cause__, "name", None)  # Optuna tells the name in the cause alone
            raise RegistryError(f"the storage {shown} needs the driver `{driver}`; install it with pip") from error
    _same(study, definition, shown)
    return study


def shown_url(url: str) -> str:
    """The URL without its password; raises RegistryError for what is none."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        hint = "write for instance --storage sqlite:////shared/study.db or postgresql://user:password@host/base"
        raise RegistryError(f"the storage is no URL; {hint}") from None


def requeue(study: optuna.Study, trial: FrozenTrial) -> None:
    """Lets the settings of a trial that did not end be tried again, from its first unfinished fold."""
    told = trial.user_attrs
    attempt = told.get("attempt", 1) + (not told.get("stopped"))
    if trial.params and attempt <= ATTEMPTS:
        kept = {"attempt": attempt, "instead_of": trial.number, "figures": told.get("figures", [])}
        study.enqueue_trial(trial.params, user_attrs=kept)


def is_lost(trial: FrozenTrial) -> bool:
    """True for a trial whose settings are given up, as its process was killed too often."""
    told = trial.user_attrs
    if trial.state != TrialState.FAIL or told.get("stopped") or told.get("superfluous"):
        return False
    return int(told.get("attempt", 1)) >= ATTEMPTS


def free_dead(study: optuna.Study) -> list[int]:
    """Ends trials whose process is gone, and queues their settings; returns their numbers.

    At once where it ran on this machine, else after `GRACE` seconds without a sign of life.
    """
    freed: list[int] = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        process = trial.user_attrs.get("process")
        if is_gone(process) or (process is None and _old(trial)):
            try:
                study.tell(trial.number, state=TrialState.FAIL)
            except (ValueError, RuntimeError):  # another process was quicker
                continue
            requeue(study, trial)
            freed.append(trial.number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optuna.storages.fail_stale_trials(study)
    return freed


def _old(trial: FrozenTrial) -> bool:
    started = trial.datetime_start
    return started is None or datetime.datetime.now() - started > datetime.timedelta(seconds=GRACE)


def _opened(
    url: str, name: str, definition: dict[str, Any], higher: bool, pruner: optuna.pruners.BasePruner
) -> optuna.Study:
    wait = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        storage = optuna.storages.RDBStorage(
            url,
            engine_kwargs=wait,
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=requeue,
        )
    directions = optuna.study.StudyDirection
    direction = directions.MAXIMIZE if higher else directions.MINIMIZE
    try:
        study = optuna.create_study(storage=storage, study_name=name, direction=direction, pruner=pruner)
        study.set_user_attr(_DEFINITION, json.dumps(definition, sort_keys=True))
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(storage=storage, study_name=name, pruner=pruner)
    return study


def _same(study: optuna.Study, wanted: dict[str, Any], shown: str) -> None:
    for _ in range(20):  # the process that makes the study writes this next
        text = study.user_attrs.get(_DEFINITION)
        if text is not None:
            break
        time.sleep(0.1)
    else:
        raise RegistryError(
            f"the study `{study.study_name}` in {shown} was not made by this command; choose another --study"
        )
    before: dict[str, Any] = json.loads(text)
    told = []
    for key in wanted:
        old, new = before.get(key), wanted[key]
        if isinstance(new, dict):
            earlier: dict[str, str] = old or {}
            for path in sorted({*earlier, *new}):
                if earlier.get(path) != new.get(path):
                    told.append(
                        f"{path} was searched in {earlier.get(path, 'nothing')}, now in {new.get(path, 'nothing')}"
                    )
        elif old != new:
            told.append(f"{key} was {old}, now {new}")
    if told:
        raise RegistryError(
            f"the study `{study.study_name}` in {shown} compares other trainings: {'; '.join(told)}; give the same command to "
            "go on with it, or another --study"
        )
