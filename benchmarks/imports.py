"""Memory and time of an import, for tables of growing length: `python benchmarks/imports.py [KIND …]`.

Writes made-up films in the format of one kind, 10,000 to 1,000,000 rows, with the files that are joined,
imports them in a process of its own, and prints the seconds and the peak memory of each as JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from csv import writer
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


COUNTRY = [{"iso_3166_1": "CA", "name": "Canada"}]
LANGUAGE = [{"iso_639_1": "en", "name": "English"}]
Cells = Iterator[list[object]]


def write(path: Path, header: str, rows: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{header}\n")
        file.writelines(f"{row}\n" for row in rows)


def write_csv(path: Path, header: str, rows: Cells) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"{header}\n")
        writer(file, lineterminator="\n").writerows(rows)


def text(draw: random.Random) -> str:
    return " ".join(draw.choices(WORDS, k=40))


def genres(draw: random.Random) -> list[dict[str, object]]:
    return [{"id": j, "name": GENRES[j]} for j in draw.sample(range(4), draw.randint(1, 3))]


def cast(i: int) -> list[dict[str, object]]:
    some = {"cast_id": 14, "character": "Mo (voice)", "credit_id": f"52fe4284c3a36847f80{i:05x}"}
    some |= {"gender": 2, "id": i % 99_991, "name": f"Person {i % 99_991}", "order": 0}
    return [
        {**some, "profile_path": "/pQFoyx7rp09CJTAb932F2g8Nlho.jpg"},
        {**some, "name": "Ann B."},
    ]


def crew(i: int) -> list[dict[str, object]]:
    some = {"credit_id": f"52fe4284c3a36847f80{i:05x}", "department": "Directing", "gender": 2}
    return [{**some, "id": i % 997, "job": "Director", "name": f"Director {i % 997}"}]


def companies(i: int) -> list[dict[str, object]]:
    return [{"name": f"Studio {i % 9973}", "id": i % 9973}]


def words(i: int) -> list[dict[str, object]]:
    return [{"id": (i + j) % 9973, "name": f"keyword {(i + j) % 9973}"} for j in range(3)]


def movies_metadata(folder: Path, n: int) -> None:
    """Its lists are Python's."""
    draw = random.Random(0)

    def film(i: int) -> list[object]:
        collection = {"id": i % 999, "name": f"Set {i % 999}", "poster_path": "/s.jpg"}
        return [
            *("False", collection if i % 9 == 0 else "", 30_000_000, genres(draw), "", i),
            *(f"tt{i:07}", "en", f"Film {i}", text(draw), 21.946943, f"/{i}.jpg", companies(i)),
            *(COUNTRY, f"1{i % 1000:03}-10-30", 373554033, 81.0, LANGUAGE, "Released", ""),
            *(f"Film {i}", "False", 7.7, 5415),
        ]

    header = (
        "adult,belongs_to_collection,budget,genres,homepage,id,imdb_id,original_language,original_title,"
        "overview,popularity,poster_path,production_companies,production_countries,release_date,revenue,"
        "runtime,spoken_languages,status,tagline,title,video,vote_average,vote_count"
    )
    write_csv(folder / "movies_metadata.csv", header, map(film, range(n)))
    write_csv(folder / "credits.csv", "cast,crew,id", ([cast(i), crew(i), i] for i in range(n)))
    write_csv(folder / "keywords.csv", "id,keywords", ([i, words(i)] for i in range(n)))
    links = ([i, f"{i:07}", f"{i}.0"] for i in range(n))
    write_csv(folder / "links.csv", "movieId,imdbId,tmdbId", links)


def tmdb_5000(folder: Path, n: int) -> None:
    """Its lists are JSON."""
    draw = random.Random(0)

    def film(i: int) -> list[object]:
        return [
            *(
                237_000_000,
                json.dumps(genres(draw)),
                "",
                i,
                json.dumps(words(i)),
                "en",
                f"Film {i}",
            ),
            *(text(draw), 150.437577, json.dumps(companies(i)), json.dumps(COUNTRY), "2009-12-10"),
            *(2787965087, 162.0, json.dumps(LANGUAGE), "Released", "", f"Film {i}", 7.2, 11800),
        ]

    header = (
        "budget,genres,homepage,id,keywords,original_language,original_title,overview,popularity,"
        "production_companies,production_countries,release_date,revenue,runtime,spoken_languages,status,"
        "tagline,title,vote_average,vote_count"
    )
    write_csv(folder / "tmdb_5000_movies.csv", header, map(film, range(n)))
    people = ([i, f"Film {i}", json.dumps(cast(i)), json.dumps(crew(i))] for i in range(n))
    write_csv(folder / "tmdb_5000_credits.csv", "movie_id,title,cast,crew", people)


def tmdb(folder: Path, n: int) -> None:
    """Answers of the API, one a line."""
    draw = random.Random(0)

    def film(i: int) -> str:
        answer = {
            "adult": False,
            "id": i,
            "title": f"Film {i}",
            "overview": text(draw),
            "runtime": 81,
        }
        answer |= {"genres": genres(draw), "poster_path": f"/{i}.jpg", "release_date": "1999-10-15"}
        answer |= {"imdb_id": f"tt{i:07}", "keywords": {"keywords": words(i)}}
        return json.dumps({**answer, "credits": {"cast": cast(i), "crew": crew(i)}})

    with (folder / "films.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f"{film(i)}\n" for i in range(n))


def movielens(folder: Path, n: int) -> None:
    """With 5 ratings and 2 tags a film."""
    draw = random.Random(0)
    films = ([i, f"Film {i} (1995)", f"{draw.choice(GENRES)}|Action"] for i in range(n))
    write_csv(folder / "movies.csv", "movieId,title,genres", films)
    links = ([i, f"{i:07}", i] for i in range(n))
    write_csv(folder / "links.csv", "movieId,imdbId,tmdbId", links)
    tags: Cells = ([u, i, f"tag {(i + u) % 9973}", 1] for i in range(n) for u in range(2))
    write_csv(folder / "tags.csv", "userId,movieId,tag,timestamp", tags)
    ratings: Cells = ([u, i, (i + u) % 10 / 2, 1147880044] for u in range(5) for i in range(n))
    write_csv(folder / "ratings.csv", "userId,movieId,rating,timestamp", ratings)


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


def movie_genre(folder: Path, n: int) -> None:
    draw = random.Random(0)
    films = (
        [
            i,
            f"http://www.imdb.com/title/tt{i}",
            f"Film é {i} (1995)",
            8.3,
            draw.choice(GENRES),
            f"/{i}.jpg",
        ]
        for i in range(n)
    )
    header = "imdbId,Imdb Link,Title,IMDB Score,Genre,Poster"
    write_csv(folder / "MovieGenre.csv", header, films)


def csv(folder: Path, n: int) -> None:
    draw = random.Random(0)
    rows = (f"{i};Film {i};{text(draw)};{draw.choice(GENRES)}|Action" for i in range(n))
    write(folder / "films.csv", "id;title;overview;genres", rows)


KINDS: dict[str, tuple[Callable[[Path, int], None], str]] = {
    "movies-metadata": (movies_metadata, "."),
    "tmdb-5000": (tmdb_5000, "."),
    "tmdb": (tmdb, "."),
    "movie-genre": (movie_genre, "."),
    "movielens": (movielens, "."),
    "imdb": (imdb, "."),
    "csv": (csv, "films.csv"),
}


def measure(kind: str, n: int) -> dict[str, object]:
    make, source = KINDS[kind]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: the memory that this one has had would count for its children.
        maker = multiprocessing.get_context("spawn").Process(target=make, args=(folder, n))
        maker.start()
        maker.join()
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
