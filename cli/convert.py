"""`hybrid convert`."""

from __future__ import annotations

from pathlib import Path

import click

from hybrid.cli.options import Project, common_options
from hybrid.cli.output import show
from hybrid.cli.path_types import LocalPath


@click.command("convert")
@click.argument("run", type=LocalPath())
@common_options("runs")
@click.option("--allow-pickle", is_flag=True,
              help="Open the pickle, which runs whatever code it holds.")  # fmt: skip
def command(project: Project, run: Path, allow_pickle: bool) -> None:
    """Convert RUN, whose model an earlier version wrote as a pickle, to one that holds no code.

    To open a pickle runs whatever code it holds: allow it for runs that you made yourself. It is needed once;
    no other command opens one. Record, predictions and studies stay as they are.
    """
    from hybrid.runs.convert import convert_run

    folder = project.find_run(run)
    replaced = convert_run(folder, allow_pickle=allow_pickle)
    found = {"run": str(folder), "replaced": list(replaced)}
    done = (
        f"converted, {', '.join(replaced)} removed"
        if replaced
        else "holds no pickle, nothing to convert"
    )
    show(project.json, found, f"{folder}: {done}")
