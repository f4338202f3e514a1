"""Large catalogues: columns that Arrow packs, read in chunks, are those that Python's strings give."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid.catalogue import Catalogue, load_catalogue, packed
from hybrid.catalogue.check import tell_shared_texts
from hybrid.catalogue.packed import (
    find_repeated,
    is_packed,
    join_packed,
    keep_rows,
    match_all,
    pack,
    pack_many,
    replace_cells,
    take_every,
)
from hybrid.catalogue.readers import csv_rows, parquet, table, values
from hybrid.errors import CatalogueError
from hybrid.utils.threads import AHEAD, map_ahead

LETTERS = "ab7 ,|é\u00a0\u3000\"'\n[/.-"
TEXTS = st.text(LETTERS, max_size=12)
CELLS = st.one_of(
    *(
        TEXTS,
        st.sampled_from(["N/A", "7", "1,5", "2001-05-04", "None yet, but soon.", "['a', 'b']"]),
    ),
    *(st.just(""), st.sampled_from(["Drama", "War|Drama", "drama", "http://a.org/1.jpg", "1.jpg"])),
)
IDS = st.one_of(
    st.integers(0, 12).map(str), st.sampled_from(["", "07", "7.0", "a\u00a0", "A", "a"])
)
NAMES = ("id", "title", "plot", "genres", "year", "poster")
ROWS = st.lists(st.tuples(IDS, *[CELLS] * (len(NAMES) - 1)), min_size=1, max_size=40)


@contextmanager
def chunks_of(size: int, packs: bool) -> Iterator[None]:
    """Read so many rows at a time; pack all columns, or none."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((csv_rows, "CHUNK"), (values, "_CHUNK"), (parquet, "_BATCH")):
            patch.setattr(module, name, size)
        patch.setattr(csv_rows, "_BLOCK", 1)  # lines that are taken at once
        patch.setattr(packed, "CHUNK", size)
        patch.setattr(table, "_most_differ", lambda different, n: packs)
        yield


def write(path: Path, rows: list[tuple[str, ...]]) -> None:
    """Write a catalogue by its suffix."""
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([NAMES, *rows])
    elif path.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(NAMES, row, strict=True))) for row in rows]
        path.write_text("\n".join(lines), encoding="utf-8")
    else:
        pd.DataFrame(rows, columns=list(NAMES)).to_parquet(path)


def told(path: Path) -> Any:
    """All that loading a catalogue gives, or the words of its error."""
    try:
        films: Catalogue = load_catalogue(path)
    except CatalogueError as error:
        return str(error)
    return {
        "table": films.table.astype(object).to_dict("list"),
        "rows": films.rows.tolist(),
        "roles": films.roles,
        "columns": films.columns,
        "bad": films.bad_rows,
        "left out": films.left_out,
        "findings": (*films.findings, *tell_shared_texts(films)),
        "labels": (films.genres, films.labels.tolist()),
        "ids": films.ids.tolist(),
        "posters": (films.posters, films.poster_paths, films.poster_problems),
        "files": [films.poster_files(i) for i in range(len(films))],
        "frame": films.frame.to_csv(),
    }


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@settings(
    max_examples=25, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(rows=ROWS, size=st.integers(1, 7))
def test_chunks_of_any_size_give_the_same_catalogue(
    tmp_path: Path, suffix: str, rows: list[tuple[str, ...]], size: int
) -> None:
    path = tmp_path / f"films.{suffix}"
    if suffix == "csv":  # what cells of several lines look like is told by the first lines together
        rows = [tuple(cell.replace("\n", " ") for cell in row) for row in rows]
    write(path, rows)
    with chunks_of(10_000, packs=False):
        whole = told(path)
    with chunks_of(size, packs=True):
        assert told(path) == whole


def test_broken_rows_are_told_whatever_the_chunks(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    lines = [f"{i},Film {i},plot,Drama,{1900 + i},{i}.jpg" for i in range(60)]
    lines[7] = '7,"Film 7,plot,Drama,1907,7.jpg'  # a quote that is not closed
    lines[20], lines[33], lines[40] = "20,Film 20", lines[33] + ",more", ",".join(NAMES)
    path.write_text("\n".join([",".join(NAMES), *lines]))
    with chunks_of(10_000, packs=False):
        whole = told(path)
    assert len(whole["bad"]) == 5  # the short row has no label
    with chunks_of(25, packs=True):
        assert told(path) == whole


def test_what_arrow_cannot_hold_is_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "CHUNK", 2)
    texts = ["a", "b", "c", "", "d"]
    assert not isinstance(pack_many(iter(texts)), np.ndarray)
    assert pack_many(iter(texts)).tolist() == texts
    for place in range(6):
        torn = [*texts[:place], "\ud800", *texts[place:]]
        found = pack_many(iter(torn))
        assert isinstance(found, np.ndarray)
        assert found.tolist() == torn
    assert pack_many([]).tolist() == []
    assert isinstance(pack_many(["a"]), np.ndarray)  # so few need no packing


def test_a_column_whose_cells_differ_is_packed_and_one_whose_cells_repeat_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_FEW", 10)
    monkeypatch.setattr(csv_rows, "_BLOCK", 10)
    monkeypatch.setattr(csv_rows, "CHUNK", 10)
    path = tmp_path / "films.csv"
    write(path, [(str(i), f"Film {i}", "", "War", str(1900 + i % 5), "") for i in range(50)])
    films = load_catalogue(path)
    assert [name for name in NAMES if is_packed(films.table[name])] == ["id", "title"]
    assert films.table["title"].tolist() == [f"Film {i}" for i in range(50)]


def test_without_pyarrow_each_cell_is_a_python_string(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "films.csv"
    write(path, [(str(i), f"Film {i}", "", "War", "", "") for i in range(50)])
    with chunks_of(7, packs=True):
        monkeypatch.setattr(packed, "packed_type", lambda: None)
        films = load_catalogue(path)
    assert not any(is_packed(films.table[name]) for name in NAMES)
    assert films.ids.tolist() == [str(i) for i in range(50)]


def test_a_cell_that_arrow_cannot_hold_leaves_the_column_as_it_is() -> None:
    builder = table.ColumnBuilder()
    cells = [f"{i}" for i in range(table._FEW + 1)]
    builder.add(cells)
    builder.add(["x\ud800"])
    builder.add(["y"])
    assert builder.cells().tolist() == [*cells, "x\ud800", "y"]


@given(st.lists(TEXTS), st.integers(1, 5), st.data())
def test_packed_columns_answer_as_pandas_does(
    cells: list[str], size: int, data: st.DataObject
) -> None:
    plain = pd.Series(cells, dtype=object)
    parts = [pack(cells[i : i + size]) for i in range(0, len(cells), size)]
    column = pd.Series(join_packed(parts))
    step = data.draw(st.integers(1, 4))
    keep = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(cells), max_size=len(cells))), bool
    )
    assert find_repeated(column).tolist() == plain.duplicated().tolist()
    assert take_every(column, step).tolist() == cells[::step]
    assert match_all(column, r"\w+\s").tolist() == [
        re.fullmatch(r"\w+\s", cell) is not None for cell in cells
    ]
    kept = keep_rows(pd.DataFrame({"a": column, "b": plain}), keep)
    assert kept["a"].tolist() == kept["b"].tolist() == plain[keep].tolist()
    if cells:
        assert replace_cells(column, {0: "new"}).tolist() == ["new", *cells[1:]]


def test_rows_that_are_kept_are_not_copied() -> None:
    import pyarrow

    parts = [pack(["a", "b"]), pack(["c", "d"])]
    kept = keep_rows(pd.DataFrame({"a": join_packed(parts)}), np.array([True, True, False, True]))
    first = pyarrow.array(kept["a"].array).chunks[0]
    assert first.buffers()[2].address == parts[0].buffers()[2].address


def test_threads_are_not_given_more_than_some_items_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for i in range(10 * AHEAD):
            taken.append(i)
            yield i

    with ThreadPoolExecutor(2) as pool:
        found = map_ahead(pool, lambda i: 2 * i, items())
        assert next(found) == (0, 0)
        assert len(taken) <= AHEAD + 1
        assert list(found) == [(i, 2 * i) for i in range(1, 10 * AHEAD)]


def test_without_texts_the_other_columns_are_there(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    write(path, [("1", "Jaws", "sharks", "War", "1975", "1.jpg")])
    whole = load_catalogue(path)
    assert list(whole.without_texts(but=[None, "TITLE", "nowhere"]).table) == list(whole.table)
    films = whole.without_texts()
    assert list(films.table) == ["id", "plot", "genres", "year", "poster"]
    assert films.poster_paths == (str(tmp_path / "1.jpg"),)
