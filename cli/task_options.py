"""Options of the task, which all fit commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from hybrid.cli.options import Project

_TASK = (
    click.option("--task", "kind", type=click.Choice(["multilabel", "multiclass"]), default="multilabel",
                 show_default=True, help="Several genres for each item, or exactly one."),
    click.option("--single-label", metavar="dominant|first|COLUMN",
                 help="One label for each item: its most frequent, its first, or a column's.  "
                 "[default: dominant with --task multiclass]"),
    click.option("--genres", help="Only these genres, and the items that have them: Drama,Comedy"),
    click.option("--per-genre", type=click.IntRange(min=1), metavar="N",
                 help="Sample N train and validation items of each genre; all where there are fewer."),
)  # fmt: skip

# What limits the labels of an item, of which a multi-class task gives one.
_LIMITS = ("objective", "shrinkage", "max_labels", "at_least_one")


def task_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the task; they become `task`, a `Task`."""

    @functools.wraps(command)
    def call(project: Project, *args: Any, **values: Any) -> Any:
        from hybrid.splitting.tasks import Task

        kind, single, named, per_genre = (
            values.pop(name) for name in ("kind", "single_label", "genres", "per_genre")
        )
        genres = tuple(genre.strip() for genre in (named or "").split(",") if genre.strip())
        task = Task(single, genres, per_genre, project.seed, kind)
        if task.multiclass:
            _check_limits()
        elif single is not None:
            raise click.UsageError(
                "--single-label: expected --task multiclass with it, found multilabel. Add it, or leave "
                "--single-label out."
            )
        return command(project, *args, task=task, **values)

    for option in reversed(_TASK):
        call = option(call)
    return call


def _check_limits() -> None:
    """Raise where an option is given that a single label an item leaves nothing to do for."""
    context = click.get_current_context()
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in _LIMITS
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(
            f"{', '.join(given)}: expected --task multilabel with it, found multiclass, which predicts the "
            "most probable genre of each item and no other. Leave it out."
        )
