"""Parquet files as a table of strings."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np

from hybrid.catalogue.readers.image_cells import holds_images, image_cells
from hybrid.catalogue.readers.source import Source
from hybrid.catalogue.readers.table import ColumnBuilder, ParsedTable, make_table, name_repeated
from hybrid.catalogue.readers.values import as_cell, tell_replaced
from hybrid.errors import CatalogueError, MissingExtraError
from hybrid.images.stored import is_bytes, is_image
from hybrid.types import ColumnOptions, Finding
from hybrid.utils.parquet import open_parquet
from hybrid.utils.reading import parse_json
from hybrid.utils.unpacking import UnpackedTooLargeError

_BATCH = 10_000
_MIDNIGHT = re.compile(r" 00:00:00(\.0+)?Z?$")
_NO_FRACTION = re.compile(r"\.0+(?=Z?$)")


def parse_parquet(source: Source, options: ColumnOptions) -> ParsedTable:
    """Parse a Parquet file, such as pandas and Hugging Face write it; lists are joined by the separator.

    Parameters
    ----------
    source : Source
    options : ColumnOptions
        Its separator is used.

    Returns
    -------
    ParsedTable
        The cells of a column of images (structs of ``bytes`` and ``path``, or bytes) are references
        (`hybrid.catalogue.readers.image_cells`).

    Raises
    ------
    CatalogueError
        If it is no Parquet file.
    MissingExtraError
        If pyarrow is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError(
            f"{source.path}: Parquet needs pyarrow. Install it with: pip install 'hybrid-posters[parquet]'"
        ) from error
    with source.open() as content:
        try:
            file = open_parquet(
                io.BytesIO(content.read()) if source.packed else content, source.path
            )
            return _Reader(source, file, options.label_separator).parse()
        except UnpackedTooLargeError:
            raise  # the source tells it
        except (pyarrow.ArrowException, OSError) as error:
            raise CatalogueError(
                f"{source.path}: expected a Parquet file, found: {error}."
            ) from error


class _Reader:
    """Reads one file, a batch of a column at a time."""

    def __init__(self, source: Source, file: Any, separator: str) -> None:
        self.source, self.file, self.separator = source, file, separator
        self.findings: list[Finding] = []
        self.replaced: dict[str, list[str]] = {}
        self.labels = _class_labels(file.schema_arrow.metadata or {})
        self.names: list[str] = file.schema_arrow.names  # each look at the schema makes another one

    def parse(self) -> ParsedTable:
        names, schema = self.names, self.file.schema_arrow
        if twice := name_repeated(names):
            raise CatalogueError(
                f"{self.source.path}: expected each column once, found twice: {twice}."
            )
        columns: dict[str, ColumnBuilder] = {}
        images = []
        for field in schema:
            kind = field.type
            while isinstance(kind, _extension_type()):
                kind = kind.storage_type
            if _is_vector(kind):
                self._leave_out(field.name, f"vectors ({field.type})", "vectors")
                continue
            if _is_list(kind) and is_image(kind.value_type):
                self._leave_out(field.name, "several images an item", "image lists")
                continue
            if is_image(kind) or (is_bytes(kind) and self._holds_images(field.name)):
                images.append(field.name)
                columns[field.name] = self._read_images(field.name)
                continue
            columns[field.name] = self._read(field.name)
        table, unstripped = make_table(columns, self.file.metadata.num_rows)
        rows = np.arange(1, len(table) + 1, dtype=np.int64)
        findings = [*self.findings, *tell_replaced(self.replaced, "bytes that are no text (UTF-8)")]
        hint = _unwritten_index(schema.metadata or {})
        return ParsedTable(table, rows, [], findings, tuple(images), unstripped, hint)

    def _batches(self, name: str, size: int = _BATCH) -> Any:
        """Batches of one column. Its name may hold a dot, which selects a part of a struct for pyarrow."""
        names = self.names
        for batch in self.file.iter_batches(size, columns=[name]):
            if name in batch.schema.names:
                yield batch.column(name)
            else:
                raise CatalogueError(f"{self.source.path}: cannot read column {name!r} of {names}.")

    def _read(self, name: str) -> ColumnBuilder:
        builder, labels = ColumnBuilder(), self.labels.get(name)
        for cells in self._batches(name):
            values = self._values(cells, name)
            if labels is not None:
                values = [_named(value, labels) for value in values]
            builder.add([as_cell(value, self.separator) for value in values])
        if labels is not None:
            message = (
                f"column {name!r}: its numbers were read as the names that the file gives them"
            )
            self.findings.append(
                Finding("label names", message, len(labels), name, tuple(labels[:3]))
            )
        return builder

    def _values(self, cells: Any, name: str) -> list[Any]:
        import pyarrow
        import pyarrow.types as types

        if isinstance(cells, pyarrow.ExtensionArray):
            cells = cells.storage
        kind = cells.type
        if types.is_dictionary(kind):
            cells = cells.dictionary_decode()
            kind = cells.type
        if types.is_timestamp(kind) or types.is_date(kind):
            texts = cells.cast(pyarrow.string()).to_pylist()
            return [text and _NO_FRACTION.sub("", _MIDNIGHT.sub("", text)) for text in texts]
        if types.is_duration(kind):
            return cells.cast(pyarrow.int64()).to_pylist()
        if types.is_map(kind):
            return [value if value is None else dict(value) for value in cells.to_pylist()]
        if types.is_fixed_size_binary(kind):  # such as a UUID
            return [value if value is None else value.hex() for value in cells.to_pylist()]
        if is_bytes(kind):
            return self._decoded(cells.to_pylist(), name)
        try:
            return cells.to_pylist()
        except UnicodeDecodeError:
            return self._decoded(cells.cast(_with_bytes(kind)).to_pylist(), name)

    def _decoded(self, values: list[Any], name: str) -> list[Any]:
        bad: list[str] = []
        texts = [_decode(value, bad) for value in values]
        if bad:
            self.replaced.setdefault(name, []).extend(bad)
        return texts

    def _holds_images(self, name: str) -> bool:
        return any(holds_images(cells.to_pylist()) for cells in self._batches(name, 16))

    def _read_images(self, name: str) -> ColumnBuilder:
        builder, done = ColumnBuilder(), 0
        for cells in self._batches(name, 256):
            builder.add(image_cells(cells.to_pylist(), self.source.path.name, name, done))
            done += len(cells)
        return builder

    def _leave_out(self, name: str, what: str, kind: str) -> None:
        message = f"column {name!r} holds {what} and is left out"
        self.findings.append(Finding(kind, message, self.file.metadata.num_rows, name))


def _with_bytes(kind: Any) -> Any:
    """A type of pyarrow with bytes in place of text, also in lists and structs."""
    import pyarrow
    import pyarrow.types as types

    if types.is_string(kind) or types.is_large_string(kind):
        return pyarrow.binary() if types.is_string(kind) else pyarrow.large_binary()
    if types.is_list(kind):
        return pyarrow.list_(_with_bytes(kind.value_type))
    if types.is_large_list(kind):
        return pyarrow.large_list(_with_bytes(kind.value_type))
    if types.is_struct(kind):
        return pyarrow.struct([field.with_type(_with_bytes(field.type)) for field in kind])
    return kind


def _decode(value: Any, bad: list[str]) -> Any:
    """Decode the bytes in a value; what is no text in UTF-8 is replaced, and noted."""
    if isinstance(value, bytes):
        text = value.decode("utf-8", "replace")
        if "\ufffd" in text:
            bad.append(text)
        return text
    if isinstance(value, dict):
        return {key: _decode(inner, bad) for key, inner in value.items()}
    return [_decode(inner, bad) for inner in value] if isinstance(value, list) else value


def _extension_type() -> Any:
    import pyarrow

    return pyarrow.BaseExtensionType


def _is_list(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_vector(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(
        _is_list(kind) and (types.is_floating(kind.value_type) or _is_vector(kind.value_type))
    )


def _stored(metadata: dict[bytes, bytes], key: bytes) -> dict[str, Any]:
    """What a program has stored about its table; nothing where it is no JSON object."""
    try:
        found = parse_json(metadata.get(key, b""))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _unwritten_index(metadata: dict[bytes, bytes]) -> str:
    """What to say of an index that pandas describes in the metadata, and has written in no column."""
    index = _stored(metadata, b"pandas").get("index_columns")
    index = index if isinstance(index, list) else []
    if not any(isinstance(one, dict) and one.get("kind") == "range" for one in index):
        return ""
    return (
        " The index of pandas numbers the rows and is no column of the file: "
        "frame.rename_axis('id').reset_index().to_parquet(...) writes it as 'id'."
    )


def _class_labels(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Names of the classes of each column that Hugging Face's metadata say is a class label."""
    info = _stored(metadata, b"huggingface").get("info")
    features = info.get("features") if isinstance(info, dict) else None
    found = {}
    for name, feature in features.items() if isinstance(features, dict) else ():
        while isinstance(feature, (dict, list)):
            feature = feature[0] if isinstance(feature, list) and feature else feature
            if not isinstance(feature, dict):
                break
            if feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
                found[name] = [str(label) for label in feature["names"]]
                break
            feature = feature.get("feature")
    return found


def _named(value: Any, labels: list[str]) -> Any:
    if isinstance(value, list):
        return [_named(one, labels) for one in value]
    known = isinstance(value, int) and 0 <= value < len(labels)
    return labels[value] if known else None
