"""`hybrid audit`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from hybrid.cli.options import (
    OutputFile,
    Project,
    column_options,
    common_options,
    embedding_options,
)
from hybrid.cli.output import show, tell_catalogue
from hybrid.cli.path_types import LocalPath
from hybrid.remote.address import remote_url
from hybrid.types import ColumnOptions, EmbeddingSelector, Leak, TextSelector
from hybrid.utils.counts import agree, counted

if TYPE_CHECKING:
    from hybrid.audit.audit import AuditResult
    from hybrid.audit.cached_backbones import CachedBackbone
    from hybrid.runs.folder import Run

SHOWN_PAIRS = 20


@click.command("audit")
@common_options("catalogue", "splits", "cache", "runs", "seed", "workers", "cluster", "force")
@column_options
@embedding_options
@click.option(
    "--run",
    "run",
    type=LocalPath(),
    metavar="RUN",
    help="Also audit this run, and estimate how much the leaks raise its figures. Of a run on some genres, "
    "only leaks between the items of its task count. Of a run in another project, its own catalogue and "
    "split are audited, unless --catalogue is given.",
)
@click.option(
    "--text-encoder",
    help="Text encoder whose embeddings of the texts are compared.  [default: the one that was extracted]",
)
@click.option(
    "--text-embeddings",
    metavar="DIGITS",
    help="First digits of the fingerprint of text embeddings, where an encoder has several.",
)
@click.option(
    "--repair",
    is_flag=True,
    help="Group duplicates, split again where that is needed, and write the split.",
)
@click.option("--sheet", type=OutputFile(), metavar="FILE.html",
              help="A page with the posters of the pairs.")  # fmt: skip
def command(
    project: Project,
    columns: ColumnOptions,
    run: Path | None,
    text_encoder: str | None,
    text_embeddings: str | None,
    repair: bool,
    sheet: Path | None,
    select: EmbeddingSelector,
) -> int:
    """Check the split for leaks: exit 0 if it is clean, 1 if it leaks. Warnings do not count.

    Of each set of embeddings in the cache, it is told whether its weights have learnt from test items. Such a
    set must not be used with this split, but is no fault of the split: it counts only where it is named with
    --backbone, --weights, --dtype or --embeddings, or is that of the run.
    """
    from hybrid.audit.audit import audit_project
    from hybrid.audit.leaks import unknown_learning
    from hybrid.catalogue import load_catalogue
    from hybrid.report.audit_sheet import SHEET, write_audit_sheet
    from hybrid.runs.folder import read_run
    from hybrid.runs.recorded_posters import load_like
    from hybrid.splitting.split_file import check_split_target, read_split
    from hybrid.utils.writable import check_new_file

    if sheet is not None:
        check_new_file("--sheet", sheet, SHEET)
    audited = None if run is None else read_run(project.find_run(run))
    project = project if audited is None else _project_of(project, audited)
    if repair:
        check_split_target(project.splits, in_place=True)
    if audited is None:
        catalogue = load_catalogue(project.catalogue, columns)
    else:  # its features were made of these columns
        catalogue = load_like(audited.folder, audited.record, project.catalogue, columns)
    tell_catalogue(catalogue)
    result = audit_project(
        catalogue,
        read_split(project.splits),
        run=audited,
        repair_to=project.splits if repair else None,
        select=select,
        select_text=TextSelector(text_encoder, fingerprint=text_embeddings),
        context=project.context,
    )
    if sheet is not None:
        write_audit_sheet(result.audit, catalogue, sheet, result.backbones)
    data = {
        "catalogue": remote_url(project.catalogue) or project.catalogue.resolve(),
        "splits": project.splits.resolve(),
        "clean": result.audit.clean,
        "checks": result.audit.checks,
        "leaks": result.audit.leaks,
        "warnings": result.audit.warnings,
        "skipped": result.audit.skipped,
        "unknown": unknown_learning(result.audit.skipped),
        "backbones": result.backbones,
        "cost": result.cost,
        "repaired": result.repaired,
    }
    lines = [
        _text(result, _of_task(audited)),
        *_judged(project, audited),
        *_backbones(result.backbones),
        *_cost(result.cost),
        *_repaired(result.repaired),
    ]
    show(project.json, data, "\n".join(lines), catalogue)
    after = result.repaired.audit if result.repaired else result.audit
    return int(not after.clean)


def _project_of(project: Project, run: Run) -> Project:
    """Catalogue and split as the user named them; else those of the run, wherever the user stands.

    In the run's own project the split is the present one, which need not be that of the run.
    """
    from hybrid.runs.recorded_files import find_catalogue, find_split

    source = click.get_current_context().get_parameter_source
    named = {
        name for name in ("catalogue", "splits") if source(name) is not ParameterSource.DEFAULT
    }
    if "catalogue" in named:
        return project
    own = find_catalogue(run.folder, run.record)
    here = project.catalogue.exists() and own.samefile(project.catalogue)
    splits = project.splits if here or "splits" in named else find_split(run.folder, run.record)
    return replace(project, catalogue=own, splits=splits)


def _judged(project: Project, run: Run | None) -> list[str]:
    """Which files a run was judged by: its own, or others that were named."""
    if run is None:
        return []
    return [f"{run.name} was audited on catalogue {project.catalogue} and split {project.splits}"]


def _of_task(run: Run | None) -> str:
    """What the leaks are counted for, where that is not the whole split."""
    if run is None or run.task.whole:
        return ""
    return f" for the task of {run.name} ({', '.join(run.task.genres) or run.task.kind})"


def _text(result: AuditResult, of_task: str) -> str:
    from hybrid.audit.cached_backbones import restriction_in_words
    from hybrid.audit.leaks import clean_in_words, unknown_learning

    audit = result.audit
    checks = f"searched for: {', '.join(audit.checks)}"
    words = clean_in_words(bool(unknown_learning(audit.skipped)))
    words += restriction_in_words(result.backbones)
    lines = [f"the split {f'is {words}' if audit.clean else 'LEAKS'}{of_task}; {checks}"]
    for leak in (*audit.leaks, *audit.warnings):
        lines += _found(leak)
    lines += [f"not searched for: {reason}" for reason in audit.skipped]
    return "\n".join(lines)


def _backbones(backbones: Sequence[CachedBackbone]) -> list[str]:
    if not backbones:
        return []
    return [
        "sets of embeddings of the catalogue, by what their weights have learnt from:",
        *(f"  {each.verdict}: {each.sentence}" for each in backbones),
    ]


def _found(leak: Leak) -> list[str]:
    lines = [
        f"{leak.severity}: {leak.kind}: {leak.count}, {leak.share:.1%} of the test items",
        *(
            f"  {a} ({part})" + (f" - {b} ({other})" if other else f" - {b}")
            for a, part, b, other in leak.pairs[:SHOWN_PAIRS]
        ),
    ]
    if leak.count > SHOWN_PAIRS:
        lines.append(f"  … the first {SHOWN_PAIRS}; --json has more")
    return lines


def _cost(cost: dict[str, Any]) -> list[str]:
    if not cost:
        return []
    lines = ["what the leaks are worth (metric: all test items, clean ones, difference)"]
    for name, found in cost.items():
        low, high = found.difference.low, found.difference.high
        lines.append(
            f"  {name}: {found.all.value:.3f}, {found.clean.value:.3f}, "
            f"{found.difference.value:+.3f} ({low:+.3f} to {high:+.3f})"
        )
    return lines


def _repaired(repaired: Any) -> list[str]:
    if repaired is None:
        return []
    said = "clean" if repaired.audit.clean else "still LEAKING"
    if not repaired.rewritten:
        return [f"{repaired.path}: nothing to repair: all groups are known and whole; it is {said}"]
    return [
        f"{repaired.path}: split again, {counted(repaired.tied, 'item')} in "
        f"{counted(repaired.groups, 'group')} of several; {counted(repaired.moved, 'item')} changed "
        f"{agree(repaired.moved, '{their|its}')} part, {repaired.added:,} "
        f"{agree(repaired.added, '{were|was}')} in none or in several; it is {said}"
    ]
