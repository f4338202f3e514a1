"""`hybrid check`."""

from __future__ import annotations

import click

from hybrid.cli.options import Project, column_options, common_options
from hybrid.cli.output import bad_rows_text, findings_text, roles_text, show
from hybrid.remote.address import remote_url
from hybrid.types import BadRow, ColumnOptions
from hybrid.utils.counts import counted

SHOWN = 20  # bad rows with the same reason


@click.command("check")
@common_options("catalogue", "workers", "cluster")
@column_options
@click.option("--strict", is_flag=True, help="Exit 1 if there is a bad row.")
def command(project: Project, columns: ColumnOptions, strict: bool) -> int:
    """Validate catalogue and posters; list every bad row with its reason, and each column's role.

    Rows are counted from 1, without the header.
    """
    from hybrid.catalogue import load_catalogue
    from hybrid.catalogue.check import look_at_posters, not_found, tell_shared_texts

    catalogue = load_catalogue(project.catalogue, columns)
    posters, looks = look_at_posters(catalogue, project.context)
    bad = tuple(sorted(catalogue.bad_rows + posters, key=lambda each: each.row))
    summary = (
        f"{remote_url(project.catalogue) or project.catalogue}: {counted(len(catalogue), 'item')}, "
        f"{int(catalogue.labelled.sum()):,} with "
        f"labels, {counted(len(catalogue.genres), 'different label')}; {_count_text(bad, catalogue.left_out)}"
    )
    absent = not_found(catalogue.columns)
    findings = (*catalogue.findings, *tell_shared_texts(catalogue), *looks)
    data = {
        "items": len(catalogue),
        "labelled": int(catalogue.labelled.sum()),
        "labels": catalogue.genres,
        "columns": catalogue.roles,
        "not_found": absent,
        "findings": findings,
        "bad_rows": bad,
        "left_out": catalogue.left_out,
    }
    lines = [f"not found: {what} ({advice})" for what, advice in absent.items()]
    lines += findings_text(findings)
    parts = [bad_rows_text(bad, each=SHOWN), roles_text(catalogue.roles), *lines, summary]
    show(project.json, data, "\n".join(filter(None, parts)))
    return int(strict and bool(bad))


def _count_text(bad: tuple[BadRow, ...], left_out: tuple[BadRow, ...]) -> str:
    if not bad:
        return "0 bad rows"
    rows = counted(len(bad), "bad row")
    if len(bad) == 1:
        return f"{rows}, which is left out" if left_out else f"{rows}, which is not left out"
    return f"{rows}, {len(left_out):,} of them left out"
