"""`hybrid check`."""

from __future__ import annotations

import click

from hybrid.cli.options import Project, column_options, common_options
from hybrid.cli.output import bad_rows_text, show
from hybrid.types import ColumnOptions


@click.command("check")
@common_options("catalogue", "workers")
@column_options
@click.option("--strict", is_flag=True, help="Exit 1 if there is a bad row.")
def command(project: Project, columns: ColumnOptions, strict: bool) -> int:
    """Validate catalogue and posters; list every bad row with its reason, and how the table was understood.

    Rows are counted from 1, without the header.
    """
    from hybrid.catalogue import load_catalogue
    from hybrid.catalogue.check import check_catalogue

    catalogue = load_catalogue(project.catalogue, columns)
    bad = check_catalogue(catalogue, project.context)
    summary = (
        f"{project.catalogue}: {len(catalogue)} items, {int(catalogue.labelled.sum())} with labels, "
        f"{len(catalogue.genres)} different labels; {len(bad)} bad rows"
    )
    data = {
        "items": len(catalogue),
        "labelled": int(catalogue.labelled.sum()),
        "labels": catalogue.genres,
        "findings": catalogue.findings,
        "bad_rows": bad,
    }
    notes = [f"note: {finding.message}" for finding in catalogue.findings]
    show(project.json, data, "\n".join(filter(None, [bad_rows_text(bad), *notes, summary])))
    return int(strict and bool(bad))
