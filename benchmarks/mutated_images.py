"""Mutated image files of every format and variant that is read: what hangs, crashes, prints or raises.

    python benchmarks/mutated_images.py films/posters --mutations 100000 --log mutations.jsonl

A thousand files at a time; the log has a line for each thousand, and the next call goes on after the last.
Each file is made from its number alone, so that `--only NUMBER` makes it again and says what becomes of it.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from image_variants import PNG_START, make_seeds, png_chunk

from hybrid.images.damage import find_damage
from hybrid.images.decode import BadPoster, decode_poster, image_header
from hybrid.images.suspicion import find_look

SIZE = (64, 64)
CHUNK = 1000
SLOW = 5.0  # seconds
KEPT = 5  # of the slowest files of a thousand
EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def main() -> None:
    """Parse, mutate, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="Of posters.")
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--log", type=Path, help="One line of JSON for each thousand.")
    parser.add_argument("--only", type=int, help="The number of one file.")
    parser.add_argument("--save", type=Path, help="Write the file of --only there.")
    options = parser.parse_args()
    posters = sorted(path for path in options.folder.iterdir() if path.is_file())
    seeds = make_seeds([path.read_bytes() for path in posters[:: max(1, len(posters) // 12)][:12]])
    if options.only is not None:
        data, name = mutant(seeds, options.only)
        if options.save:
            options.save.write_bytes(data)
        print(options.only, name, len(data), *judge(data))
        return
    run(seeds, options.mutations, options.log)


def run(seeds: list[tuple[str, bytes]], count: int, log: Path | None) -> None:
    """Judge the files that the log has not; print the sum of all."""
    done = [] if log is None or not log.exists() else log.read_text().splitlines()
    chunks = [json.loads(line) for line in done]
    for _, data in seeds[: len(seeds) // 12]:
        judge(data)  # compiles the loops
    for start in range(len(chunks) * CHUNK, count, CHUNK):
        chunks.append(judge_chunk(seeds, range(start, min(start + CHUNK, count))))
        if log is not None:
            with log.open("a") as file:
                file.write(json.dumps(chunks[-1]) + "\n")
    for what in ("outcomes", "formats", "errors", "printed"):
        total: collections.Counter[str] = collections.Counter()
        for chunk in chunks:
            total.update(chunk[what])
        print(f"{what}:", *(f"  {n:,} {each}" for each, n in total.most_common()), sep="\n")
    slowest = sorted((each for chunk in chunks for each in chunk["slowest"]), reverse=True)
    print(
        f"{sum(cpu > SLOW for cpu, *_ in slowest)} took more than {SLOW:g} s of CPU; the slowest:"
    )
    print(
        *(f"  {cpu:.2f} s of CPU, {wall:.2f} s: {name}" for cpu, wall, name in slowest[:9]),
        sep="\n",
    )
    print(f"peak memory {max(chunk['peak'] for chunk in chunks):,} MiB")


def judge_chunk(seeds: list[tuple[str, bytes]], numbers: range) -> dict[str, object]:
    """Counts of what became of some files, and the slowest of them."""
    counts = {
        what: collections.Counter[str]() for what in ("outcomes", "formats", "errors", "printed")
    }
    slowest: list[tuple[float, float, str]] = []
    for number in numbers:
        data, name = mutant(seeds, number)
        outcome, printed, wall, cpu = judge(data)
        counts["outcomes"][outcome if outcome in OUTCOMES else "error"] += 1
        counts["formats"][
            f"{name.split(' <')[0]}: {outcome if outcome in OUTCOMES else 'error'}"
        ] += 1
        if outcome not in OUTCOMES:
            counts["errors"][f"{number} {name}: {outcome}"] += 1
        if printed:
            first = printed.split(":")[0]
            counts["printed"][f"{name.split(' <')[0]}, {outcome}: {first[:60]}"] += 1
        slowest = sorted([*slowest, (cpu, wall, f"{number} {name}")], reverse=True)[:KEPT]
    return {**counts, "slowest": slowest, "peak": peak()}


OUTCOMES = ("refused", "damaged", "suspected", "taken")


def judge(data: bytes) -> tuple[str, str, float, float]:
    """What becomes of a file, what C libraries print about it, seconds of wall and of CPU."""
    with printed_to_stderr() as printed, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            outcome = _judge(data)
        except Exception as error:  # what the campaign is for
            outcome = f"{type(error).__name__}: {error}"[:300]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return outcome, printed(), wall, cpu


def _judge(data: bytes) -> str:
    image_header(data)
    if isinstance(decode_poster(data, SIZE), BadPoster):
        return "refused"
    if find_damage(data):
        return "damaged"
    return "suspected" if find_look(data) else "taken"


@contextlib.contextmanager
def printed_to_stderr():  # type: ignore[no-untyped-def]
    """Collect what is written to the descriptor of stderr, also by C."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        text: list[str] = []
        try:
            yield lambda: text[0]
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            text.append(file.read(4096).decode(errors="replace"))


def peak() -> int:
    """MiB that this process has had at most."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


# Mutations


def mutant(seeds: list[tuple[str, bytes]], number: int) -> tuple[bytes, str]:
    """A file by its number, and what it was made from."""
    rng = np.random.default_rng([22, number])
    name, seed = seeds[number % len(seeds)]
    data, kinds = bytearray(seed), []
    for _ in range(int(rng.integers(1, 4))):
        change = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        kinds.append(change.__name__.strip("_"))
        data = change(data, rng, seeds) or bytearray(b"\0")
    if data[:8] == PNG_START and rng.random() < 0.7:
        data = bytearray(with_checksums(bytes(data)))
    return bytes(data), f"{name} <{', '.join(kinds)}>"


Seeds = list[tuple[str, bytes]]


def _some_bytes(data: bytearray, rng: np.random.Generator, _: Seeds) -> bytearray:
    for place in rng.integers(0, len(data), int(rng.integers(1, 9))):
        data[place] = int(rng.integers(256))
    return data


def _bytes_of_the_header(data: bytearray, rng: np.random.Generator, _: Seeds) -> bytearray:
    for place in rng.integers(0, min(len(data), 300), int(rng.integers(1, 9))):
        data[place] = int(rng.integers(256))
    return data


def _a_number(data: bytearray, rng: np.random.Generator, _: Seeds) -> bytearray:
    """A number at the edge of its range, near the start or near the end (where a TIFF has its directory)."""
    at = int(rng.integers(0, max(1, min(len(data), 600))))
    at = at if rng.random() < 0.7 else max(0, len(data) - 1 - at)
    value, order = int(rng.choice(EDGES)), str(rng.choice(["big", "little"]))
    packed = (value & 0xFFFF).to_bytes(2, order) if rng.random() < 0.5 else value.to_bytes(4, order)
    data[at : at + len(packed)] = packed
    return data


def _cut(data: bytearray, rng: np.random.Generator, _: Seeds) -> bytearray:
    return data[: int(rng.integers(1, len(data) + 1))]


def _overwritten(data: bytearray, rng: np.random.Generator, _: Seeds) -> bytearray:
    size = max(1, int(rng.random() / 4 * len(data)))
    at = int(rng.integers(0, max(1, len(data) - size)))
    data[at : at + size] = rng.bytes(size) if rng.random() < 0.5 else bytes(size)
    return data


def _removed(data: bytearray, rng: np.random.Generator, _: Seeds) -> bytearray:
    at = int(rng.integers(0, len(data)))
    del data[at : at + int(rng.integers(1, 200))]
    return data


def _repeated(data: bytearray, rng: np.random.Generator, _: Seeds) -> bytearray:
    """A piece again and again: a scan, a chunk, a frame."""
    at, size = int(rng.integers(0, len(data))), int(rng.integers(1, 2000))
    piece = data[at : at + size]
    data[at:at] = piece * int(rng.choice([1, 10, 100, 500]))
    return data


def _segments_repeated(data: bytearray, rng: np.random.Generator, _: Seeds) -> bytearray:
    """From one marker of a JPEG, or chunk of a PNG, to another, again and again."""
    tokens = (
        b"\xff\xda",
        b"\xff\xc4",
        b"\xff\xe1",
        b"IDAT",
        b"fdAT",
        b"ANMF",
        b"\x21\xf9",
        b"\x2c\0",
    )
    places = [data.find(token) for token in tokens]
    places = [place for place in places if place >= 0]
    if not places:
        return data
    at = int(rng.choice(places))
    data[at:at] = data[at : at + int(rng.integers(4, 3000))] * int(rng.choice([1, 20, 200]))
    return data


def _spliced(data: bytearray, rng: np.random.Generator, seeds: Seeds) -> bytearray:
    other = seeds[int(rng.integers(len(seeds)))][1]
    at, start = int(rng.integers(0, len(data))), int(rng.integers(0, len(other)))
    return data[:at] + other[start : start + int(rng.integers(1, 5000))] + data[at:]


MUTATIONS = (
    *(
        _some_bytes,
        _bytes_of_the_header,
        _a_number,
        _a_number,
        _cut,
        _overwritten,
        _removed,
        _repeated,
    ),
    *(_segments_repeated, _spliced),
)


def with_checksums(data: bytes) -> bytes:
    """A PNG whose checksums are right, so that what is within its chunks is looked at."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + size > len(data):
            break
        parts.append(png_chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return b"".join([*parts, data[at:]])


if __name__ == "__main__":
    main()
