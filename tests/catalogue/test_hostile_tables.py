"""Parquet files and data sets of Hugging Face whose metadata is hostile, or of another shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hybrid import load_catalogue
from hybrid.catalogue.importers import import_catalogue
from hybrid.errors import CatalogueError

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

DEEP = b"[" * 100_000
METADATA = [
    {b"pandas": DEEP, b"huggingface": DEEP},
    {b"pandas": b"[1]", b"huggingface": b'{"info": 5}'},
    {b"pandas": b'{"index_columns": 5}', b"huggingface": b'{"info": {"features": [1]}}'},
    {b"huggingface": b'{"info": {"features": {"genres": {"names": 5}, "title": [], "id": [[]]}}}'},
    {b"huggingface": b'{"info": []}'},
]


def write(path: Path, metadata: dict[bytes, bytes] | None = None) -> None:
    table = pa.table({"id": ["1", "2"], "title": ["a", "b"], "genres": ["War", "Drama"]})
    parquet.write_table(table.replace_schema_metadata(metadata), path)


@pytest.mark.parametrize("metadata", METADATA)
def test_metadata_of_another_shape_tells_nothing(metadata: dict[bytes, bytes]) -> None:
    write(Path("t.parquet"), metadata)
    assert load_catalogue("t.parquet").ids.tolist() == ["1", "2"]
    assert import_catalogue("huggingface", "t.parquet", "films").items == 2


def test_each_of_many_columns_is_found_once() -> None:
    """To list them all anew for each takes minutes."""
    columns = {f"c{i}": ["x"] for i in range(1500)}
    parquet.write_table(pa.table({"id": ["1"], **columns}), "t.parquet")
    assert len(load_catalogue("t.parquet").frame.columns) == 1501


@pytest.mark.parametrize("state", [5, [], [5], [{"filename": 5}], [{}]])
def test_a_saved_data_set_of_another_shape(state: Any) -> None:
    Path("source").mkdir()
    Path("source/state.json").write_text(json.dumps({"_data_files": state}))
    with pytest.raises(CatalogueError, match="found none of these"):
        import_catalogue("huggingface", "source", "films")


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("name", ["state.json", "dataset_dict.json"])
def test_a_data_set_names_no_file_outside_its_folder(name: str, absolute: bool) -> None:
    Path("source").mkdir()
    Path("secret").mkdir()
    Path("secret/state.json").write_text('{"_data_files": [{"filename": "t.parquet"}]}')
    write(Path("secret/t.parquet"))
    folder = str(Path("secret").resolve()) if absolute else "../secret"
    said: dict[str, Any] = {"splits": [folder]}
    if name == "state.json":
        said = {"_data_files": [{"filename": f"{folder}/t.parquet"}]}
    Path("source", name).write_text(json.dumps(said))
    with pytest.raises(CatalogueError, match="expected a data set whose files lie in its folder"):
        import_catalogue("huggingface", "source", "films")
