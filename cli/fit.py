"""What `fit-svm` and `fit-ovr` share."""

from __future__ import annotations

from typing import Any

from hybrid.cli.options import Project, parse_blocks, parse_weights
from hybrid.cli.output import run_text, show, warn_left_out
from hybrid.records import ColumnOptions


def fit(
    project: Project,
    columns: ColumnOptions,
    head: str,
    grid: dict[str, list[float]] | None,
    *,
    blocks: str | None,
    backbone: str | None,
    weights: str | None,
    dtype: str | None,
    embeddings: str | None,
    block_weights: tuple[str, ...],
    folds: int,
    curve: bool,
    name: str | None,
    **features: Any,
) -> None:
    """Fit a head, write the run, print what it reached."""
    from hybrid.catalogue import load_catalogue
    from hybrid.experiment import Experiment, fit_head
    from hybrid.pipeline import FeatureOptions, make_hybrid
    from hybrid.splits import read_split

    catalogue = load_catalogue(project.catalogue, columns)
    warn_left_out(catalogue)
    split = read_split(project.splits)
    chosen = {
        "blocks": parse_blocks(blocks),
        "backbone": backbone,
        "weights": weights,
        "dtype": dtype,
        "embeddings": embeddings,
        "grid": grid,
        "block_weights": parse_weights(block_weights),
        "folds": folds,
    }
    model = make_hybrid(
        catalogue,
        head=head,
        cache=project.cache,
        features=FeatureOptions(**features),
        seed=project.seed,
        workers=project.workers,
        **chosen,  # type: ignore[arg-type]
    )
    experiment = Experiment(
        catalogue,
        split,
        project.runs / (name or head),
        project.splits,
        project.command,
        project.seed,
        project.progress,
        project.cache,
    )
    run = fit_head(experiment, model, {"head": head, **chosen, **features}, curve=curve)
    show(project.json, run.record, run_text(run))
