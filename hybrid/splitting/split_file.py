"""splits.csv: write and read a split; beside it, how it was made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd

from hybrid.errors import SplitError
from hybrid.split_types import SplitMethod
from hybrid.splitting.splits import split_hash
from hybrid.types import PARTS, UNUSED, Split
from hybrid.utils.csv_text import csv_blocks, unescape_columns
from hybrid.utils.files import remove
from hybrid.utils.outputs import SPLIT_OUTPUT, write_outputs, written_as
from hybrid.utils.reading import SPLIT, TEXT, open_file, read_bytes, read_json
from hybrid.utils.refusals import describe_refusal
from hybrid.utils.writable import check_new_file

METHOD = "method of a split"
Output = tuple[Path, bytes | Iterable[bytes], str]


def write_split(split: Split, path: str | Path) -> None:
    """Write ``splits.csv``: id, split, group; the old file stays until the new one is whole.

    How the split was made, where that is known, is written beside it, see `method_file`.

    Parameters
    ----------
    split : Split
    path : str or Path

    Raises
    ------
    SplitError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.splitting.splits import make_split
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "splits.csv"
    >>> split = make_split(["a", "b", "c"], [[1], [1], [1]], shares=(1 / 3, 1 / 3, 1 / 3))
    >>> write_split(split, path)
    >>> read_split(path).sha256 == split.sha256
    True
    >>> folder.cleanup()
    """
    try:
        files: list[Output] = [(Path(path), _format(split), SPLIT_OUTPUT)]
        write_outputs([*files, *_method_output(split, method_file(path))])
        _remove_method(split, method_file(path))
    except OSError as error:
        raise SplitError(describe_refusal(f"the split {path}", error)) from error


def check_split_target(path: Path, in_place: bool = False) -> None:
    """Check that `write_split` can write there and replaces only a split that hybrid wrote.

    Parameters
    ----------
    path : Path
    in_place : bool, default=False
        The split is read, too: it is repaired.

    Raises
    ------
    RunError
        See `hybrid.utils.writable.check_new_file`.

    Examples
    --------
    >>> check_split_target(Path("splits.csv"))
    """
    known = written_as(path) is None and _is_of_earlier_version(path)  # which reads all of it
    check_new_file("--splits", path, SPLIT_OUTPUT, in_place=in_place, known=known)
    method = method_file(path)
    check_new_file("--splits", method, METHOD, known=method.is_file() and _is_method(method))


def _is_of_earlier_version(path: Path) -> bool:
    """Whether an earlier version of hybrid, which kept no records of its outputs, wrote a split.

    Then its method is beside it, and it has, to the byte, the form of `write_split`. The form alone would be
    no proof: pandas writes it, too.
    """
    try:
        if not path.is_file():
            return False
        split = read_split(path)
        return split.method is not None and read_bytes(path, SPLIT) == b"".join(_format(split))
    except (OSError, SplitError):
        return False


def _format(split: Split) -> Iterator[bytes]:
    """The file in pieces, so that memory holds none of it as a whole."""
    columns = {"id": split.ids, "split": split.parts, "group": split.groups}
    return (text.encode() for text in csv_blocks(columns))


def _is_method(path: Path) -> bool:
    try:
        data: Any = read_json(path, TEXT)
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and {"sha256", "method"} <= set(data)


def method_file(path: str | Path) -> Path:
    """The file that says how a split was made: ``splits.method.json`` beside ``splits.csv``.

    It belongs to the split with its ``sha256``; for any other split it says nothing.

    Examples
    --------
    >>> method_file("films/splits-0.csv").as_posix()
    'films/splits-0.method.json'
    """
    return Path(path).with_suffix(".method.json")


def _method_output(split: Split, path: Path) -> list[Output]:
    if split.method is None:
        return []
    data = {"sha256": split.sha256, **asdict(split.method)}
    return [(path, (json.dumps(data, ensure_ascii=False, indent=2) + "\n").encode(), METHOD)]


def _remove_method(split: Split, path: Path) -> None:
    """Remove what says how the split before was made, where nothing is known of this one."""
    if split.method is None and path.is_file() and _is_method(path):
        remove(path)


def _read_method(path: Path, sha256: str) -> SplitMethod | None:
    """How the split with this hash was made; None where the file is missing or says nothing of it."""
    try:
        data: Any = read_json(path, TEXT)
        if data.pop("sha256") != sha256:
            return None
        known = {each.name for each in fields(SplitMethod)}
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known
        }
        method = SplitMethod(**values)
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None
    return method if _is_sound(method) else None


def _is_sound(method: SplitMethod) -> bool:
    """Whether each value, which someone may have edited, has its type."""
    numbers = (method.seed, method.folds, method.fold)
    return (
        isinstance(method.method, str)
        and all(number is None or type(number) is int for number in numbers)
        and (method.by is None or isinstance(method.by, str))
        and all(isinstance(share, float) for share in method.shares or ())
        and all(isinstance(name, str) for name in method.group_columns)
    )


def read_split(path: str | Path) -> Split:
    r"""Read ``splits.csv``; an id may be in it twice, which the audit reports.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Split
        Without a column ``group``, each id is its own group. Its `method` is known where `write_split`
        wrote it.

    Raises
    ------
    SplitError
        If the file is missing, lacks a column, or names an unknown part.

    Examples
    --------
    >>> from hybrid import read_split
    >>> _ = Path("splits.csv").write_text("id,split\na,train\nb,test\n")
    >>> read_split("splits.csv").parts.tolist()
    ['train', 'test']
    """
    try:
        with open_file(path, SPLIT) as file:
            table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise SplitError(
            f"expected a split at {path}, found no such file. Make one with: hybrid split"
        ) from None
    except (OSError, ValueError) as error:
        raise SplitError(f"cannot read the split {path}: {error}.") from error
    if not {"id", "split"} <= set(table.columns):
        found = ", ".join(map(str, table.columns))
        raise SplitError(f"{path}: expected the columns id, split and group, found {found}.")
    strange = sorted(set(table["split"]) - {*PARTS, UNUSED})
    if strange:
        raise SplitError(
            f"{path}: expected train, validation, test or unused in column split, found "
            f"{', '.join(map(repr, strange[:5]))}."
        )
    split = _parse(unescape_columns(table, ("id", "group")), method_file(path))
    if split.method is None:  # perhaps one of an earlier version, which escaped nothing
        as_written = _parse(table, method_file(path))
        return split if as_written.method is None else as_written
    return split


def _parse(table: pd.DataFrame, method: Path) -> Split:
    ids, parts = (table[name].to_numpy(dtype=object).astype(str) for name in ("id", "split"))
    groups = table["group"] if "group" in table.columns else table["id"]
    digest = split_hash(ids, parts)
    named = groups.to_numpy(dtype=object).astype(str)
    return Split(ids, parts, named, digest, _read_method(method, digest))
