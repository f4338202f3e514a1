"""Imports of CSV files about films: The Movies Dataset, TMDB 5000, Movie Genre from its Poster."""

from __future__ import annotations

import csv
import gzip
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from hybrid import load_catalogue
from hybrid.catalogue.importers import ImportOptions, ImportSummary, import_catalogue
from hybrid.catalogue.importers.delimited import Row
from hybrid.catalogue.importers.importer import Notes
from hybrid.catalogue.importers.movies_metadata import mend_rows
from hybrid.errors import CatalogueError, SettingError

Make = Callable[[str, Path], Path]


def read(name: str) -> list[dict[str, str]]:
    with Path("films", name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_id() -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in read("catalogue.csv")}


@pytest.fixture
def imported(make_data_set: Make) -> Callable[..., ImportSummary]:
    """Make a data set, and import it to films/."""

    def run(kind: str, **options: object) -> ImportSummary:
        make_data_set(kind, Path("source"))
        return import_catalogue(kind, "source", "films", ImportOptions(**options))  # type: ignore[arg-type]

    return run


Imported = Callable[..., ImportSummary]


def test_the_three_slipped_rows_are_put_together(imported: Imported) -> None:
    summary = imported("movies-metadata")
    films = by_id()
    assert list(films) == ["862", "82663", "5", "122662", "6", "249260"]
    assert films["82663"]["overview"] == "Soldiers hunt a man.\n - Written by Ørn"
    assert films["82663"]["release_date"] == "1997-08-20"
    assert films["82663"]["title"] == "Night Man"
    assert films["82663"]["runtime"] == "81"
    assert films["82663"]["vote_count"] == "5415"
    assert summary.findings[0].message == (
        "columns of movies_metadata.csv that are not in the catalogue: homepage, video"
    )
    (mended,) = [each for each in summary.findings if each.kind == "broken rows"]
    assert (mended.count, mended.examples[0]) == (3, "line 4: lines 4 to 5")


def test_halves_that_another_program_padded_are_put_together(make_data_set: Make) -> None:
    """pandas fills short rows with empty cells."""
    path = make_data_set("movies-metadata", Path("source")) / "movies_metadata.csv"
    pd.read_csv(path, dtype=str, keep_default_na=False).to_csv(path, index=False)
    summary = import_catalogue("movies-metadata", "source", "films")
    assert summary.items == 6
    assert by_id()["249260"]["overview"] == "Skiers meet some\n sharks."
    (mended,) = [each for each in summary.findings if each.kind == "mended rows"]
    assert (mended.count, mended.examples) == (3, ("82663", "122662", "249260"))


def test_halves_that_make_no_row_are_left_out_with_their_reason() -> None:
    names = ("adult", "id", "overview", "release_date", "title")
    missing = "fields are missing; 5 expected"
    rows = [
        Row(1, ["False", "8", "One", "", ""], missing, "3"),
        Row(2, ["two", "1997-08-20", "", "", ""], missing, "2"),
        Row(3, ["False", "9", "a", "", "b"]),
        Row(4, ["False", "two", "a", "1997-08-20", "b"]),
    ]
    *found, slipped = mend_rows(rows, names, "m.csv", Notes())
    assert found == rows[:3]
    assert (slipped.problem, slipped.found) == (
        "the id is not a number: the fields have slipped",
        "two",
    )


def test_a_slipped_row_alone_is_left_out(make_data_set: Make) -> None:
    path = make_data_set("movies-metadata", Path("source")) / "movies_metadata.csv"
    lines = path.read_text(encoding="utf-8").split("\n")
    path.write_text(
        "\n".join(line for line in lines if "Soldiers hunt" not in line), encoding="utf-8"
    )
    summary = import_catalogue("movies-metadata", "source", "films")
    assert "82663" not in by_id()
    reason = "movies_metadata.csv: fields are missing; 24 expected"
    assert summary.left_out[reason] == 1


def test_the_movies_dataset_is_joined_by_id(imported: Imported) -> None:
    imported("movies-metadata")
    films = by_id()
    toys = films["862"]
    assert toys["overview"] == 'He said "no",\nand went.'
    assert toys["genres"] == "Comedy|Family"
    assert toys["cast"] == "Conan O'Neil"
    assert toys["directors"] == "Ann Bo"
    assert toys["keywords"] == "jealousy|toy"
    assert toys["production_countries"] == "Canada"
    assert toys["poster_url"] == "https://image.tmdb.org/t/p/w500/862.jpg"
    assert films["5"]["collection"] == "Set"
    assert films["82663"]["cast"] == "Eve Fox"
    ids = {(row["id"], row["kind"]): row["other_id"] for row in read("ids.csv")}
    assert ids["862", "movielens_id"] == "1"
    assert ids["5", "movielens_id"] == "2"
    assert ids["862", "imdb_id"] == "tt0000862"


def test_every_row_that_falls_away_is_listed(imported: Imported) -> None:
    summary = imported("movies-metadata")
    rows = [(row["file"], row["id"], row["reason"], row["found"]) for row in read("left-out.csv")]
    assert sorted(rows) == [
        ("credits.csv", "999", "the id is not in movies_metadata.csv", ""),
        ("links.csv", "", "no id", ""),
        ("movies_metadata.csv", "5", "the id is used by an earlier row", "row 3"),
    ]
    assert sum(summary.left_out.values()) == 3
    assert (summary.items, summary.labelled) == (6, 5)
    assert summary.labels == {"Drama": 4, "Comedy": 1, "Family": 1}


def test_a_catalogue_that_was_imported_is_one_that_can_be_read(imported: Imported) -> None:
    imported("movies-metadata")
    catalogue = load_catalogue("films/catalogue.csv")
    assert catalogue.genres == ("Comedy", "Drama", "Family")
    assert catalogue.columns.text == ("title", "overview")
    assert "year" in catalogue.columns.numeric


def test_missing_companions_are_told(make_data_set: Make) -> None:
    folder = make_data_set("movies-metadata", Path("source"))
    (folder / "credits.csv").unlink()
    summary = import_catalogue("movies-metadata", folder / "movies_metadata.csv", "films")
    assert [each.message for each in summary.findings if each.kind == "missing file"] == [
        "no credits.csv beside movies_metadata.csv: what it adds is empty"
    ]


def test_gzipped_files_are_read(make_data_set: Make) -> None:
    folder = make_data_set("movies-metadata", Path("source"))
    for path in sorted(folder.iterdir()):
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()
    assert import_catalogue("movies-metadata", folder, "films").items == 6
    assert by_id()["862"]["directors"] == "Ann Bo"


def test_tmdb_5000(imported: Imported) -> None:
    summary = imported("tmdb-5000")
    moon, plain = by_id()["19995"], by_id()["49026"]
    assert moon["genres"] == "Action|Science Fiction"
    assert moon["keywords"] == "culture clash"
    assert (moon["cast"], moon["directors"]) == ("Sam W.", "Jim C.")
    assert (moon["year"], moon["runtime"], moon["budget"]) == ("2009", "162", "237000000")
    assert (plain["year"], plain["revenue"], plain["genres"]) == ("", "", "")
    assert summary.labelled == 1
    assert "poster_url" not in moon


def test_movie_genre_is_latin_1(imported: Imported) -> None:
    summary = imported("movie-genre")
    films = by_id()
    assert films["113277"]["title"] == "Chaleur d'été"
    assert films["113277"]["year"] == "1995"
    assert films["112281"]["title"] == "Ça"
    assert films["114709"]["poster_url"] == "https://images.example/114709.jpg"
    assert films["114709"]["imdb_score"] == "8.3"
    assert summary.left_out == {"MovieGenre.csv: the id is used by an earlier row": 1}
    assert (
        summary.findings[0].message == "MovieGenre.csv was read as Latin-1, since it is not UTF-8"
    )
    assert read("ids.csv")[0] == {"id": "114709", "kind": "imdb_id", "other_id": "tt0114709"}


def test_genres_are_renamed_by_the_table(imported: Imported) -> None:
    summary = imported("tmdb-5000", genre_names="imdb")
    assert by_id()["19995"]["genres"] == "Action|Sci-Fi"
    assert [each.message for each in summary.findings if each.kind == "genre names"] == [
        "1 genre 'Science Fiction' is named 'Sci-Fi' (--genre-names)"
    ]


def test_nothing_is_overwritten(imported: Imported) -> None:
    Path("films").mkdir()
    Path("films/catalogue.csv").write_text("mine")
    with pytest.raises(SettingError, match=r"found catalogue\.csv\. Nothing is overwritten"):
        imported("movie-genre")
    assert [path.name for path in Path("films").iterdir()] == ["catalogue.csv"]
    assert Path("films/catalogue.csv").read_text() == "mine"


def test_other_files_stay_where_they_are(imported: Imported) -> None:
    Path("films").mkdir()
    Path("films/notes.txt").write_text("mine")
    imported("movie-genre")
    assert sorted(path.name for path in Path("films").iterdir()) == [
        *("catalogue.csv", "ids.csv", "left-out.csv", "notes.txt")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "expected the columns imdbId, Title, Genre, Poster, found no imdbId, Title"),
        (
            "imdbId,Imdb Link,Title,IMDB Score,Genre,Poster\n",
            "expected at least one item, found none",
        ),
        (
            "imdbId,Imdb Link,Title,IMDB Score,Genre,Poster\n,,a,,,\n",
            "none .1 x MovieGenre.csv: no id",
        ),
    ],
)
def test_what_is_no_such_data_set_leaves_nothing(text: str, message: str) -> None:
    Path("source").mkdir()
    Path("source/MovieGenre.csv").write_text(text)
    with pytest.raises(CatalogueError, match=message):
        import_catalogue("movie-genre", "source", "films")
    assert not Path("films").exists()


def test_a_folder_without_the_file_says_what_was_expected() -> None:
    Path("source").mkdir()
    with pytest.raises(CatalogueError, match=r"a folder with movies_metadata\.csv, found no such"):
        import_catalogue("movies-metadata", "source", "films")
    with pytest.raises(SettingError, match=r"Did you mean tmdb-5000 "):
        import_catalogue("tmdb5000", "source", "films")


def test_posters_that_are_named_by_ids_are_found(make_data_set: Make) -> None:
    from PIL import Image

    folder = make_data_set("movie-genre", Path("source"))
    (folder / "deep").mkdir()
    Image.new("RGB", (2, 3), "red").save(folder / "deep" / "114709.jpg")
    Image.new("RGB", (2, 3), "red").save(folder / "tt0113277.jpg")
    (folder / "112281.jpg").write_text("<html>not found</html>")
    options = ImportOptions(posters=folder)
    summary = import_catalogue("movie-genre", folder, "films", options)
    posters = {row["id"]: row["poster"] for row in read("catalogue.csv")}
    assert posters["114709"] == posters["113277"] != ""
    assert posters["112281"] == ""
    assert (Path("films") / posters["114709"]).read_bytes() == (
        folder / "tt0113277.jpg"
    ).read_bytes()
    assert summary.posters == 2
    assert "1 poster is no image in a known format; its item has none, such as 112281" in [
        each.message for each in summary.findings
    ]


def test_a_row_with_other_than_its_fields_is_listed(make_data_set: Make) -> None:
    path = make_data_set("movie-genre", Path("source")) / "MovieGenre.csv"
    path.write_bytes(path.read_bytes() + b"7,http://x,Short (1990)\n8,a,b,c,d,e,f\n")
    summary = import_catalogue("movie-genre", "source", "films")
    assert summary.left_out["MovieGenre.csv: fields are missing; 6 expected"] == 1
    assert summary.left_out["MovieGenre.csv: too many fields; 6 expected"] == 1
    assert [(row["row"], row["id"], row["found"]) for row in read("left-out.csv")][1:] == [
        ("5", "7", "3"),
        ("6", "8", "7"),
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_import_that_is_interrupted_leaves_nothing(
    error: BaseException, make_data_set: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    make_data_set("movie-genre", Path("source"))
    monkeypatch.setattr("hybrid.catalogue.importers.importing.move_files", fail)
    with pytest.raises((KeyboardInterrupt, CatalogueError), match=r"No space left|^$"):
        import_catalogue("movie-genre", "source", "films")
    assert not Path("films").exists()


def test_what_a_killed_import_left_is_removed(make_data_set: Make) -> None:
    make_data_set("movie-genre", Path("source"))
    folder = Path("films")
    killed = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    killed.kill()
    killed.wait()
    left = folder / f".tmp-{socket.gethostname()}-{killed.pid}-0123"
    other = folder / f".tmp-{socket.gethostname()}-{os.getpid()}-0123"  # of one that runs
    for each in (left, other):
        (each / "posters").mkdir(parents=True)
    import_catalogue("movie-genre", "source", folder)
    assert (left.exists(), other.exists()) == (False, True)


def test_an_archive_is_to_be_unpacked() -> None:
    Path("archive.zip").write_bytes(b"PK")
    with pytest.raises(CatalogueError, match="expected the data set unpacked, found an archive"):
        import_catalogue("movies-metadata", "archive.zip", "films")
