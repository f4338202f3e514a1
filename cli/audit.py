"""`hybrid audit`."""

from __future__ import annotations

import click

from hybrid.cli.options import Project, column_options, project_options
from hybrid.cli.output import show
from hybrid.records import Audit, ColumnOptions


@click.command("audit")
@project_options
@column_options
def command(project: Project, columns: ColumnOptions) -> int:
    """Prove the split clean (exit 0), or say what leaks (exit 1)."""
    from hybrid.catalogue import load_catalogue
    from hybrid.splits import read_split
    from hybrid.splitting import audit_catalogue

    catalogue = load_catalogue(project.catalogue, columns)
    split = read_split(project.splits)
    audit = audit_catalogue(catalogue, split, project.cache, project.workers, project.progress)
    show(
        project.json,
        {"clean": audit.clean, "checks": audit.checks, "leaks": audit.leaks},
        _text(audit),
    )
    return int(not audit.clean)


def _text(audit: Audit) -> str:
    if audit.clean:
        return f"the split is clean; looked for: {', '.join(audit.checks)} in two parts"
    lines = []
    for leak in audit.leaks:
        lines.append(f"{leak.kind}: {leak.count} pairs, {leak.share:.1%} of the test items")
        lines += [f"  {a} ({part_a}) - {b} ({part_b})" for a, part_a, b, part_b in leak.pairs]
    return "\n".join(["the split LEAKS", *lines])
