"""Files that a user names as outputs: hybrid replaces what it wrote, and nothing else without ``--force``.

The rule is that of the command line, or of a block with `output_rule`. Other programs that use the library
replace what they name, and leave no records.

Beside each output there is ``.hybrid-outputs/NAME`` with the SHA-256 of what was written under that name, and
what it was. A file is hybrid's own where it still has that hash: not where somebody has changed it since.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from hybrid.utils.files import make_folder, remove, replacing, write_atomically, write_new
from hybrid.utils.interrupt import undisturbed
from hybrid.utils.leftovers import remove_leftovers
from hybrid.utils.reading import OUTPUT, OUTPUT_RECORD, hash_file, read_text

RECORDS = ".hybrid-outputs"
SPLIT_OUTPUT = "split"  # what importers write, too


@dataclass(frozen=True)
class OutputRule:
    """What the outputs of a command may replace.

    Parameters
    ----------
    force : bool, default=False
        Any file.
    inputs : tuple of Path, default=()
        What the command reads: never replaced without `force`, even if hybrid wrote it.
    """

    force: bool = False
    inputs: tuple[Path, ...] = ()


_rule: ContextVar[OutputRule | None] = ContextVar("output_rule", default=None)


@contextlib.contextmanager
def output_rule(force: bool, inputs: Sequence[Path] = ()) -> Iterator[None]:
    """Replace only hybrid's own outputs inside a ``with`` block, and record them.

    Parameters
    ----------
    force : bool
        Whether other files may be replaced, too.
    inputs : sequence of Path, default=()
        What is read.

    Examples
    --------
    >>> _ = Path("notes.txt").write_text("mine")
    >>> with output_rule(force=False):
    ...     output_problem(Path("notes.txt"), "report")
    'which is not an earlier output, or was changed since'
    >>> with output_rule(force=True):
    ...     output_problem(Path("notes.txt"), "report")
    """
    token = _rule.set(OutputRule(force, tuple(inputs)))
    try:
        yield
    finally:
        _rule.reset(token)


def output_problem(
    path: Path,
    kind: str,
    inputs: Sequence[Path] = (),
    in_place: bool = False,
    known: bool = False,
) -> str | None:
    """Why an output must not replace the file at `path`; None if it may, or if there is none.

    Parameters
    ----------
    path : Path
    kind : str
        What is written: a file that hybrid wrote as something else is not replaced.
    inputs : sequence of Path, default=()
        Files that are read, besides those of `output_rule`.
    in_place : bool, default=False
        The file is an input, and it is the meaning of the command to rewrite it.
    known : bool, default=False
        The file is known to be hybrid's by other means than the record of its hash.

    Returns
    -------
    str or None
        A relative clause, for a message.

    Examples
    --------
    >>> with output_rule(force=False):
    ...     write_output(Path("page.html"), b"<p>", "report")
    ...     output_problem(Path("page.html"), "report")
    ...     output_problem(Path("page.html"), "card")
    'which is an earlier output of another kind: report'
    >>> output_problem(Path("page.html"), "report", inputs=[Path("page.html")])
    'which is read'
    """
    rule = _rule.get()
    if is_forced() or not os.path.lexists(path):
        return None
    read = (*inputs, *(rule.inputs if rule else ()))
    if not in_place and any(_is_same(path, each) for each in read):
        return "which is read"
    if rule is None:
        return None
    written = written_as(path) or (kind if known and not path.is_symlink() else None)
    if written is None:
        return "which is not an earlier output, or was changed since"
    return None if written == kind else f"which is an earlier output of another kind: {written}"


def is_forced() -> bool:
    """Tell whether any file may be replaced.

    Examples
    --------
    >>> is_forced()
    False
    """
    rule = _rule.get()
    return rule is not None and rule.force


def write_output(path: Path, data: bytes, kind: str) -> None:
    """Write an output atomically, and record, under `output_rule`, that it is hybrid's.

    Parameters
    ----------
    path : Path
        Replaced in one step if it exists; whether it may be is to be checked before, see `output_problem`.
    data : bytes
    kind : str
        What it is, in a word or two.

    Raises
    ------
    OSError
        If the disk refuses; what was there before is untouched.

    Examples
    --------
    >>> with output_rule(force=False):
    ...     write_output(Path("a.csv"), b"id", "predictions")
    >>> written_as(Path("a.csv"))
    'predictions'
    """
    write_outputs([(path, data, kind)])


def write_outputs(files: Sequence[tuple[Path, bytes | Iterable[bytes], str]]) -> None:
    """Write outputs that belong together: all are on the disk before the first has its name.

    Parameters
    ----------
    files : sequence of (Path, bytes or iterable of bytes, str)
        What `write_output` takes, or pieces that are written as they come. The first is named last: while it
        is the old one, the work is not done.

    Raises
    ------
    OSError
        If the disk refuses; all are as they were, unless it refuses one of several names.

    Examples
    --------
    >>> write_outputs([(Path("d.html"), b"<p>", "report"), (Path("d.csv"), b"id", "table")])
    >>> sorted(path.name for path in Path(".").glob("d.*"))
    ['d.csv', 'd.html']
    """
    for folder in {path.parent for path, _, _ in files}:
        remove_leftovers(folder)
    with undisturbed(), contextlib.ExitStack() as stack:
        written = []
        for path, data, kind in files:
            temporary = stack.enter_context(replacing(path))
            write_new(temporary, data)
            written.append((path, kind, temporary))
        if _rule.get() is not None:
            for each in written:
                remember(*each)


@contextlib.contextmanager
def replacing_output(path: Path, kind: str) -> Iterator[Path]:
    """Like `write_output`, for a file that the caller writes, and syncs, under a temporary name.

    Examples
    --------
    >>> with replacing_output(Path("a.txt"), "text") as temporary:
    ...     write_new(temporary, b"text")
    >>> Path("a.txt").read_text()
    'text'
    """
    remove_leftovers(path.parent)
    with replacing(path) as temporary:
        yield temporary
        if _rule.get() is not None:
            remember(path, kind, temporary)


def remember_output(path: Path, kind: str, source: Path | None = None) -> None:
    """Record, under `output_rule`, that a file is hybrid's; for files that are written otherwise.

    Parameters
    ----------
    path : Path
    kind : str
    source : Path, optional
        Has its content, where `path` is yet to be written.

    Examples
    --------
    >>> _ = Path("c.csv").write_text("id")
    >>> remember_output(Path("c.csv"), "split")
    >>> written_as(Path("c.csv"))
    """
    if _rule.get() is not None:
        remember(path, kind, source)


def forget_output(path: Path) -> None:
    """Remove the record of an output that was not written after all, as far as the system allows.

    Examples
    --------
    >>> with output_rule(force=False):
    ...     write_output(Path("e.csv"), b"id", "predictions")
    >>> Path("e.csv").unlink()
    >>> forget_output(Path("e.csv"))
    >>> _ = Path("e.csv").write_text("id")
    >>> written_as(Path("e.csv"))
    """
    record = _record(path)
    with contextlib.suppress(OSError):
        if not os.path.lexists(path):
            remove(record)
            record.parent.rmdir()  # unless there are others in it


def remember(path: Path, kind: str, source: Path | None = None) -> None:
    """Record that `path` is, or is about to be, a file of hybrid's with the content of `source`.

    What is there now stays hybrid's, if it was: a process may be killed before the new file has its name.

    Examples
    --------
    >>> _ = Path("b.csv").write_text("id")
    >>> remember(Path("b.csv"), "split")
    >>> written_as(Path("b.csv"))
    'split'
    """
    before = written_as(path)
    lines = [] if before is None else [f"{_digest(path)}  {before}\n"]
    lines.append(f"{_digest(source or path)}  {kind}\n")
    record = _record(path)
    make_folder(record.parent)
    write_atomically(record, "".join(lines).encode())


def written_as(path: Path) -> str | None:
    """What hybrid wrote to a file; None if it did not write it, or somebody has changed it since.

    Examples
    --------
    >>> written_as(Path("no-such-file"))
    """
    if path.is_symlink():
        return None
    with contextlib.suppress(OSError, ValueError):
        lines = read_text(_record(path), OUTPUT_RECORD).splitlines()
        kinds = {digest: kind for digest, _, kind in (line.partition("  ") for line in lines)}
        return kinds.get(_digest(path)) if kinds else None
    return None


def _record(path: Path) -> Path:
    return path.parent / RECORDS / path.name


def _digest(path: Path) -> str:
    return hash_file(path, OUTPUT)


def _is_same(path: Path, other: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return path.samefile(other)
    return False
