"""`hybrid import-embeddings`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hybrid.cli.options import DTYPES, Project, column_options, common_options, stack_options
from hybrid.cli.output import findings_text, show, tell, tell_catalogue
from hybrid.cli.path_types import LocalPath
from hybrid.types import ColumnOptions
from hybrid.utils.counts import counted

if TYPE_CHECKING:
    from hybrid.types import ImportedSummary


_OPTIONS = (
    click.option("--block", required=True, metavar="NAME",
                 help="Name of the block, such as clip; --blocks takes it."),
    click.option("--of", type=click.Choice(["item", "poster", "text"]), default="item", show_default=True,
                 help="What a vector belongs to: the id, the content of the poster, or the text."),
    click.option("--ids", type=LocalPath(), metavar="FILE",
                 help="Of .npy: text file with one id a line."),
    click.option("--id-name", metavar="NAME",
                 help="Column or array of FILE with the ids.  [default: id or ids]"),
    click.option("--vector-column", metavar="NAME",
                 help="Column or array of FILE with the vectors.  [default: embedding or embeddings]"),
    click.option("--dtype", type=DTYPES,
                 help="Data type of the stored embeddings.  [default: float16 where FILE has it, else "
                 "float32]"),
    click.option("--add", is_flag=True,
                 help="Add further items to the embeddings of this name: made by the same encoder."),
    click.option("--licence", metavar="TEXT",
                 help="Licence of the encoder's weights.  [default: unknown]"),
    click.option("--trained-on", type=click.Choice(["none", "unknown"]),
                 help="none: the encoder has learnt from no item of the catalogue.  [default: unknown]"),
)  # fmt: skip


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    return stack_options(_OPTIONS, command)


@click.command("import-embeddings")
@click.argument("source", metavar="FILE", type=LocalPath())
@common_options("catalogue", "cache", "workers")
@column_options
@_options
def command(
    project: Project,
    columns: ColumnOptions,
    source: Path,
    block: str,
    of: str,
    ids: Path | None,
    id_name: str | None,
    vector_column: str | None,
    dtype: str | None,
    add: bool,
    licence: str | None,
    trained_on: str | None,
) -> None:
    """Import embeddings that were made elsewhere, as a block of features.

    FILE ends in .npz, .npy, .parquet or .jsonl; see docs/embeddings.md.
    """
    from hybrid.catalogue import load_catalogue
    from hybrid.extraction.import_embeddings import import_embeddings
    from hybrid.types import ImportSettings

    catalogue = load_catalogue(project.catalogue, columns)
    tell_catalogue(catalogue)
    summary = import_embeddings(
        source,
        catalogue,
        block=block,
        ids=ids,
        id_column=id_name,
        vector_column=vector_column,
        settings=ImportSettings(of, dtype, add, licence, trained_on),
        context=project.context,
    )
    for line in findings_text(summary.findings):
        tell(line)
    show(project.json, summary, _text(summary, project.cache), catalogue)


def _text(summary: ImportedSummary, cache: str) -> str:
    learnt = (
        "has learnt from no item of the catalogue, as was said"
        if summary.trained_on == "none"
        else "it cannot be told what it has learnt from (--trained-on none says: from none of these items)"
    )
    return (
        f"{summary.block} ({summary.fingerprint[:12]}): {summary.embedded:,} of "
        f"{counted(summary.items, 'item')} with an embedding of {counted(summary.dimension, 'number')} in "
        f"{cache} ({summary.dtype}, of each {summary.of}; {summary.added:,} added, {summary.present:,} there "
        f"before)\nlicence {summary.licence}; {learnt}"
    )
