"""Generations: which parts a store consists of since it was last compacted, and one index of them.

A generation only saves time: all of it can be read from the parts themselves.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.cache.parts import FORMAT, PART_NAME, PART_ROWS
from hybrid.cache.quarantine import clear_folder, write_over
from hybrid.cache.remote import write_new_through
from hybrid.cache.verified_files import (
    UNPARSABLE,
    DamageError,
    as_hdf5,
    check_hash,
    hashed_name,
    image_of,
    in_memory,
    open_regular,
    read_array,
    read_small,
    stamp_of,
)
from hybrid.utils.files import make_folder, sync
from hybrid.utils.key_index import KEY_BYTES, Index
from hybrid.utils.reading import GENERATION, POINTER, parse_json

CURRENT = "CURRENT"
MAX_INDEX_BYTES = 2**36


@dataclass(frozen=True, eq=False)
class Generation:
    """A snapshot of a store, as its last compaction left it.

    Parameters
    ----------
    number : int
    index : Index
        Of the parts that it consists of.
    superseded : tuple of str
        Parts whose rows have moved to others; to be removed by `gc`.
    files : tuple of str
        Names of its own two files.
    """

    number: int
    index: Index
    superseded: tuple[str, ...]
    files: tuple[str, ...] = ()


def read_generation(store: Path) -> Generation | None:
    """Read the current generation of a store; None where it was never compacted.

    Raises
    ------
    DamageError
        If it is not what was written.
    OSError
        If it cannot be read.
    """
    try:
        pointer = parse_json(read_small(store / CURRENT, POINTER))
    except FileNotFoundError:
        return None
    except UNPARSABLE as error:
        raise DamageError(f"{CURRENT} cannot be parsed: {error}") from error
    try:
        return _read_files(store, pointer)
    except FileNotFoundError as error:
        raise DamageError(f"{Path(error.filename).name} is missing") from error
    except UNPARSABLE as error:
        raise DamageError(f"it cannot be parsed: {error}") from error


def _read_files(store: Path, pointer: Any) -> Generation:
    """Read the two files of the generation that CURRENT names."""
    list_file = Path(pointer["generation"]).name
    data = read_small(store / "gen" / list_file, GENERATION)
    if hashlib.sha256(data).hexdigest() != pointer["sha256"]:
        raise DamageError("its hash is wrong")
    content = parse_json(data)
    if content["format"] != FORMAT:
        raise DamageError(f"expected format {FORMAT}, found {content['format']!r}")
    names, superseded = tuple(content["parts"]), tuple(content["superseded"])
    if not all(PART_NAME.fullmatch(name) for name in (*names, *superseded)):
        raise DamageError("it names files that are no parts")
    index_file = Path(content["index"]).name
    index = _read_index(store / "gen" / index_file, names)
    return Generation(int(content["number"]), index, superseded, (list_file, index_file))


def write_generation(store: Path, generation: Generation) -> None:
    """Write the files of a generation, then, in one step, make it the current one.

    Raises
    ------
    FileExistsError
        If another process has made a generation of this number.
    OSError
        If the disk refuses; the generation before stays the current one.
    """
    folder = store / "gen"
    clear_folder(folder, store)
    make_folder(folder)
    packed = _pack_index(generation.index)
    index_file = hashed_name("index-", packed, ".h5")
    write_over(folder / index_file, packed, store)
    content = {
        "format": FORMAT,
        "number": generation.number,
        "parts": generation.index.parts,
        "superseded": generation.superseded,
        "index": index_file,
    }
    data = json.dumps(content, indent=1).encode()
    name = f"{generation.number:04}.json"
    write_new_through(folder / name, data)
    sync(folder)
    pointer = {"generation": name, "sha256": hashlib.sha256(data).hexdigest()}
    write_over(store / CURRENT, json.dumps(pointer).encode(), store)


def next_number(store: Path) -> int:
    """Return a number higher than that of any generation, finished or not."""
    numbers = [int(p.stem) for p in (store / "gen").glob("*.json") if p.stem.isdecimal()]
    return max(numbers, default=0) + 1


def small_parts(index: Index) -> list[str]:
    """List the parts that are less than half full, which a compaction merges.

    A part counts with the rows that are found in it, without those that another part has as well.
    """
    rows = np.bincount(index.part, minlength=len(index.parts))
    return [name for name, n in zip(index.parts, rows.tolist(), strict=True) if n < PART_ROWS // 2]


def _pack_index(index: Index) -> bytes:
    with in_memory() as file:
        for name in ("keys", "part", "row"):
            file.create_dataset(name, data=getattr(index, name))
        return image_of(file)


def _read_index(path: Path, names: tuple[str, ...]) -> Index:
    with open_regular(path) as file:
        stamp = stamp_of(file)
        check_hash(path, file, stamp, MAX_INDEX_BYTES)
        with as_hdf5(file) as parsed:
            size, number = stamp[0], np.dtype(np.uint32)
            keys = read_array(parsed, "keys", np.dtype(np.uint8), (None, KEY_BYTES), size)
            part = read_array(parsed, "part", number, (len(keys),), size)
            row = read_array(parsed, "row", number, (len(keys),), size)
    if part.max() >= len(names) or list(names) != sorted(set(names)):
        raise DamageError("its index names parts that it does not have")
    return Index(names, keys, part, row)
