"""Memory and time of an import, for tables of growing length: `python benchmarks/imports.py [KIND …]`.

Writes films of one kind, 10,000 to 1,000,000 rows, with the files that are joined, imports them in a process
of its own, and prints the seconds and the peak memory of each as JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

CODE = """
import json, resource, sys, time
from hybrid.catalogue.importers import import_catalogue
start = time.perf_counter()
summary = import_catalogue(*sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"items": summary.items, "seconds": round(time.perf_counter() - start, 1),
                  "peak_mib": round(peak)}))
"""
WORDS = ["a", "river", "peace", "town", "war", "violin", "train", "island", "year", "village"]
GENRES = ["Drama", "Comedy", "Horror", "Western"]


def write(path: Path, header: str, rows: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{header}\n")
        file.writelines(f"{row}\n" for row in rows)


def text(draw: random.Random) -> str:
    return " ".join(draw.choices(WORDS, k=40))


def movies_metadata(folder: Path, n: int) -> None:
    draw = random.Random(0)
    write(
        folder / "movies_metadata.csv",
        "id,imdb_id,title,overview,genres,release_date,runtime,poster_path",
        (
            f"{i},tt{i:07},Film {i},{text(draw)},\"[{{'id': 18, 'name': '{draw.choice(GENRES)}'}}]\","
            f"1999-01-01,90,/{i}.jpg"
            for i in range(n)
        ),
    )
    person = "[{{'name': 'Person {}', 'job': 'Director'}}]"
    people = (f'"{person.format(i % 999)}","{person.format(i % 77)}",{i}' for i in range(n))
    write(folder / "credits.csv", "cast,crew,id", people)


def imdb(folder: Path, n: int) -> None:
    draw = random.Random(0)
    write(
        folder / "title.basics.tsv",
        "tconst titleType primaryTitle originalTitle isAdult startYear endYear runtimeMinutes genres".replace(
            " ", "\t"
        ),
        (
            f"tt{i:07}\tmovie\tFilm {i}\tFilm {i}\t0\t1999\t\\N\t90\t{draw.choice(GENRES)}"
            for i in range(n)
        ),
    )
    ratings = (f"tt{i:07}\t5.3\t{i}" for i in range(n))
    write(folder / "title.ratings.tsv", "tconst\taverageRating\tnumVotes", ratings)
    crew = (f"tt{i:07}\tnm{i % 9999:07}\t\\N" for i in range(n))
    write(folder / "title.crew.tsv", "tconst\tdirectors\twriters", crew)
    names = (f"nm{i:07}\tPerson {i}" for i in range(9999))
    write(folder / "name.basics.tsv", "nconst\tprimaryName", names)


def csv(folder: Path, n: int) -> None:
    draw = random.Random(0)
    rows = (f"{i};Film {i};{text(draw)};{draw.choice(GENRES)}|Action" for i in range(n))
    write(folder / "films.csv", "id;title;overview;genres", rows)


KINDS: dict[str, tuple[Callable[[Path, int], None], str]] = {
    "movies-metadata": (movies_metadata, "."),
    "imdb": (imdb, "."),
    "csv": (csv, "films.csv"),
}


def measure(kind: str, n: int) -> dict[str, object]:
    make, source = KINDS[kind]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, n)
        done = subprocess.run(
            [sys.executable, "-c", CODE, kind, str(folder / source), str(folder / "out")],
            capture_output=True,
            text=True,
            check=True,
        )
        return {"kind": kind, "rows": n, **json.loads(done.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(KINDS), metavar="KIND")
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    chosen = parser.parse_args()
    for kind in chosen.kinds:
        for n in chosen.rows:
            print(json.dumps(measure(kind, n)), flush=True)


if __name__ == "__main__":
    main()
