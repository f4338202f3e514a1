"""Printing of results: text, or JSON with `--json`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from hybrid.utils.counts import agree, counted
from hybrid.utils.visible import bounded, shortened, visible, visible_json, visible_line

if TYPE_CHECKING:
    from hybrid.catalogue import Catalogue
    from hybrid.runs.folder import Run
    from hybrid.runs.record import RunRecord
    from hybrid.runs.record_parts import AuditRecord, CandidateRecord
    from hybrid.types import BadRow, ColumnRole, Finding, Interval

MAIN = "f1_weighted"
FINDINGS = 20  # of one kind that are printed
COLUMNS = 200  # whose roles are printed


def echo(text: str, err: bool = False) -> None:
    """Print text, which may quote a catalogue; nothing in it controls the terminal, or fills it."""
    _print(visible(bounded(text)), err)


def tell(message: str) -> None:
    """Print a message of one line to stderr."""
    _print(visible_line(bounded(message)), err=True)


def _print(text: str, err: bool = False) -> None:
    try:
        click.echo(text, err=err)
    except BrokenPipeError:
        raise
    except OSError as error:  # the output goes to a file, on a disk that refuses
        error.filename = "what is printed"
        raise


def show(
    as_json: bool,
    data: Any,
    text: str,
    catalogue: Catalogue | None = None,
    *,
    document: bool = False,
) -> None:
    """Print a result to stdout; as JSON with what there is to know about the table it was made from.

    A document, which is made to be kept, is printed whole.
    """
    from hybrid.types import as_plain

    if not as_json:
        _print(visible(text) if document else visible(bounded(text)))
        return
    plain = as_plain(data)
    if catalogue is not None:
        about = as_plain({"findings": catalogue.findings, "left_out": catalogue.left_out})
        several = plain if isinstance(plain, list) else [plain]
        for each in several:  # what is told of the result comes after what is told of the table
            each |= {**about, "findings": about["findings"] + each.get("findings", [])}
    _print(visible_json(json.dumps(plain, ensure_ascii=False, indent=2)))


def size_text(size: int) -> str:
    """Bytes in MiB."""
    return f"{size / 2**20:.1f} MiB"


def bad_rows_text(rows: Sequence[BadRow], limit: int | None = None, each: int | None = None) -> str:
    """One line for each bad row, or for the first ones: where it is, and the reason.

    `limit` is that of all rows, `each` that of the rows with one reason, whatever its numbers and cells.
    """
    shown = rows[:limit]
    totals, seen, lines = Counter(_kind(bad) for bad in shown), Counter[str](), list[str]()
    for bad in shown:
        kind = _kind(bad)
        seen[kind] += 1
        if each is None or seen[kind] <= each:
            lines.append(
                visible_line(
                    f"row {bad.row}, id {bad.id or '(none)'}: {bad.reason}"
                    + (f" ({bad.poster})" if bad.poster else "")
                )
            )
        if seen[kind] == each and totals[kind] > each:
            lines.append(f"… and {totals[kind] - each:,} more with this reason; --json lists all")
    if len(shown) < len(rows):
        lines.append(f"and {len(rows) - len(shown)} more, which --json lists")
    return "\n".join(lines)


def _kind(bad: BadRow) -> str:
    """The reason of a bad row without what is its own: numbers and quoted cells."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "…", bad.reason)


def roles_text(roles: Sequence[ColumnRole]) -> str:
    """One line for each column, of very many the first: its name, its role, why, and its filled cells."""
    shown = roles[:COLUMNS]
    columns = [shortened(visible_line(role.column)) for role in shown]
    names = max(map(len, columns), default=0)
    width = max((len(role.role) for role in shown), default=0)
    lines = [
        f"  {column:{names}}  {role.role:{width}}  {role.reason} ({counted(role.filled, 'cell')} filled"
        + (f", {role.not_understood:,} not understood)" if role.not_understood else ")")
        for column, role in zip(columns, shown, strict=True)
    ]
    if rest := Counter(role.role for role in roles[COLUMNS:]):
        counts = ", ".join(f"{count:,} {role}" for role, count in rest.most_common())
        lines.append(f"  … and {counted(rest.total(), 'more column')} ({counts}); --json lists all")
    return "\n".join(["columns:", *lines])


def reasons_text(rows: Iterable[BadRow]) -> str:
    """How many bad posters, by reason."""
    counts = Counter(bad.reason for bad in rows).most_common()
    return "\n".join(f"  {count} x {reason}" for reason, count in counts)


def findings_text(findings: Sequence[Finding]) -> list[str]:
    """One line for each finding; of many of one kind, one a column, the first ones and how many more."""
    totals, seen, lines = Counter(one.kind for one in findings), Counter[str](), list[str]()
    for one in findings:
        seen[one.kind] += 1
        if seen[one.kind] <= FINDINGS:
            lines.append(f"note: {one.message}")
        if seen[one.kind] == FINDINGS and totals[one.kind] > FINDINGS:
            more = totals[one.kind] - FINDINGS
            lines.append(f"note: … and {more:,} more of this kind ({one.kind}); --json lists all")
    return lines


def tell_catalogue(catalogue: Catalogue) -> None:
    """Tell on stderr how the table was understood, and of bad rows; `hybrid check` lists those."""
    for line in findings_text(catalogue.findings):
        tell(line)
    if catalogue.bad_rows:
        lost = catalogue.left_out
        said = (
            f"{counted(len(catalogue.bad_rows), 'bad row')} in {catalogue.path}; hybrid check lists "
            f"{agree(len(catalogue.bad_rows), '{them|it}')}"
        )
        if lost:
            several = f"{len(lost):,} of them {agree(len(lost), '{are|is}')} left out, such as"
            which = several if len(catalogue.bad_rows) > 1 else "it is left out:"
            said += f"; {which} {bad_rows_text(lost[:1])}"
        tell(f"warning: {said}")


def run_text(run: Run) -> str:
    """The figures of a run in a few lines."""
    from hybrid.audit.leaks import clean_in_words, unknown_learning
    from hybrid.evaluation.metrics import untested_note, untrained_note
    from hybrid.splitting.tasks import fewer_than_asked

    record = run.record
    lines = [
        f"{run.folder}: {_figures(record)} on "
        f"{counted(record.split.counts['test'], 'test item')}{_asked(record)}"
    ]
    if record.training:
        from hybrid.runs.stage_results import gain_sentences

        lines += gain_sentences(record.training)
    if record.untested:
        lines.append(untested_note(record.untested))
    if record.untrained:
        n_tested = len(record.genres) - len(record.untested)
        lines.append(untrained_note(record.untrained, n_tested))
    if short := fewer_than_asked(record.task, record.sampled):
        lines.append(short)
    if record.head:
        lines.append(f"chosen by cross-fitting{_samples(record)}: {_chosen(record.head.chosen)}")
    if record.audit:
        leaks = _leaks(record.audit)
        words = clean_in_words(bool(unknown_learning(record.audit.skipped)))
        lines.append(f"the split is {words}" if record.audit.clean else f"the split LEAKS: {leaks}")
    return "\n".join(lines)


def _figures(record: RunRecord) -> str:
    """The metrics of a run's task."""
    from hybrid.report.wording import number

    found = f"weighted F1 {with_interval(record.metrics[MAIN])}"
    if not record.task.multiclass:
        return found
    more = [f"accuracy {with_interval(record.metrics['accuracy'])}"]
    more.append(f"macro F1 {number(record.metrics['f1_macro'].value, '.3f')}")
    if len(record.genres) > 2:
        more.append(f"top-2 accuracy {record.metrics['top_2_accuracy'].value:.3f}")
    return ", ".join([found, *more])


def _asked(record: RunRecord) -> str:
    return f", one of {len(record.genres)} genres each" if record.task.multiclass else ""


def with_interval(value: Interval) -> str:
    """An estimate and its interval; a dash where it is not known."""
    from hybrid.report.wording import with_interval as format_interval

    return format_interval(value)


def _samples(record: RunRecord) -> str:
    """The samples that settings were chosen on, if they were."""
    from hybrid.report.wording import listed

    tried = record.head.candidates if record.head else ()
    # In the order of evaluation: sample after sample, and at last all items, or those of the first fold.
    sizes = [size for size, _ in groupby(tried, key=lambda one: one.items) if size]
    samples = [f"{size:,}" for size in sizes[:-1]]
    return f" on samples of {listed(samples, len(samples))} items" if samples else ""


def _chosen(chosen: Mapping[str, Any]) -> str:
    parameters = {name: value for name, value in chosen.items() if name != "block_weights"}
    return _settings(parameters, chosen["block_weights"])


def tried_text(tried: Sequence[CandidateRecord]) -> str:
    """Table of the candidates of a search, best first."""
    rows = [["quality", "spread", "seconds", "settings"]]
    for one in sorted(tried, key=lambda one: -one.quality):
        numbers = [f"{one.quality:.4f}", f"{one.spread:.4f}", f"{one.seconds:.2f}"]
        rows.append([*numbers, _settings(one.choice.parameters, one.choice.weights)])
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        "  ".join([*(cell.rjust(w) for cell, w in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )


def _settings(parameters: Mapping[str, Any], weights: Mapping[str, float]) -> str:
    pairs = {**parameters, **weights}.items()
    return ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in pairs)


def _leaks(audit: AuditRecord) -> str:
    return "; ".join(f"{leak.kind}, {leak.share:.1%} of the test items" for leak in audit.leaks)
