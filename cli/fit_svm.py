"""`hybrid fit-svm`."""

from __future__ import annotations

from typing import Any

import click

from hybrid.cli.fit import fit
from hybrid.cli.fit_options import decision_options, feature_options, study_options
from hybrid.cli.options import (
    Project,
    column_options,
    common_options,
)
from hybrid.cli.task_options import task_options


@click.command("fit-svm")
@common_options("catalogue", "splits", "cache", "runs", "seed", "workers", "cluster")
@column_options
@feature_options
@decision_options()
@study_options
@task_options
@click.option(
    "--C",
    "cs",
    type=float,
    multiple=True,
    help="Candidate for C; can be repeated.  [default: a grid]",
)
def command(project: Project, cs: tuple[float, ...], **options: Any) -> None:
    """Fuse the blocks and fit a linear SVM, one genre against the rest.

    C and block weights are chosen by cross-fitting on train and validation, thresholds and calibration
    on the out-of-fold scores; the model is then evaluated on the test items.
    """
    fit(project, head="svm", grid={"C": list(cs)} if cs else None, **options)
