"""Embeddings that were made elsewhere, read from a file or a frame: ids and vectors, not checked yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.errors import ExtractionError, HybridError, MissingExtraError, SettingError
from hybrid.extraction.imported_arrays import describe_unreadable, read_npy, unpack_array
from hybrid.extraction.imported_values import (
    RawEmbeddings,
    StackedRows,
    is_absent,
    matched,
    matrix,
    of_vectors,
    pick,
    unequal,
    unlike,
    with_gaps,
)
from hybrid.utils.counts import first_few
from hybrid.utils.parquet import open_parquet
from hybrid.utils.reading import EMBEDDINGS, IDS_FILE, open_file, open_text, parse_json, read_text
from hybrid.utils.unpacking import UnpackedTooLargeError

IDS = ("id", "ids", "item_id")
VECTORS = ("embedding", "embeddings", "vector", "vectors")
BATCH = 4096
UNPACKED = 2**36  # bytes of all arrays of a .npz file


def read_embeddings(
    source: str | Path | pd.DataFrame,
    *,
    ids: str | Path | None = None,
    id_column: str | None = None,
    vector_column: str | None = None,
) -> RawEmbeddings:
    """Read ids and vectors from a file, whose name says its format, or from a frame.

    Parameters
    ----------
    source : str, Path or DataFrame
        ``.npz`` with two arrays, ``.npy`` with `ids`, ``.parquet``, ``.jsonl``; or a frame, whose index is
        the ids where no column is, and which has a column of vectors, or numeric columns only.
    ids : str or Path, optional
        Text file with one id a line; needed by ``.npy``, and by nothing else.
    id_column, vector_column : str, optional
        Names of columns or arrays; by default the first of `IDS` and `VECTORS` that is there.

    Raises
    ------
    SettingError
        If the ending is unknown, or an option does not go with it.
    ExtractionError
        If the content is something else. Pickles are never opened.
    TemporaryFileError
        If the disk of the temporary files refuses vectors of a large file.
    MissingExtraError
        If it is a Parquet file and pyarrow is not installed.

    Examples
    --------
    >>> np.savez("clip.npz", ids=["a", "b"], embeddings=np.eye(2))
    >>> read_embeddings("clip.npz").ids
    ['a', 'b']
    """
    named = _Names(id_column, vector_column)
    if isinstance(source, pd.DataFrame):
        if ids is not None:
            raise SettingError("ids: expected none with a frame, whose index or column has them.")
        return _from_frame(source, named)
    path = Path(source)
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise SettingError(
            f"expected a file that ends in {', '.join(_READERS)}, found {path}. pandas reads many more: "
            "hybrid.import_embeddings takes a frame."
        )
    problems = _option_problems(suffix, ids, named)
    if problems:
        raise SettingError("\n".join(problems))
    try:
        if suffix == ".npy":
            return _read_npy(path, Path(str(ids)))
        return _READERS[suffix](path, named)
    except OSError as error:
        raise ExtractionError(f"cannot read {path}: {error.strerror or error}.") from error


class _Names(NamedTuple):
    """The names that the user gave."""

    ids: str | None
    vectors: str | None


def _option_problems(suffix: str, ids: str | Path | None, named: _Names) -> list[str]:
    problems = []
    if suffix == ".npy":
        if ids is None:
            problems.append("--ids: expected a text file with one id a line: .npy holds no ids.")
        if named != _Names(None, None):
            problems.append("--id-name, --vector-column: expected none, since .npy has no names.")
    elif ids is not None:
        problems.append(f"--ids: expected none, since {suffix} holds the ids.")
    return problems


def _read_npz(path: Path, named: _Names) -> RawEmbeddings:
    with open_file(path, EMBEDDINGS) as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                if not isinstance(archive, np.lib.npyio.NpzFile):
                    raise unlike(path, "a .npz file", "one array, as .npy has it")
                _check_sizes(path, archive.zip)
                ids = pick("array", named.ids, IDS, archive.files, path, "--id-name")
                vectors = pick(
                    "array", named.vectors, VECTORS, archive.files, path, "--vector-column"
                )
                rows = matrix(unpack_array(archive, vectors), path)
                return matched(archive[ids].tolist(), rows, path)
        except (HybridError, OSError):
            raise
        except Exception as error:  # there is no list of what NumPy raises of a changed header
            raise unlike(path, "a .npz file of arrays", describe_unreadable(error)) from error


def _check_sizes(path: Path, archive: Any) -> None:
    """What is packed may not fill a disk."""
    total = sum(member.file_size for member in archive.infolist())
    if total > UNPACKED:
        raise unlike(path, f"at most {UNPACKED:,} bytes unpacked, for more a .npy", f"{total:,}")


def _read_npy(path: Path, ids: Path) -> RawEmbeddings:
    try:
        lines = read_text(ids, IDS_FILE, "utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ExtractionError(
            f"--ids {ids}: expected a text file with one id a line, found: {error}."
        ) from error
    while lines and not lines[-1].strip():
        lines.pop()
    return matched(lines, read_npy(path), path)


def _read_parquet(path: Path, named: _Names) -> RawEmbeddings:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: Parquet needs pyarrow. Install it with: pip install 'hybrid-posters[parquet]'"
        ) from error
    with open_file(path, EMBEDDINGS) as content:
        try:
            file = open_parquet(content, path)
            schema = file.schema_arrow
            vectors = [field.name for field in schema if _is_vector(field.type)]
            others = [name for name in schema.names if name not in vectors]
            ids = pick("column", named.ids, IDS, others, path, "--id-name")
            name = pick(
                "column of vectors", named.vectors, VECTORS, vectors, path, "--vector-column"
            )
            texts, rows = [], StackedRows(path)
            for batch in file.iter_batches(BATCH, columns=[ids, name]):
                texts += batch.column(ids).to_pylist()
                rows.add(_arrow_rows(batch.column(name), path))
        except UnpackedTooLargeError:
            raise
        except (pyarrow.ArrowException, OSError, KeyError) as error:
            raise unlike(path, "a Parquet file", str(error).rstrip(".")) from error
    return matched(texts, rows.matrix(), path)


def _is_vector(kind: Any) -> bool:
    import pyarrow.types as types

    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(
        listed and (types.is_floating(kind.value_type) or types.is_integer(kind.value_type))
    )


def _arrow_rows(cells: Any, path: Path) -> NDArray[Any]:
    """A batch of a column of lists as a matrix; NaN where there is none."""
    absent = cells.is_null().to_numpy(zero_copy_only=False)
    there = cells.drop_null()
    lengths = np.unique(there.value_lengths().to_numpy(zero_copy_only=False))
    if len(lengths) > 1:
        raise unequal(path, lengths.tolist())
    values = there.flatten().to_numpy(zero_copy_only=False)
    width = int(lengths[0]) if len(lengths) else 0
    return with_gaps(values.reshape(len(there), width), absent)


def _read_lines(path: Path, named: _Names) -> RawEmbeddings:
    """JSON Lines: an object with id and vector in each."""
    ids: list[Any] = []
    vectors: list[Any] = []
    rows = StackedRows(path)
    id_name, vector_name = "", ""
    try:
        with open_text(path, EMBEDDINGS, "utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                said = parse_json(line)
                if not isinstance(said, dict):
                    raise unlike(path, "an object a line", f"another value in line {number}")
                if not id_name:
                    plain = [key for key, value in said.items() if not isinstance(value, list)]
                    lists = [key for key, value in said.items() if isinstance(value, list)]
                    lists += [key for key in VECTORS if key in said and said[key] is None]
                    id_name = pick("key", named.ids, IDS, plain, path, "--id-name")
                    vector_name = named.vectors or pick(
                        "key with a vector", None, VECTORS, lists, path, "--vector-column"
                    )
                ids.append(said.get(id_name))
                vectors.append(_vector(said.get(vector_name), path, number))
                if len(vectors) == BATCH:
                    rows.add(of_vectors(vectors, path))
                    vectors.clear()
    except ValueError as error:  # no JSON, or no UTF-8
        raise unlike(path, "JSON Lines in UTF-8", str(error).rstrip(".")) from error
    rows.add(of_vectors(vectors, path))
    return matched(ids, rows.matrix(), path)


def _vector(value: Any, path: Path, number: int) -> NDArray[np.float32] | None:
    """One vector of JSON; None where there is none."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(one) in (int, float) for one in value):
        raise unlike(path, "a list of numbers", f"something else in line {number}")
    # More than float32 holds becomes infinite, and is refused as such.
    with np.errstate(over="ignore"):
        try:
            return np.array(value, dtype=np.float64).astype(np.float32)
        except OverflowError as error:
            raise unlike(path, "numbers", f"a larger one in line {number}") from error


def _from_frame(frame: pd.DataFrame, named: _Names) -> RawEmbeddings:
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise ExtractionError("expected each column of the frame once, found one twice.")
    frame = frame.set_axis(names, axis="columns")
    ids = named.ids or next((name for name in IDS if name in names), None)
    if ids is not None and ids not in names:
        raise ExtractionError(
            f"expected a column {ids!r} with the ids, found {first_few(names, 10)}."
        )
    if ids is None and isinstance(frame.index, pd.RangeIndex):
        raise ExtractionError(
            "expected a frame that is indexed by id, or has a column 'id', found numbered rows: use "
            "frame.set_index(COLUMN)."
        )
    texts = (frame.index if ids is None else frame[ids]).tolist()
    rest = frame if ids is None else frame.drop(columns=ids)
    numeric = [name for name in rest.columns if pd.api.types.is_numeric_dtype(rest[name])]
    if named.vectors is None and len(numeric) == len(rest.columns):
        return matched(texts, matrix(rest.to_numpy(), "the frame"), "the frame")
    others = [name for name in rest.columns if name not in numeric]
    column = pick("column of vectors", named.vectors, VECTORS, others, "the frame", "vector_column")
    cells = [None if is_absent(cell) else np.asarray(cell) for cell in rest[column].tolist()]
    return matched(texts, of_vectors(cells, "the frame"), "the frame")


_READERS: dict[str, Callable[[Path, _Names], RawEmbeddings]] = {
    ".npz": _read_npz,
    ".npy": _read_npz,  # see read_embeddings: its ids are in another file
    ".parquet": _read_parquet,
    ".jsonl": _read_lines,
    ".ndjson": _read_lines,
}
