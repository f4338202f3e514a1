"""Arrays come back to the bit, with their order in memory; places that a file does not have are refused."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid.errors import RunError
from hybrid.model_file.arrays import BLOCK, WIDE, ArrayReader, ArrayWriter
from hybrid.model_file.kinds import Array, Texts
from hybrid.model_file.place import Place

RANDOM = np.random.default_rng(0)
ODD = [-0.0, np.nan, np.inf, -np.inf, 5e-324]


def matrix(different: float, dtype: str = "float64", columns: int = WIDE) -> NDArray[Any]:
    """A matrix of which a share of the columns differ."""
    own = RANDOM.normal(size=(3, max(1, int(different * columns)))).astype(dtype)
    own[0, :5] = ODD[: own.shape[1]]
    numbers = np.sort(RANDOM.integers(0, own.shape[1], columns))
    return own.take(numbers, axis=1) if different < 1 else own


def written(array: NDArray[Any], folder: Path) -> tuple[dict[str, Any], Place]:
    out = ArrayWriter()
    out.add(np.arange(3.0))
    plain = out.add(array)
    out.write(folder / "model.npz")
    return plain, Place(folder / "model.json", ArrayReader(folder / "model.npz"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("different", [0.001, 0.4, 1.0])
@pytest.mark.parametrize("order", ["C", "F"])
def test_floats_come_back_to_the_bit(
    different: float, dtype: str, order: Any, tmp_path: Path
) -> None:
    array = np.array(matrix(different, dtype), order=order)
    plain, at = written(array, tmp_path)
    assert ("columns" in plain) == (different == 0.4 and order == "C")
    found = Array(dtype, "_ _").read(plain, at)
    assert found.tobytes("A") == array.tobytes("A")
    assert found.flags.c_contiguous == array.flags.c_contiguous
    assert found.flags.writeable


def test_narrow_matrices_and_rows_are_written_as_they_are(tmp_path: Path) -> None:
    for array in (matrix(0.4, columns=WIDE - 1), np.zeros(2 * WIDE), np.zeros((0, WIDE))):
        plain, at = written(array, tmp_path)
        assert "columns" not in plain
        assert Array("float64", " ".join("_" * array.ndim)).read(plain, at).shape == array.shape


def test_planes_that_cannot_be_packed_are_stored(tmp_path: Path) -> None:
    """And NumPy opens all of them."""
    written(matrix(1.0), tmp_path)
    with zipfile.ZipFile(tmp_path / "model.npz") as archive:
        kinds = {entry.filename: entry.compress_type for entry in archive.infolist()}
    stored = [name for name, kind in kinds.items() if kind == zipfile.ZIP_STORED]
    assert stored == [f"float64.{i}.npy" for i in range(6)]
    assert len(kinds) == 8
    with np.load(tmp_path / "model.npz", allow_pickle=False) as arrays:
        assert arrays["float64.7"].shape == (3 * WIDE + 3,)


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
def test_more_numbers_than_a_block_come_back(dtype: str, tmp_path: Path) -> None:
    array = (RANDOM.random(2 * BLOCK + 3) * 300).astype(dtype)
    plain, at = written(array, tmp_path)
    np.testing.assert_array_equal(Array(dtype, "_").read(plain, at), array)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [3, WIDE + 1]}, "the number of a column for each column"),
        ({"shape": [3 * WIDE]}, "the number of a column for each column"),
        ({"shape": [2**40, WIDE]}, "an array that model.npz has"),
        ({"start": 10**9}, "an array that model.npz has"),
        ({"columns": 3}, "an array (dtype, start, shape)"),
        ({"columns": {"dtype": "int32", "start": 1, "shape": [WIDE]}}, "an array that model"),
        ({"columns": {"dtype": "int32", "start": 0, "shape": [8, WIDE // 8]}}, "1 dimensions"),
        ({"columns": {"dtype": "float64", "start": 0, "shape": [WIDE]}}, "expected 'int32'"),
        ({"absent": 3}, "an array (dtype, start, shape)"),
    ],
)
def test_places_that_are_not_there_are_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    plain, at = written(matrix(0.4), tmp_path)
    with pytest.raises(RunError, match=re.escape(message)):
        Array("float64", "_ _").read(plain | change, at)


@pytest.mark.parametrize("number", [0, -1, 2**31 - 1])
def test_numbers_of_columns_make_little_more_of_a_file(number: int, tmp_path: Path) -> None:
    """Else some megabytes of zeros would be gigabytes of columns."""
    out = ArrayWriter()
    numbers = out.add(np.full(10_000, number, np.int32))
    values = out.add(np.ones((8, 1)))
    out.write(tmp_path / "model.npz")
    at = Place(tmp_path / "model.json", ArrayReader(tmp_path / "model.npz"))
    with pytest.raises(RunError, match=r"of many that differ|values from 0|an array that model"):
        Array("float64", "_ _").read({**values, "shape": [8, 10_000], "columns": numbers}, at)


STRINGS = ["", "ghost", "été 鬼屋", "\ud800", "", "a\rb", "\u2028 \x0b \x85"]


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("strings", [[], [""], STRINGS, ["one\ntwo", "", "\n", "three"]])
def test_strings_come_back(strings: list[str], fixed: bool, tmp_path: Path) -> None:
    """Those with line breaks by their lengths."""
    array = np.array(strings, dtype=str if fixed else object)
    out = ArrayWriter()
    plain = Texts().write(array, out)
    assert ("lines" in plain) == ("\n" not in "".join(strings))
    out.write(tmp_path / "model.npz")
    found = Texts().read(plain, Place(tmp_path, ArrayReader(tmp_path / "model.npz")))
    assert found.tolist() == strings
    assert found.dtype.kind == ("U" if fixed else "O")


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"one\ntwo", r"a line break after each string at model\.lines"), (b"\xff\n", "UTF-8")],
)
def test_what_are_no_lines_is_refused(text: bytes, message: str, tmp_path: Path) -> None:
    out = ArrayWriter()
    plain = {"lines": out.add(np.frombuffer(text, np.uint8)), "fixed": False}
    out.write(tmp_path / "model.npz")
    with pytest.raises(RunError, match=message):
        Texts().read(plain, Place(tmp_path, ArrayReader(tmp_path / "model.npz")))


def test_an_array_without_numbers_may_not_be_longer_than_one_with_numbers(tmp_path: Path) -> None:
    plain, at = written(np.zeros((0, 3)), tmp_path)
    kind = Array("float64", "_ _")
    assert kind.read({**plain, "shape": [0, 2**59]}, at).shape == (0, 2**59)
    for length in (2**60, 2**62):
        with pytest.raises(RunError, match=r"an array that model\.npz has"):
            kind.read({**plain, "shape": [0, length]}, at)
