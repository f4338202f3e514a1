"""Large packed columns in temporary files: the same cells, and what is gone with them."""

from __future__ import annotations

import errno
import gc
import io
import json
import mmap
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid.catalogue import load_catalogue, packed
from hybrid.catalogue.packed import (
    Cells,
    blank,
    chunks,
    is_packed,
    join_packed,
    keep_rows,
    pack,
    replace_cells,
    take_table,
)
from hybrid.catalogue.readers import csv_rows, table
from hybrid.extraction.texts import frame_text_keys, text_key
from hybrid.utils import spilled
from hybrid.utils.spilled import PackedParts, let_pages_go, spill, spill_array
from tests.open_files import counts_open_files, open_files

pytestmark = pytest.mark.skipif(
    not hasattr(mmap.mmap, "madvise"), reason="maps need madvise to be of use"
)
CELLS = st.lists(st.text("ab\0é比🎬 \n\u3000", max_size=8), max_size=30)
FEW = settings(max_examples=60, deadline=None)
SURROGATES = st.lists(st.text("a\ud800é\0", max_size=3), max_size=30)


@contextmanager
def spills(size: int, cells: int = 3) -> Iterator[None]:
    """Spill a column of so many bytes; read so few cells at once that there are several parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spilled, "SPILL", size)
        patch.setattr(packed, "CHUNK", cells)
        patch.setattr(csv_rows, "_BLOCK", 1)
        patch.setattr(csv_rows, "CHUNK", cells)
        patch.setattr(table, "_FEW", 1)
        yield


def column(cells: list[str]) -> pd.Series:
    parts = PackedParts()
    for start in range(0, len(cells), 4):
        parts.add(pack(cells[start : start + 4]))
    return pd.Series(join_packed(parts.parts))


def maps(text: str) -> int:
    """How many maps of this process are of a file with this text in its name."""
    return sum(text in line for line in Path("/proc/self/maps").read_text().splitlines())


@FEW
@given(CELLS, st.integers(1, 80), st.data())
def test_spilled_columns_answer_as_python_does(
    cells: list[str], size: int, data: st.DataObject
) -> None:
    masks = st.lists(st.booleans(), min_size=len(cells), max_size=len(cells))
    keep = np.array(data.draw(masks), dtype=bool)
    with spills(size):
        found = column(cells)
        let_pages_go()
        assert list(Cells(found)) == found.tolist() == cells
        kept = keep_rows(pd.DataFrame({"a": found, "b": found}), keep)
        assert kept["a"].tolist() == [
            cell for cell, stays in zip(cells, keep, strict=True) if stays
        ]
        again = keep_rows(kept, np.ones(len(kept), dtype=bool))
        assert again.equals(kept)
        known = [cell if stays else "" for cell, stays in zip(cells, keep, strict=True)]
        assert blank(found, keep).tolist() == known
        assert pickle.loads(pickle.dumps(found)).tolist() == cells
        assert found.iloc[::2].tolist() == cells[::2]
        if cells:
            assert replace_cells(found, {0: "new"}).tolist() == ["new", *cells[1:]]


@FEW
@given(CELLS.filter(bool), st.integers(1, 80), st.data())
def test_rows_of_a_spilled_table_are_those_that_pandas_takes(
    cells: list[str], size: int, data: st.DataObject
) -> None:
    """By position, in any order and again, by a mask, or a slice."""
    n = len(cells)
    index = [f"f{i}" for i in range(n)]
    plain = pd.DataFrame({"text": pd.Series(cells, dtype=object), "n": range(n)}).set_axis(index)
    places = st.lists(st.integers(-n, n - 1)).map(lambda some: np.array(some, dtype=np.int64))
    masks = st.lists(st.booleans(), min_size=n, max_size=n).map(np.array)
    rows = data.draw(places | masks | st.slices(n))
    with spills(size):
        texts = pd.DataFrame({"text": column(cells), "n": range(n)}).set_axis(index)
        taken = take_table(texts, rows)
        assert taken["text"].tolist() == plain.iloc[rows]["text"].tolist()
    assert taken["n"].tolist() == plain.iloc[rows]["n"].tolist()
    assert taken.index.tolist() == plain.iloc[rows].index.tolist()
    assert is_packed(taken["text"])


@FEW
@given(st.lists(SURROGATES, max_size=6), st.integers(1, 40))
def test_cells_that_arrow_cannot_hold_end_a_spilled_column(
    blocks: list[list[str]], size: int
) -> None:
    with spills(size):
        builder = table.ColumnBuilder()
        for block in blocks:
            builder.add(block)
        assert builder.cells().tolist() == [cell.strip() for block in blocks for cell in block]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # fmt: skip
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["", "N/A", "Alien", "Été", "Été à Rome"])),
        min_size=1,
        max_size=30,
    ),
    size=st.integers(1, 100),
)
def test_the_same_catalogue_whatever_is_spilled(
    tmp_path: Path, rows: list[tuple[int, str]], size: int
) -> None:
    path = tmp_path / "films.csv"
    lines = [f"{i},{t},plot {i} {t},Drama,{i}.jpg" for i, t in rows]
    path.write_text("\n".join(["id,title,overview,genres,poster", *lines]), encoding="utf-8")

    def told() -> Any:
        films = load_catalogue(path)
        some = films.where(np.arange(len(films)) % 3 > 0)
        keys = frame_text_keys(films.frame, films.columns.text)
        return (
            [each.astype(object).to_dict("list") for each in (films.table, some.table)],
            (films.rows.tolist(), some.rows.tolist(), some.ids.tolist(), films.labels.tolist()),
            (films.bad_rows, films.findings, films.poster_paths, films.frame.to_csv()),
            list(keys),
        )

    with spills(2**30, 10_000):
        whole = told()
    with spills(size):
        assert told() == whole


def test_a_large_column_is_spilled_and_a_small_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    lines = [f"{i},Film {i},{i} {'x' * 200}" for i in range(60)]
    path.write_text("\n".join(["id,title,overview", *lines]))
    before = len(spilled._maps)
    with spills(2_000):
        films = load_catalogue(path)
        assert len(spilled._maps) > before + 2
        assert all(is_packed(films.table[name]) for name in ("id", "title", "overview"))
        small = len(spilled._maps)
        column([f"Film {i}" for i in range(20)])
        assert len(spilled._maps) == small
    assert films.table["overview"].tolist() == [line.split(",")[2] for line in lines]


def test_parts_that_are_kept_stay_where_they_are() -> None:
    import pyarrow

    with spills(1):
        found = column([str(i) for i in range(12)])
        keep = np.arange(12) != 5
        kept = keep_rows(pd.DataFrame({"a": found}), keep)["a"]
    place = [
        [part.buffers()[2].address for part in pyarrow.array(each.array).chunks]
        for each in (found, kept)
    ]
    assert [a == b for a, b in zip(*place, strict=True)] == [True, False, True]


@counts_open_files
def test_the_space_is_free_when_the_column_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with spills(1):
        found = column([str(i) for i in range(12)])
        assert not list(tmp_path.iterdir())  # no name
        assert len(open_files(tmp_path)) == maps(str(tmp_path)) == 3  # one for each part
        some = found.iloc[:2]
        del found
        gc.collect()
        assert maps(str(tmp_path)) == 1  # of the part that is used
        assert some.tolist() == ["0", "1"]
        del some
        gc.collect()
    assert not open_files(tmp_path)
    assert not maps(str(tmp_path))


class Refusing(io.RawIOBase):
    """A file on a disk that refuses after some bytes."""

    def __init__(self, error: int, room: int) -> None:
        self.error, self.room = error, room

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(self.error, "refused")
        return len(data)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_where_the_disk_refuses_texts_stay_in_memory_and_a_warning_says_so(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before, made = len(spilled._maps), []
    monkeypatch.setattr(tempfile, "tempdir", "/somewhere")

    def refuse(**_: Any) -> Refusing:
        made.append(Refusing(number, 300))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    cells = [f"{i}" * 100 for i in range(40)]
    with (
        spills(500),
        pytest.warns(
            UserWarning, match=r"cannot write a temporary file in /somewhere: refused\. .*TMPDIR"
        ),
    ):
        found = column(cells)
    assert found.tolist() == cells
    assert len(made) == 1  # it is not tried again
    assert made[0].closed
    assert len(spilled._maps) == before


def test_arrays_are_the_same_in_a_file_or_not() -> None:
    values = np.arange(24, dtype=np.int32).reshape(4, 6)
    before = len(spilled._maps)
    with spills(values.nbytes + 1):
        small = spill_array(values)
    with spills(values.nbytes):
        large, turned = spill_array(values), spill_array(values.T)
    assert len(spilled._maps) == before + 2
    let_pages_go()
    for found, made in ((small, values), (large, values), (turned, values.T)):
        assert found.tolist() == made.tolist()
        assert not found.flags.writeable
    assert values.flags.writeable


def test_an_array_that_the_disk_refuses_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Refusing(errno.ENOSPC, 1))
    with spills(1), pytest.warns(UserWarning, match=r"No space|refused"):
        assert spill_array(np.arange(9)).tolist() == list(range(9))


def test_without_any_temporary_folder_texts_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> Any:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with spills(1), pytest.warns(UserWarning, match="No usable temporary directory"):
        assert column(["a"]).tolist() == ["a"]


def test_without_madvise_nothing_is_spilled(monkeypatch: pytest.MonkeyPatch) -> None:
    class Windows:
        """A map as it is there."""

    monkeypatch.setattr(mmap, "mmap", Windows)
    before = len(spilled._maps)
    with spills(1):
        assert column(["a", "b"]).tolist() == ["a", "b"]
    assert len(spilled._maps) == before


def test_keys_of_spilled_texts_are_those_of_the_texts() -> None:
    with spills(1):
        texts = [f"Film {i}" for i in range(30)]
        frame = pd.DataFrame({"title": column(texts)})
        assert list(frame_text_keys(frame, ["title"])) == list(map(text_key, texts))


MEMORY = """
import json, re
from pathlib import Path
from hybrid.catalogue.packed import Cells, join_packed, pack
from hybrid.utils.spilled import PackedParts
import pandas as pd

def resident():
    status = Path("/proc/self/status").read_text()
    return [int(re.search(rf"{name}:\\\\s+(\\\\d+) kB", status)[1]) * 1024 for name in ("RssAnon", "VmRSS")]

pack(["a"])
before = resident()
parts = PackedParts()
for i in range(150):
    parts.add(pack([f"{i} {j} " + "x" * 1_000 for j in range(2_000)]))
column = pd.Series(join_packed(parts.parts))
written = resident()
total = sum(map(len, Cells(column)))
read = resident()
print(json.dumps([total, written[0] - before[0], read[1] - before[1]]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads what Linux tells")
def test_memory_is_that_of_what_is_not_yet_spilled() -> None:
    call = [sys.executable, "-c", MEMORY.replace("\\\\", "\\")]
    told = subprocess.run(call, check=True, capture_output=True, text=True).stdout
    total, anonymous, resident = json.loads(told)
    assert total > 300e6  # 300 MB of text
    # What waits to be spilled, once more what the allocator kept of it, and some parts as Python strings.
    bound = 2 * spilled.SPILL + packed.CHUNK * 1_100 * 2
    assert anonymous < bound
    assert resident < bound + spilled.SPILL


def test_pages_are_read_again() -> None:
    (part,) = spill([pack(["Jaws", "", "Été\0"])])
    for _ in range(2):
        let_pages_go()
        assert part.to_pylist() == ["Jaws", "", "Été\0"]


def test_chunks_of_a_spilled_column_are_python_strings() -> None:
    with spills(1):
        parts = list(chunks(column(["a", "b", "c", "d", "e"])))
    assert [part.tolist() for part in parts] == [["a", "b", "c"], ["d", "e"]]
    assert all(part.dtype == object for part in parts)
