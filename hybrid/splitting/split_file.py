"""splits.csv: write and read a split."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from hybrid.errors import SplitError
from hybrid.splitting.splits import split_hash
from hybrid.types import PARTS, UNUSED, Split
from hybrid.utils.files import write_atomically


def write_split(split: Split, path: str | Path) -> None:
    """Write ``splits.csv``: id, split, group; the old file stays until the new one is whole.

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
    table = pd.DataFrame({"id": split.ids, "split": split.parts, "group": split.groups})
    try:
        write_atomically(Path(path), table.to_csv(index=False, lineterminator="\n").encode())
    except OSError as error:
        raise SplitError(f"cannot write the split {path}: {error.strerror or error}.") from error


def read_split(path: str | Path) -> Split:
    r"""Read ``splits.csv``; an id may be in it twice, which the audit reports.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Split
        Without a column ``group``, each id is its own group.

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
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
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
    ids = table["id"].to_numpy(dtype=object).astype(str)
    parts = table["split"].to_numpy(dtype=object).astype(str)
    groups = table["group"] if "group" in table.columns else table["id"]
    return Split(ids, parts, groups.to_numpy(dtype=object).astype(str), split_hash(ids, parts))
