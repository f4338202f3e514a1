"""`hybrid split`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hybrid.cli.options import OutputFile, Project, column_options, common_options
from hybrid.cli.output import show, tell, tell_catalogue
from hybrid.types import ColumnOptions, Finding, Split
from hybrid.utils.counts import counted

METHODS = click.Choice(["iterative", "random", "temporal", "kfold", "repeated", "legacy-2017"])


@click.command("split")
@common_options("catalogue", "cache", "seed", "workers", "cluster", "force")
@click.option("--splits", type=OutputFile(), default="splits.csv", show_default=True,
              help="File of the split.")  # fmt: skip
@column_options
@click.option(
    "--method",
    type=METHODS,
    default="iterative",
    show_default=True,
    help="Method of the split, see docs/splits.md; legacy-2017 leaks on purpose.",
)
@click.option("--validation", type=float, help="Share of validation.  [default: 0.1]")
@click.option("--test", type=float, help="Share of test.  [default: 0.2; 0.1 for legacy-2017]")
@click.option("--by", metavar="COLUMN", help="For temporal: column with the time.")
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="For kfold: number of folds; writes splits-0.csv and so on.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="For repeated: number of splits; writes splits-0.csv and so on, one for each seed.",
)
@click.option(
    "--group-column",
    "group_columns",
    multiple=True,
    metavar="COLUMN",
    help="Keep items that share a value of this column in one part.",
)
@click.option("--near-duplicates/--no-near-duplicates", default=True, show_default=True,
              help="Keep near-duplicates, as hybrid audit finds them, in one part.")  # fmt: skip
def command(project: Project, columns: ColumnOptions, **options: Any) -> None:
    """Split the items into train, validation and test, stratified by all labels.

    Items with the same image are kept in one part, and by default near-duplicates, too.
    """
    from hybrid.catalogue import load_catalogue
    from hybrid.splitting.methods import SplitOptions, make_splits
    from hybrid.splitting.split_file import check_split_target, write_split
    from hybrid.utils.interrupt import undisturbed
    from hybrid.utils.resources import return_memory

    splits_file: Path = options.pop("splits")
    several = options["folds"] if options["method"] == "kfold" else options["repeats"]
    numbered = options["method"] in ("kfold", "repeated")
    paths = _paths(splits_file, several if numbered else 0)
    for path in paths:
        check_split_target(path)
    catalogue = load_catalogue(project.catalogue, columns)
    tell_catalogue(catalogue)
    chosen = SplitOptions(**options)
    if not chosen.near_duplicates:  # else texts are compared
        catalogue = catalogue.without_texts(but=(chosen.by, *chosen.group_columns))
        return_memory()
    splits = make_splits(catalogue, chosen, project.context)
    with undisturbed():  # folds of two divisions have items in common
        for split, path in zip(splits, paths, strict=True):
            write_split(split, path)
    told = [_describe(split, path) for split, path in zip(splits, paths, strict=True)]
    data = [{**each, "findings": split.findings} for each, split in zip(told, splits, strict=True)]
    if chosen.method == "legacy-2017":
        tell(
            "warning: legacy-2017 LEAKS: test items are also in train. Use it to understand published "
            "figures, not to produce any."
        )
    _tell(splits, paths)
    text = "\n".join(map(_text, told))
    show(project.json, data if chosen.several else data[0], text, catalogue)


def _paths(path: Path, several: int) -> list[Path]:
    """``splits.csv``; or, for several splits, ``splits-0.csv`` and so on."""
    if not several:
        return [path]
    return [path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(several)]


def _tell(splits: Sequence[Split], paths: Sequence[Path]) -> None:
    """Tell on stderr what is unusual about the splits: what is the same in all, then each other kind once."""
    same = set.intersection(*({found.message for found in split.findings} for split in splits))
    for message in dict.fromkeys(f.message for split in splits for f in split.findings):
        if message in same:
            tell(f"note: {message}")
    others: dict[str, list[tuple[Finding, Path]]] = {}
    for split, path in zip(splits, paths, strict=True):
        for found in split.findings:
            if found.message not in same:
                others.setdefault(found.kind, []).append((found, path))
    for kind in others.values():
        most, path = max(kind, key=lambda told: told[0].count)
        n = f"{len({path for _, path in kind})} of {len(splits)} splits"
        if len({found.message for found, _ in kind}) == 1:
            tell(f"note: {most.message} (in {n})")
        else:
            tell(f"note: {path}: {most.message} (in {n}, with other figures; --json has each)")


def _describe(split: Split, path: Path) -> dict[str, Any]:
    from hybrid.splitting.findings import count_groups, count_parts

    groups, largest = count_groups(split)
    return {
        "path": path,
        "sha256": split.sha256,
        "counts": count_parts(split),
        "groups": groups,
        "largest_group": largest,
    }


def _text(said: dict[str, Any]) -> str:
    parts = ", ".join(f"{n} {part}" for part, n in Counter(said["counts"]).most_common())
    groups = counted(said["groups"], "group")
    return f"{said['path']}: {parts}; {groups}, the largest of {said['largest_group']}"
