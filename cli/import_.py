"""`hybrid import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hybrid.cli.options import Project, common_options
from hybrid.cli.output import show
from hybrid.cli.path_types import LocalPath
from hybrid.utils.counts import counted

if TYPE_CHECKING:
    from hybrid.catalogue.importers import ImportSummary


@click.command("import")
@click.argument("kind", metavar="KIND")
@click.argument("source", metavar="SRC")
@common_options()
@click.option("--out", type=LocalPath(), required=True, metavar="DIR",
              help="Folder for the catalogue; nothing in it is overwritten.")  # fmt: skip
@click.option("--genre-names", type=click.Choice(["published", "tmdb", "imdb"]), default="published",
              show_default=True, help="Names of genres: the data set's, TMDB's or IMDb's.")  # fmt: skip
@click.option("--posters", type=LocalPath(), metavar="DIR",
              help="Folder of images that are named by an id of their item, as in 862.jpg.")  # fmt: skip
@click.option("--join", type=LocalPath(), metavar="DIR",
              help="Folder of an earlier import: items are given what they lack, by their ids.")  # fmt: skip
@click.option("--title-type", multiple=True, metavar="TYPE",
              help="Of imdb: type of titles to import.  [default: movie]  Can be repeated.")  # fmt: skip
@click.option("--map", "mapping", multiple=True, metavar="COLUMN=ROLE",
              help="Of csv and huggingface: what a column is: id, title, overview, genres, poster, "
              "poster_url, drop, or another name.  Can be repeated.")  # fmt: skip
@click.option("--label-separator", metavar="TEXT",
              help="Of csv and huggingface: separator of labels in the data set.  [default: |]")  # fmt: skip
@click.option("--encoding", help="Of csv: text encoding.  [default: UTF-8, else Latin-1]")
def command(
    project: Project,
    kind: str,
    source: str,
    out: Path,
    genre_names: str,
    posters: Path | None,
    **options: Any,
) -> None:
    """Make a catalogue of a known data set, with its posters and its published split.

    KIND is one of: movies-metadata, tmdb-5000, tmdb, movie-genre, mm-imdb, movielens, imdb, huggingface,
    folder, csv. SRC is the folder or file of the data set; see
    docs/imports.md.
    """
    from hybrid.catalogue.importers import ImportOptions, import_catalogue

    chosen = ImportOptions(
        genre_names,
        posters,
        options["title_type"],
        _parse_mapping(options["mapping"]),
        options["label_separator"],
        options["encoding"],
        options["join"],
    )
    summary = import_catalogue(kind, source, out, chosen)
    show(project.json, summary, _text(summary))


def _parse_mapping(pairs: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """``("Genre=genres",)`` → pairs; a column's name may hold a ``=``."""
    mapping = []
    for pair in pairs:
        column, sign, role = pair.rpartition("=")
        if not (column and sign):
            raise click.UsageError(
                f"--map: expected COLUMN=ROLE such as Genre=genres, found {pair!r}."
            )
        mapping.append((column, role.strip()))
    return tuple(mapping)


def _text(summary: ImportSummary) -> str:
    from hybrid.catalogue.importers.importing import left_out_file

    lines = [f"note: {finding.message}" for finding in summary.findings]
    if summary.left_out:
        total = sum(summary.left_out.values())
        lines.append(
            f"{counted(total, 'row was', 'rows were')} left out; {left_out_file(summary.folder)} lists them:"
        )
        lines += [f"  {count:,} x {reason}" for reason, count in summary.left_out.items()]
    if summary.parts:
        parts = ", ".join(f"{count:,} {part}" for part, count in summary.parts.items())
        lines.append(f"{summary.folder / 'splits.csv'}: the published split: {parts}")
    lines.append(
        f"{summary.folder}: {counted(summary.items, 'item')}, {summary.labelled:,} with labels, "
        f"{counted(len(summary.labels), 'different label')}, {summary.posters:,} with a poster, "
        f"{summary.poster_urls:,} with the URL of one"
    )
    return "\n".join(lines)
