"""`hybrid fit-deep`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hybrid.cli.options import Project, column_options, decision_options, project_options
from hybrid.cli.output import run_text, show, warn_left_out
from hybrid.records import ColumnOptions

if TYPE_CHECKING:
    from hybrid.heads.decision import DecisionOptions


@click.command("fit-deep")
@project_options
@column_options
@decision_options
@click.option("--backbone", required=True, help="scratch")
@click.option("--epochs", type=int, default=30, show_default=True, help="At most.")
@click.option("--patience", type=int, default=5, show_default=True,
              help="Epochs without a lower validation loss.")  # fmt: skip
@click.option("--batch-size", type=int, default=32, show_default=True)
@click.option("--learning-rate", type=float, default=3e-4, show_default=True, help="Of Nadam.")
@click.option("--name", help="Of the run.  [default: that of the backbone]")
def command(
    project: Project,
    columns: ColumnOptions,
    backbone: str,
    name: str | None,
    decision: DecisionOptions,
    **options: float,
) -> None:
    """Train a deep baseline on train, stop and calibrate it on validation, judge it on test.

    Its weights serve: hybrid extract --backbone scratch --weights runs/scratch
    """
    from hybrid.catalogue import load_catalogue
    from hybrid.deep.options import DeepOptions
    from hybrid.experiment import Experiment, fit_deep
    from hybrid.splits import read_split

    catalogue = load_catalogue(project.catalogue, columns)
    warn_left_out(catalogue)
    experiment = Experiment(
        catalogue,
        read_split(project.splits),
        project.runs / (name or backbone),
        project.splits,
        project.command,
        project.seed,
        project.progress,
        project.cache,
    )
    chosen = DeepOptions(**options)  # type: ignore[arg-type]
    run = fit_deep(experiment, backbone, chosen, project.workers, decision)
    show(project.json, run.record, run_text(run))
