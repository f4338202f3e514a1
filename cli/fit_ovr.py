"""`hybrid fit-ovr`."""

from __future__ import annotations

from typing import Any

import click

from hybrid.cli.fit import fit
from hybrid.cli.options import (
    Project,
    column_options,
    decision_options,
    feature_options,
    project_options,
    study_options,
)


@click.command("fit-ovr")
@project_options
@column_options
@feature_options
@decision_options
@study_options
@click.option(
    "--estimator",
    required=True,
    help="logistic, sgd, forest, naive-bayes, dummy-stratified, dummy-uniform, dummy-most-frequent.",
)
def command(project: Project, estimator: str, **options: Any) -> None:
    """Fuse the blocks and fit another one-vs-rest head, or a dummy to compare with."""
    fit(project, head=estimator, grid=None, **options)
