"""A run finds the posters of its own catalogue in the folder that was named for the fit."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hybrid.catalogue import load_catalogue
from hybrid.runs.provenance import describe_catalogue
from hybrid.runs.recorded_posters import use_recorded_posters
from hybrid.types import ColumnOptions


def test_the_folder_is_recorded_relative_to_the_catalogue(tmp_path: Path) -> None:
    tables, covers = tmp_path / "a" / "tables", tmp_path / "a" / "covers"
    tables.mkdir(parents=True)
    covers.mkdir()
    (tables / "films.csv").write_text("id,poster\n1,1.jpg\n")
    fitted = load_catalogue(tables / "films.csv", ColumnOptions(posters=covers))
    record: Any = SimpleNamespace(catalogue=describe_catalogue(fitted))
    assert record.catalogue.posters == "../covers"
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    moved = load_catalogue(tmp_path / "b" / "tables" / "films.csv")
    [path] = use_recorded_posters(moved, record).poster_paths
    assert Path(path).resolve() == tmp_path / "b" / "covers" / "1.jpg"
    named = load_catalogue(moved.path, ColumnOptions(posters=covers))
    assert use_recorded_posters(named, record).poster_paths == (str(covers / "1.jpg"),)
    (tables / "other.csv").write_text("id,poster\n2,1.jpg\n")
    other = use_recorded_posters(load_catalogue(tables / "other.csv"), record)
    assert other.poster_paths == (str(tables / "1.jpg"),)
