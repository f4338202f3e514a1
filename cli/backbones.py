"""`hybrid backbones`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from hybrid.cli.options import Project, common_options
from hybrid.cli.output import show

OTHERS = (
    "--backbone also takes an ONNX file (FILE.onnx), and keras-hub:NAME or keras-hub:FOLDER, a preset of "
    "keras-hub\n(extra keras-hub), such as keras-hub:resnet_18_imagenet: see docs/backbones.md"
)


@click.command("backbones")
@click.option("--layers", metavar="NAME", help="List the layers of this backbone instead.")
@common_options()
def command(project: Project, layers: str | None) -> None:
    """List the backbones and the text encoders: size, cost, and licence and source of their weights."""
    from hybrid.backbones.listing import list_backbones, list_layers
    from hybrid.text_encoders.listing import list_text_encoders

    if layers is None:
        backbones, encoders = list_backbones(), list_text_encoders()
        rows = [{"kind": "backbone", **row} for row in backbones]
        rows += [{"kind": "text encoder", **row} for row in encoders]
        show(project.json, rows, f"{_table(backbones)}\n{OTHERS}\n\n{_encoder_table(encoders)}")
    else:
        rows = list_layers(layers)
        show(project.json, rows, "\n".join(_layer_line(row) for row in rows))


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"{'name':<18}{'embedding':>9}{'input':>11}{'parameters':>12}{'GFLOPs':>8}  "
        f"{'licence':<14}{'weights':<32}source"
    ]
    for row in rows:
        lines.append(
            f"{row['name']:<18}{row['dimension']:>9}{_size(row['input_size']):>11}"
            f"{row['parameters']:>12,}{row['gflops']:>8.2f}  {row['licence']:<14}"
            f"{row['weights']:<32}{row['source']}"
        )
    return "\n".join(lines)


def _encoder_table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"{'text encoder':<39}{'embedding':>9}{'parameters':>13}  {'languages':<15}{'licence':<12}"
        f"{'prefix':<12}source"
    ]
    for row in rows:
        prefix = repr(row["prefix"]) if row["prefix"] else ""
        lines.append(
            f"{row['name']:<39}{row['dimension']:>9}{row['parameters']:>13,}  {row['languages']:<15}"
            f"{row['licence']:<12}{prefix:<12}{row['source']}"
        )
    return "\n".join(lines)


def _layer_line(row: Mapping[str, Any]) -> str:
    return f"{row['name']:<48}{_size(row['shape']):>20}"


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
