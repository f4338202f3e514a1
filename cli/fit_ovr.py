"""`hybrid fit-ovr`."""

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

# As in hybrid.heads.registry, which `--help` does not load.
ESTIMATORS = (
    *("stacking", "logistic", "sgd", "ridge", "naive-bayes", "knn", "rbf", "svc-rbf", "forest"),
    *("boosting", "dummy-stratified", "dummy-uniform", "dummy-most-frequent"),
)


@click.command("fit-ovr")
@common_options("catalogue", "splits", "cache", "runs", "seed", "workers", "cluster")
@column_options
@feature_options
@decision_options()
@study_options
@task_options
@click.option(
    "--estimator",
    required=True,
    help=f"{', '.join(ESTIMATORS)}.",
)
def command(project: Project, estimator: str, **options: Any) -> None:
    """Fuse the blocks and fit another one-vs-rest head, or a dummy as baseline."""
    fit(project, head=estimator, grid=None, **options)
