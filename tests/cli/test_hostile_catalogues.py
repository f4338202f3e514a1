"""Catalogues that once ended in a traceback: a message, or rows that are named."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., int]
Capture = pytest.CaptureFixture[str]
ROW = {"id": "1", "genres": "Drama"}


def nested(depth: int) -> str:
    return '{"id":"2","genres":"Drama","title":' + "[" * depth + "]" * depth + "}"


CSV = "id,genres\n1,Drama\n"
# Name → (file, content, exit code of check, what it says).
CASES: dict[str, tuple[str, str | bytes, int, str]] = {
    "101 deep": ("c.jsonl", f"{json.dumps(ROW)}\n{nested(101)}\n", 0, "nested too deeply"),
    "450 deep": ("c.jsonl", f"{json.dumps(ROW)}\n{nested(450)}\n", 0, "nested too deeply"),
    "a million deep": ("c.jsonl", f"{json.dumps(ROW)}\n{nested(10**6)}\n", 0, "nested too deeply"),
    "a deep array": ("c.json", f"[{json.dumps(ROW)},{nested(450)}]", 1, "nested too deeply"),
    "deep text": ("c.csv", f"id,genres,cast\n1,Drama,{'[' * 900 + ']' * 900}\n", 0, "1 item"),
    "half a pair": (
        "c.jsonl",
        '{"id":"1","genres":"D","poster":"\\ud800.jpg"}\n',
        0,
        "became \ufffd in 1 cell",
    ),
    "half a pair as key": ("c.jsonl", '{"id":"1","genres":"D","\\ud800":"x"}\n', 0, "1 item"),
    "half a pair as id": ("c.jsonl", '{"id":"\\udc00","genres":"D"}\n', 0, "1 item"),
    "blank lines": ("c.csv", "\n\n" + CSV, 0, "1 item"),
    "blank lines alone": ("c.csv", "\n\n\n", 1, "found an empty file"),
    "a long header": ("c.csv", f"id,genres,{'x' * 200_000}\n1,Drama,y\n", 0, "1 item"),
    "a long cell": ("c.csv", f"id,genres,x\n1,Drama,{'y' * 200_000}\n", 0, "1 item"),
    "a NUL": ("c.csv", "id,genres\n1,Dra\0ma\n", 0, "1 item"),
    "digits": ("c.jsonl", '{"id":' + "1" * 5000 + ',"genres":"D"}\n{"id":1}\n', 0, "not JSON"),
    "infinite": ("c.jsonl", '{"id":"1","genres":"D","year":1e999}\n', 0, "1 item"),
    "null keys": ("c.json", '[{"id":"1","genres":null,"":null}]', 0, "1 item"),
    "no Parquet": ("c.parquet", b"PAR1" + struct.pack("<I", 2**31) + b"PAR1", 1, "Parquet"),
    "no Excel": ("c.xlsx", b"PK\x03\x04" + bytes(50), 1, "Excel"),
    "no gzip": ("c.csv.gz", b"\x1f\x8b" + bytes(50), 1, "gzip"),
}


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("name", CASES)
def test_a_hostile_catalogue_is_a_message(name: str, call: Call, capsys: Capture) -> None:
    file, content, code, said = CASES[name]
    Path(file).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert call("check", "--catalogue", file, "--quiet", "--debug") == code
    told = capsys.readouterr()
    assert "Traceback" not in told.err or code
    assert "expected nothing like this" not in told.err
    assert said in told.out + told.err


def test_bytes_that_are_no_text_in_parquet(call: Call, capsys: Capture) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    def text(*values: bytes) -> pa.Array:
        return pa.array(values, type=pa.binary()).cast(pa.string(), safe=False)

    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(struct.pack("<2i", 0, 2)), pa.py_buffer(b"\xff\xfe")]
    )
    image = pa.array([{"bytes": b"", "path": "x.jpg"}])
    lists = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), broken)
    inner = pa.StructArray.from_arrays([broken], ["name"])
    table = pa.table(
        {"id": ["1"], "genres": ["D"], "title": broken, "cast": lists, "x": inner, "poster": image}
    )
    pq.write_table(table, "c.parquet")
    assert call("check", "--catalogue", "c.parquet", "--quiet") == 0
    told = capsys.readouterr()
    assert "1 item" in told.out
    for column in ("title", "cast", "x"):
        assert f"column '{column}': bytes that are no text" in told.out
    assert "expected nothing like this" not in told.err
