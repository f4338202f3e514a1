"""`hybrid predict`."""

from __future__ import annotations

from pathlib import Path

import click

from hybrid.cli.options import (
    OutputFile,
    Project,
    common_options,
    encoding_option,
    licence_option,
    posters_option,
)
from hybrid.cli.output import bad_rows_text, show, tell
from hybrid.cli.path_types import LocalPath
from hybrid.utils.counts import counted

SHOWN = 20  # rows with something wrong


@click.command("predict")
@click.argument("run", type=LocalPath())
@common_options("catalogue", "cache", "runs", "workers", "cluster", "force")
@click.option("--out", type=OutputFile(), default="predictions.csv", show_default=True,
              help="File to write.")  # fmt: skip
@click.option("--weights", multiple=True,
              help="Weights of the backbone, or one each.  [default: as the run recorded]")  # fmt: skip
@click.option("--text-encoder", "text_encoders", metavar="NAME|FOLDER", multiple=True,
              help="Text encoder of the run, or one each.  [default: as the run recorded]")  # fmt: skip
@licence_option
@posters_option
@encoding_option
def command(
    project: Project,
    run: Path,
    out: Path,
    weights: tuple[str, ...],
    text_encoders: tuple[str, ...],
    licence: str,
    posters: Path | None,
    encoding: str,
) -> None:
    """Predict the labels of the items in --catalogue with the model of RUN.

    RUN is a folder, or the name of a run in --runs. --out has a line for every row of the catalogue, in its
    order: rows without an id, or with one that another row has, are predicted, too, and named. Posters and
    texts whose embeddings the cache lacks are embedded into it, on --cluster where it is given; else only
    --out is written.
    """
    from hybrid.runs.predict import predict_catalogue
    from hybrid.types import ColumnOptions

    summary = predict_catalogue(
        project.find_run(run),
        project.catalogue,
        out,
        weights=weights,
        text_encoders=text_encoders,
        licence=licence,
        options=ColumnOptions(encoding=encoding, posters=posters),
        context=project.context,
    )
    if summary.missing_columns:
        columns = ", ".join(summary.missing_columns)
        tell(f"warning: not in {project.catalogue}, so missing for all items: {columns}")
    for finding in summary.findings:
        tell(f"note: {finding.message}")
    lines = [f"{out}: {counted(summary.items, 'item')}, a line each"]
    if summary.bad:
        lines += [
            f"{counted(len(summary.bad), 'row')} with something wrong:",
            bad_rows_text(summary.bad, SHOWN),
        ]
    data = {
        "out": out,
        "items": summary.items,
        "missing_columns": summary.missing_columns,
        "bad": summary.bad,
        "left_out": summary.left_out,
        "findings": summary.findings,
        "lacking": summary.lacking,
    }
    show(project.json, data, "\n".join(lines))
