"""What a search leaves behind: text or JSON, a patch, a document, and a plot."""

from __future__ import annotations

from typing import Any

import click
from optuna.trial import TrialState

from registry.cli.output import echo_json
from registry.errors import MissingExtraError
from registry.files import write_atomically
from registry.registry import Registry
from registry_tuning.asked import Asked
from registry_tuning.patch import as_yaml, document, nested, words
from registry_tuning.search import Found
from registry_tuning.studies import is_lost, shown_url


def summary(asked: Asked, found: Found) -> dict[str, Any]:
    """What a search came to, as plain data."""
    trials = found.study.get_trials(deepcopy=False)
    values = {field.path: field.value(found.best.params[field.path]) for field in asked.fields}
    return {
        "study": found.study.study_name,
        "storage": shown_url(asked.url),
        "figure": found.headline,
        "direction": found.study.direction.name.lower(),
        "trials": {
            "complete": sum(trial.state == TrialState.COMPLETE for trial in trials),
            "pruned": sum(trial.state == TrialState.PRUNED for trial in trials),
            "lost": sum(is_lost(trial) for trial in trials),
        },
        "best": {
            "trial": found.best.number,
            "value": found.best.value,
            "folds": found.best.user_attrs["figures"],
            "settings": values,
        },
        "patch": nested(values),
        "set": [word.removeprefix("--set ") for word in words(values)],
    }


def printed(registry: Registry, asked: Asked, found: Found, output_format: str) -> None:
    """Writes `patch.yaml`, `tuned.yaml` and `search.png` in the output folder, and prints what was found."""
    told = summary(asked, found)
    patch = as_yaml(told["patch"])
    write_atomically(asked.folder / "patch.yaml", patch.encode())
    values = told["best"]["settings"]
    whole = as_yaml(document(asked.model, asked.recipe, asked.assignments, values))
    write_atomically(asked.folder / "tuned.yaml", whole.encode())
    told["document"] = str(asked.folder / "tuned.yaml")
    try:
        from registry_tuning.plotting import plot

        told["plot"] = str(plot(found, asked.fields, asked.folder / "search.png"))
    except MissingExtraError as error:
        told["plot"] = None
        click.echo(f"no plot: {error}", err=True)
    if output_format == "json":
        echo_json(told)
        return
    counts = ", ".join(f"{number} {state}" for state, number in told["trials"].items() if number)
    folds = ", ".join(f"{figure:.4g}" for figure in told["best"]["folds"])
    click.echo(f"{told['study']} in {told['storage']}: {counts}")
    click.echo(f"best: trial {found.best.number}, {found.headline} {found.best.value:.4g}, mean of the folds {folds}")
    click.echo(f"\n{patch}")
    click.echo(" ".join(words(values)))
    click.echo(f"\nas a model document: {told['document']}")
    if told["plot"]:
        click.echo(f"plot: {told['plot']}")
