"""`hybrid model-card`."""

from __future__ import annotations

from pathlib import Path

import click

from hybrid.cli.options import OutputFile, Project, column_options, common_options
from hybrid.cli.output import show, tell_catalogue
from hybrid.cli.path_types import LocalPath
from hybrid.cli.report import named_catalogue, show_own_catalogue
from hybrid.types import MAX_DRAWS, ColumnOptions

CARD = "model card"


@click.command("model-card")
@click.argument("run", type=LocalPath())
@common_options("catalogue", "runs", "seed", "workers", "force")
@column_options
@click.option("--out", type=OutputFile(),
              help="Markdown file to write.  [default: print it]")  # fmt: skip
@click.option("--draws", type=click.IntRange(1, MAX_DRAWS), default=2000, show_default=True,
              help="Bootstrap draws.")  # fmt: skip
def command(
    project: Project, columns: ColumnOptions, run: Path, out: Path | None, draws: int
) -> None:
    """Describe the model of RUN in Markdown: data, split, figures, limits, how to reproduce it.

    The true labels are those of the catalogue that it was fitted on, which is known by its hash; or those of
    --catalogue.
    """
    from hybrid.report import model_card
    from hybrid.report.build import load_run_catalogue, write_text
    from hybrid.utils.writable import check_new_file

    if out is not None:
        check_new_file("--out", out, CARD)
    folder = project.find_run(run)
    catalogue = load_run_catalogue(named_catalogue(project), columns, folder)
    tell_catalogue(catalogue)
    card = model_card(
        catalogue,
        columns,
        folder,
        project.runs,
        draws=draws,
        seed=project.seed,
    )
    if out is None:
        show(project.json, {"model_card": card}, card.rstrip(), catalogue, document=True)
        return
    write_text(out, card, CARD)
    show(project.json, {"out": out}, str(out.resolve()), catalogue)


show_own_catalogue(command)
