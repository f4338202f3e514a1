"""Memory and processor time of what reads a catalogue, from 20,000 to 2,000,000 items.

    python benchmarks/catalogue_memory.py --folder made --items 20000 2000000 --out memory.json

Made films: id, title, an overview of 60 words, 1 to 3 genres of 20, year, directors, poster. Each item has a
poster path of its own; the files behind them are 1,000 small images, in folders of which 2,000 are links to
one. With ``--different`` each item has an image of its own instead, in tar files of 10,000. An overview has
ten of 50,000 phrases, so that many films share each; with ``--phrases`` of more, fewer do.
``--formats csv jsonl parquet`` says how the tables are written. `--folder` is kept, and what is in it is used
again.

Each stage runs in a process of its own: ``read`` loads the catalogue in Python, ``labels`` also makes ids
and label matrix, as `hybrid split` does first, ``terms`` fits TF-IDF to its texts; ``check``, ``split`` (at
random, without near-duplicates), ``search`` (a split with them), ``extract`` (a dry run) and ``predict`` are
the commands; ``texts`` is a dry run of ``extract`` with a `--text-encoder`, ``embeddings`` is ``predict``,
too, and ``vectors`` the import of random embeddings of 256 numbers into a new cache. What predicts is a
linear SVM on words and metadata of the first 4,000 films, fitted once, or on such embeddings. Peak memory is
VmHWM, time that of the processor, user and system. The bound is 2 GB and 100 bytes an item.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import platform
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

GENRES = (
    *("Action", "Adventure", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Family"),
    *("Fantasy", "History", "Horror", "Music", "Musical", "Mystery", "Romance", "Sport"),
    *("Thriller", "TV", "War", "Western"),
)
COLUMNS = ("id", "title", "overview", "genres", "year", "directors", "poster")
WORDS, PHRASE, PHRASES, DIRECTORS = 50_000, 6, 50_000, 200_000
IMAGES, FOLDERS = 1_000, 2_000
BATCH = 10_000
SIDE = 16  # pixels of an image that one item has
GB, BYTES = 2_000_000_000, 100  # the bound: of all, and of an item
STAGES = ("read", "labels", "terms", "check", "split", "search", "extract", "predict", "embeddings")
MORE = ("texts", "vectors")  # stages that need a file of the user's, or large ones that are made
RUN, LEARNT = "words", 4_000  # the run that predicts, and the items that it is fitted on
BLOCK, WIDTH = "made", 256  # of imported embeddings
CACHE = "'--cache', sys.argv[3] + '/../cache'"

# What a process prints of itself: the highest resident memory in bytes, and its processor seconds.
MEASURE = """
import json, re, resource, sys
from pathlib import Path
used = resource.getrusage(resource.RUSAGE_SELF)
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
Path(sys.argv[1]).write_text(json.dumps({"peak": peak, "processor": used.ru_utime + used.ru_stime}))
"""
READ = "from hybrid import load_catalogue; films = load_catalogue(sys.argv[2])"
IMPORT = (
    "arguments = ['import-embeddings', sys.argv[3] + '/../vectors.npy', '--ids', "
    f"sys.argv[3] + '/../ids.txt', '--block', '{BLOCK}'"
)
CODE = {
    "read": READ,
    "labels": f"{READ}; films.require_labels(); films.labels, films.ids",
    "terms": f"{READ}; from hybrid.features import TextFeatures; "
    "TextFeatures(films.columns.text).fit(films.frame)",
    "check": "arguments = ['check', '--json']",
    "split": "arguments = ['split', '--method', 'random', '--no-near-duplicates', '--force']",
    "search": "arguments = ['split', '--method', 'random', '--force']",
    "extract": "arguments = ['extract', '--dry-run', '--backbone', 'mobilenet-075', '--weights', 'random', "
    "'--precision', 'float32']",
    "texts": "arguments = ['extract', '--dry-run', '--text-encoder', sys.argv[4], '--precision', 'float32']",
    "predict": f"arguments = ['predict', sys.argv[3] + '/{RUN}', '--out', 'predictions.csv']",
    "embeddings": f"arguments = ['predict', sys.argv[3] + '/{BLOCK}', '--out', 'predictions.csv', "
    f"{CACHE}]",
    "fit": f"arguments = ['fit-svm', '--name', '{RUN}', '--blocks', 'text,metadata', '--runs', sys.argv[3]]",
    "fit-block": f"arguments = ['fit-svm', '--name', '{BLOCK}', '--blocks', '{BLOCK}', '--runs', "
    f"sys.argv[3], {CACHE}]",
    "import": f"{IMPORT}, {CACHE}]",
    "vectors": f"{IMPORT}, '--cache', 'cache']",
}
COMMAND = """
import contextlib, os
from hybrid.cli.main import main
arguments += ['--catalogue', sys.argv[2], '--quiet', '--workers', '1']
with open(os.devnull, 'w') as nothing, contextlib.redirect_stdout(nothing):
    try:
        main(arguments)
    except SystemExit as end:
        assert not end.code, end.code
"""


# The data


class Films(NamedTuple):
    """Which films are made: how many, whether each has an image of its own, and of how many phrases."""

    n: int
    different: bool = False
    phrases: int = PHRASES


def rows(films: Films, seed: int = 0) -> Iterator[list[str]]:
    """Yield made films; the first ones are the same, however many there are."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(WORDS)]
    phrases = [" ".join(draw.choices(words, k=PHRASE)) for _ in range(films.phrases)]
    directors = [" ".join(draw.choices(words, k=2)).title() for _ in range(DIRECTORS)]
    for i in range(films.n):
        yield [
            f"tt{i:07d}",
            " ".join(draw.choices(words, k=3)).capitalize(),
            ", ".join(draw.choices(phrases, k=10)) + ".",
            "|".join(draw.sample(GENRES, 1 + i % 3)),
            str(1920 + draw.randrange(105)),
            draw.choice(directors),
            f"posters/{i // BATCH:05d}.tar#{i % BATCH:04d}.png"
            if films.different
            else f"posters/{i // IMAGES % FOLDERS:04d}/{i % IMAGES:03d}.jpg",
        ]


def write(path: Path, films: Films) -> None:
    """Write a catalogue, by the suffix of its name, some thousand rows at a time."""
    made = rows(films)
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        schema = pyarrow.schema([(name, pyarrow.string()) for name in COLUMNS])
        with parquet.ParquetWriter(path, schema) as writer:
            while batch := list(islice(made, BATCH)):
                columns = [pyarrow.array(cells) for cells in zip(*batch, strict=True)]
                writer.write_batch(pyarrow.record_batch(columns, schema=schema))
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(made)
        else:
            for row in made:
                record: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
                record |= {"year": int(record["year"]), "genres": record["genres"].split("|")}
                file.write(json.dumps(record) + "\n")


def write_posters(folder: Path) -> None:
    """Write the images, and the folders that are links to theirs."""
    import numpy as np
    from PIL import Image

    (folder / "0000").mkdir(parents=True, exist_ok=True)
    for i in range(IMAGES):
        pixels = np.random.default_rng(i).integers(0, 256, (9, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((60, 90)).save(folder / "0000" / f"{i:03d}.jpg")
    for i in range(1, FOLDERS):
        (folder / f"{i:04d}").symlink_to("0000")


def write_shards(folder: Path, n: int) -> None:
    """Write tar files with an image for each of n items, those that are not there yet."""
    folder.mkdir(exist_ok=True)
    for shard in range(-(-n // BATCH)):
        path = folder / f"{shard:05d}.tar"
        if path.exists():
            continue
        with tarfile.open(path.with_suffix(".part"), "w") as tar:
            for i in range(BATCH):
                content = png(shard * BATCH + i)
                member = tarfile.TarInfo(f"{i:04d}.png")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        path.with_suffix(".part").rename(path)


def png(seed: int) -> bytes:
    """An image of noise."""
    sizes = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    draw = random.Random(seed)
    pixels = zlib.compress(b"".join(b"\0" + draw.randbytes(3 * SIDE) for _ in range(SIDE)), 1)
    found = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", sizes), (b"IDAT", pixels), (b"IEND", b"")):
        found += struct.pack(">I", len(data)) + kind + data
        found += struct.pack(">I", zlib.crc32(kind + data))
    return found


# The figures


def measure(*stages: str, path: Path, encoder: str = "") -> dict[str, float]:
    """Peak memory and processor time of the last of some stages; each has a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        told, runs = Path(folder) / "told.json", path.resolve().parent / "runs"
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        for stage in stages:
            code = "import sys\n" + CODE[stage] + (COMMAND if "arguments" in CODE[stage] else "\n")
            call = [sys.executable, "-c", code + MEASURE, str(told), str(path.resolve()), str(runs)]
            call.append(encoder and str(Path(encoder).resolve()))
            subprocess.run(call, check=True, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
        return dict(json.loads(told.read_text()))


def make_elsewhere(folder: Path, films: Films, suffix: str) -> Path:
    """As `made`, in another process: what this one had in memory would count for its children."""
    call = [sys.executable, __file__, "--folder", str(folder), "--make", str(films.n), suffix]
    more = [*["--different"] * films.different, "--phrases", str(films.phrases)]
    subprocess.run([*call, *more], check=True)
    return made(folder, films, suffix)


def make_runs(folder: Path, stages: Sequence[str], n: int) -> None:
    """Fit the runs that predict, where they are not there yet; embeddings are imported for n items."""
    few = make_elsewhere(folder, Films(LEARNT), "csv")
    (folder / "runs").mkdir(exist_ok=True)
    if "predict" in stages and not (folder / "runs" / RUN).exists():
        measure("split", "fit", path=few)
    fits_block = "embeddings" in stages and not (folder / "runs" / BLOCK).exists()
    if "vectors" in stages or fits_block:
        write_vectors(folder, n)
    if fits_block:
        measure("import", path=make_elsewhere(folder, Films(n), "csv"))
        measure("split", "fit-block", path=few)


def write_vectors(folder: Path, n: int) -> None:
    """Write random vectors, which are not kept in memory."""
    import numpy as np

    random = np.random.default_rng(0)
    shape = (n, WIDTH)
    with (folder / "vectors.npy").open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, n, BATCH):
            size = (min(BATCH, n - start), WIDTH)
            file.write(random.standard_normal(size, np.float32).astype("<f2").tobytes())
    (folder / "ids.txt").write_text("".join(f"tt{i:07d}\n" for i in range(n)))


def made(folder: Path, films: Films, suffix: str) -> Path:
    """A catalogue in a format, written where it is not there yet."""
    if films.different:
        write_shards(folder / "posters", films.n)
    elif not (folder / "posters/0000").exists():
        write_posters(folder / "posters")
    few = "" if films.phrases == PHRASES else f"-{films.phrases}"
    path = folder / f"{'different' if films.different else 'films'}-{films.n}{few}.{suffix}"
    if not path.exists():
        part = path.with_name(f"part.{suffix}")
        write(part, films)
        part.rename(path)
    return path


def describe(name: str, n: int, stage: str, runs: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Median and spread of some runs of a stage."""
    peaks, seconds = ([run[what] for run in runs] for what in ("peak", "processor"))
    return {
        **{"format": name, "items": n, "stage": stage},
        "peak_bytes": statistics.median(peaks),
        "peak_spread": max(peaks) - min(peaks),
        "processor_seconds": statistics.median(seconds),
        "processor_spread": max(seconds) - min(seconds),
        "within_bound": max(peaks) <= GB + BYTES * n,
    }


def main() -> None:
    """Make the catalogues, measure each stage on each, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("made"))
    parser.add_argument("--items", type=int, nargs="+", default=[20_000, 200_000, 2_000_000])
    parser.add_argument(
        "--formats", nargs="+", default=["csv"], choices=["csv", "jsonl", "parquet"]
    )
    parser.add_argument("--different", action="store_true", help="an image of its own for each")
    parser.add_argument("--phrases", type=int, default=PHRASES, help="different ones of overviews")
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES + MORE)
    parser.add_argument("--text-encoder", default="", help="folder of the encoder of texts")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--make", nargs=2, metavar=("ITEMS", "FORMAT"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("catalogue-memory.json"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.make:
        n, suffix = options.make
        made(options.folder, Films(int(n), options.different, options.phrases), suffix)
        return
    free = shutil.disk_usage(options.folder).free
    if free < (need := 2_000 * sum(options.items) * len(options.formats)):
        raise SystemExit(f"expected {need / 1e9:.1f} GB of free disk, found {free / 1e9:.1f} GB")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    results = []
    make_runs(options.folder, options.stages, max(options.items))
    for name in options.formats:
        for n in options.items:
            films = Films(n, options.different, options.phrases)
            path = make_elsewhere(options.folder, films, name)
            for stage in options.stages:
                runs = [
                    measure(stage, path=path, encoder=options.text_encoder)
                    for _ in range(options.repeats)
                ]
                results.append(describe(name, n, stage, runs))
                print(
                    "{format:<7} {items:>9,} {stage:<7} {peak_bytes:>14,.0f} bytes (± {peak_spread:,.0f}) "
                    "{processor_seconds:8.1f} s (± {processor_spread:.1f})".format(**results[-1]),
                    flush=True,
                )
                options.out.write_text(
                    json.dumps({"machine": machine, "stages": results}, indent=2) + "\n"
                )


if __name__ == "__main__":
    main()
