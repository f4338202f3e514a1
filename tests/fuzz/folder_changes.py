"""Changes of a run folder: of its files' bytes, JSON and arrays, and of which files there are."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mutations import EDITS, edited

TOKENS = (
    b"null",
    b"[]",
    b"{}",
    b"-1",
    b"1e999",
    b"NaN",
    b'"',
    b"\0",
    b"\xff\xfe",
    b"[" * 500,
    b"\n",
    b",",
)
ODD = (
    None, True, False, 0, -1, 1, 2, 2**31, 2**63, 10**400, -0.5, 0.5, 1e308, float("nan"), float("inf"),
    "", "x", "a" * 300, "a" * 70_000, "\ud83d", "\x1b[31m\x07\u202e", "<script>alert(1)</script>", "../../x",
    "/etc/passwd", "nan", "{{ 7 * 7 }}", "0" * 64, "text", "poster", "train", "2020-01-01T00:00:00",
    [], {}, [[]], [None], ["x"], [0.5, 0.5], {"x": 1}, {"": None}, [{}],
)  # fmt: skip

EXTRA = (
    "model.joblib", "model.blocks.joblib", "model.pkl", "model.keras", "model.h5", "model.npz", "model.json",
    "model.head.weights.h5", "provenance.json", "contributions.csv", "sitecustomize.py", ".x", "a\nb",
)  # fmt: skip


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return _open, (self.path, "w")


_open = open


def change(draw: random.Random, run: Path, other: Path, outside: Path, canary: Path) -> None:
    """Make one change in the folder of a run."""
    # What an earlier change has made a link to elsewhere is not written through.
    files = sorted(path for path in run.rglob("*") if path.is_file() and not _leads_on(path, run))
    if not files:
        return
    path = draw.choice(files)
    how = draw.choice([*CHANGES, *(["json"] * 4), "csv", "arrays", "arrays", "bytes"])
    if how == "json":
        path = draw.choice([each for each in files if each.suffix == ".json"] or files)
    elif how == "csv":
        path = draw.choice([each for each in files if each.suffix == ".csv"] or files)
    elif how == "arrays":
        path = draw.choice([each for each in files if each.suffix in (".npz", ".h5")] or files)
    CHANGES[how](draw, path, other, outside, canary)


def _leads_on(path: Path, run: Path) -> bool:
    return path.is_symlink() or any(
        each.is_symlink() for each in path.parents if run in each.parents
    )


def _bytes(draw: random.Random, path: Path, *_: Path) -> None:
    data = path.read_bytes()
    for _ in range(draw.randint(1, 4)):
        token = draw.choice([*TOKENS, draw.randbytes(draw.randint(1, 8))])
        data = edited(data, draw.choice(EDITS), draw.random(), draw.randint(1, 64), token)
    path.write_bytes(data)


def _csv(draw: random.Random, path: Path, *_: Path) -> None:
    rows = [line.split(b",") for line in path.read_bytes().split(b"\n")]
    for _ in range(draw.randint(1, 3)):
        row = draw.choice(rows)
        cells = [
            b"",
            b"x",
            b"nan",
            b"-1",
            b"2",
            b"1e999",
            b'"',
            b"test",
            b"=1+1",
            b"f001",
            b"a" * 9999,
            b"\0",
        ]
        row[draw.randrange(len(row))] = draw.choice([*cells, draw.choice(draw.choice(rows))])
    if draw.random() < 0.2:
        draw.shuffle(rows)
    path.write_bytes(b"\n".join(map(b",".join, rows)))


def _json(draw: random.Random, path: Path, *others: Path) -> None:
    try:
        data = json.loads(path.read_bytes())
    except ValueError:
        _bytes(draw, path, *others)
        return
    for _ in range(draw.choice((1, 1, 2, 5))):
        data = _change_value(draw, data)
    text = json.dumps(data, indent=draw.choice((None, 1)))
    if draw.random() < 0.1 and '"' in text:  # a key twice
        text = text.replace("{", '{"format": 1, ', 1)
    path.write_text(text, encoding="utf-8", errors="surrogatepass")


def _change_value(draw: random.Random, data: Any) -> Any:
    """Change something in a tree: the deeper, the likelier."""
    if not isinstance(data, (dict, list)) or not data or draw.random() < 0.05:
        return copy.deepcopy(draw.choice(ODD))
    keys = list(data) if isinstance(data, dict) else list(range(len(data)))
    key = draw.choice(keys)
    if draw.random() < 0.7 and isinstance(data[key], (dict, list)) and data[key]:
        data[key] = _change_value(draw, data[key])
        return data
    how = draw.choice(("value", "value", "value", "drop", "rename", "swap", "wrap", "near"))
    if how == "drop":
        del data[key]
    elif how == "rename" and isinstance(data, dict):
        data[draw.choice(("x", "", f"{key} ", *keys))] = data.pop(key)
    elif how == "swap":
        with_ = draw.choice(keys)
        data[key], data[with_] = data[with_], data[key]
    elif how == "wrap":
        data[key] = draw.choice(([data[key]], {"x": data[key]}))
    elif how == "near" and type(data[key]) in (int, float) and abs(data[key]) < 2**64:
        data[key] = draw.choice(
            (data[key] + 1, -data[key], data[key] * 1e6, data[key] / 3, float(data[key]))
        )
    elif how == "near" and isinstance(data[key], str):
        data[key] = draw.choice(
            (data[key][1:], data[key].upper(), data[key] * 50, data[key] + "\0")
        )
    else:
        data[key] = copy.deepcopy(draw.choice(ODD))
    return data


def _arrays(draw: random.Random, path: Path, other: Path, outside: Path, canary: Path) -> None:
    import numpy as np

    try:
        with np.load(path) as archive:
            arrays = {
                name: array for name, array in archive.items() if isinstance(array, np.ndarray)
            }
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        _bytes(draw, path)
        return
    if not arrays:
        return
    name = draw.choice(list(arrays))
    array = arrays[name]
    some = draw.randrange(array.size) if array.size else 0
    how = draw.choice(
        ("value", "shape", "dtype", "short", "long", "object", "drop", "extra", "all")
    )
    if how == "value" and array.size:
        array = array.copy()
        value = draw.choice((0, -1, 1, 7, 1e30, np.nan, np.inf, 2**31 - 1))
        with np.errstate(all="ignore"):
            array.flat[some] = np.asarray(value).astype(array.dtype)
    elif how == "all":
        array = np.full_like(array, draw.choice((0, 1, 3)))
    elif how == "shape":
        array = array.reshape(1, -1)
    elif how == "dtype":
        array = array.astype(draw.choice(("float16", "complex128", "int8", ">f8", "float32", "U8")))
    elif how == "short":
        array = array[:some]
    elif how == "long":
        array = np.concatenate([array, array])
    elif how == "object":
        array = np.array([Canary(str(canary))], dtype=object)
    arrays[draw.choice(("x", "../x", "object")) if how == "extra" else name] = array
    if how == "drop":
        del arrays[name]
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def _cut(draw: random.Random, path: Path, *_: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: draw.choice((0, 1, len(data) // 2, len(data) - 1))])


def _remove(draw: random.Random, path: Path, *_: Path) -> None:
    path.unlink()


def _folder(draw: random.Random, path: Path, *_: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(draw: random.Random, path: Path, *_: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _device(draw: random.Random, path: Path, *_: Path) -> None:
    path.unlink()
    path.symlink_to(draw.choice(("/dev/zero", "/dev/null", "/dev/tty", path.name, "nowhere")))


def _link_out(draw: random.Random, path: Path, other: Path, outside: Path, canary: Path) -> None:
    """The same file, but outside of the project: a folder of it, sometimes."""
    inside = path.relative_to(other.parent)
    path.unlink()
    path.symlink_to(
        draw.choice((outside / "runs" / inside, outside / "catalogue.csv", outside / "runs"))
    )


def _link_folder_out(
    draw: random.Random, path: Path, other: Path, outside: Path, canary: Path
) -> None:
    name = path.relative_to(other.parent).parts[0]
    studies = other.parent / name / "studies"
    shutil.rmtree(studies, ignore_errors=True)
    with contextlib.suppress(FileExistsError):
        studies.symlink_to(outside / "runs" / name / "studies")


def _swap(draw: random.Random, path: Path, other: Path, outside: Path, canary: Path) -> None:
    """A file of another run, of the same name if there is one."""
    same = other / path.name
    files = [each for each in other.rglob("*") if each.is_file()]
    shutil.copy(
        same if same.is_file() and draw.random() < 0.7 else draw.choice(sorted(files)), path
    )


def _extra(draw: random.Random, path: Path, other: Path, outside: Path, canary: Path) -> None:
    """Files that there should not be, among them pickles, as earlier versions had them."""
    code = pickle.dumps(Canary(str(canary)))
    name = draw.choice(EXTRA)
    folder = path.parent if draw.random() < 0.8 else path.parent / "studies"
    if not folder.is_symlink():
        folder.mkdir(exist_ok=True)
        if (
            not (folder / name).is_symlink()
            and not (folder / name).is_dir()
            and not (folder / name).is_fifo()
        ):
            (folder / name).write_bytes(code)


def _pickle(draw: random.Random, path: Path, other: Path, outside: Path, canary: Path) -> None:
    """A pickle in place of a file, bare or in an archive."""
    code = pickle.dumps(Canary(str(canary)))
    if draw.random() < 0.5:
        memory = io.BytesIO()
        with zipfile.ZipFile(memory, "w") as archive:
            archive.writestr(draw.choice(("data.pkl", "float64.npy", "x/data.pkl")), code)
        code = memory.getvalue()
    path.write_bytes(code)


def _outside_paths(
    draw: random.Random, path: Path, other: Path, outside: Path, canary: Path
) -> None:
    """A record whose catalogue, split, posters and weights lie outside of the project."""
    record = path.parent / "run.json"
    if record.is_symlink() or not record.is_file():
        return
    try:
        data = json.loads(record.read_bytes())
        where = draw.choice(("catalogue", "split"))
        data[where]["path"] = str(outside / "catalogue.csv")
        if draw.random() < 0.5:
            data[where]["sha256"] = draw.choice((None, "0" * 64))
        data["catalogue"]["posters"] = str(outside)
    except (OSError, ValueError, TypeError, KeyError):
        return
    record.write_text(json.dumps(data))


CHANGES: dict[str, Callable[..., None]] = {
    "bytes": _bytes,
    "csv": _csv,
    "json": _json,
    "arrays": _arrays,
    "cut": _cut,
    "remove": _remove,
    "folder": _folder,
    "pipe": _pipe,
    "device": _device,
    "link out": _link_out,
    "link folder out": _link_folder_out,
    "swap": _swap,
    "extra": _extra,
    "pickle": _pickle,
    "outside paths": _outside_paths,
}
