"""`hybrid backbones`."""

from __future__ import annotations

import click

from hybrid.cli.options import Project, project_options
from hybrid.cli.output import show


@click.command("backbones")
@project_options
def command(project: Project) -> None:
    """List what --backbone can name: embedding, input, parameters, licence, ImageNet weights."""
    from hybrid.backbones.weights import list_backbones

    rows = list_backbones()
    lines = [f"{'name':<18}{'embedding':>9}{'input':>11}{'parameters':>12}  {'licence':<12}weights"]
    for row in rows:
        size = "{} x {}".format(*row["input_size"])
        lines.append(
            f"{row['name']:<18}{row['dimension']:>9}{size:>11}{row['parameters']:>12,}  "
            f"{row['licence']:<12}{row['weights']}"
        )
    show(project.json, rows, "\n".join(lines))
