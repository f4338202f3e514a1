"""Imports of TMDB's API, MovieLens, IMDb, MM-IMDb, Hugging Face, folders of images, and any table."""

from __future__ import annotations

import csv
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hybrid import load_catalogue
from hybrid.catalogue.check import check_catalogue
from hybrid.catalogue.importers import ImportOptions, ImportSummary, import_catalogue
from hybrid.catalogue.importers.kinds import IMPORTERS
from hybrid.errors import CatalogueError, SettingError

Make = Callable[[str, Path], Path]


def read(name: str) -> list[dict[str, str]]:
    with Path("films", name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_id() -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in read("catalogue.csv")}


def split() -> dict[str, str]:
    return {row["id"]: row["split"] for row in read("splits.csv")}


def left_out() -> list[tuple[str, str, str]]:
    return [(row["file"], row["id"], row["reason"]) for row in read("left-out.csv")]


@pytest.fixture
def imported(make_data_set: Make) -> Callable[..., ImportSummary]:
    """Make a data set, and import it to films/."""

    def run(kind: str, source: str = "source", **options: object) -> ImportSummary:
        make_data_set(kind, Path("source"))
        return import_catalogue(kind, source, "films", ImportOptions(**options))  # type: ignore[arg-type]

    return run


Imported = Callable[..., ImportSummary]


def test_answers_of_tmdb(imported: Imported) -> None:
    summary = imported("tmdb")
    films = by_id()
    club = films["550"]
    assert club["genres"] == "Drama|Thriller"
    assert (club["cast"], club["directors"], club["keywords"]) == (
        "Ed N.",
        "David F.",
        "support group",
    )
    assert (club["year"], club["runtime"], club["budget"], club["revenue"]) == (
        "1999",
        "139",
        "63000000",
        "",
    )
    assert club["collection"] == "Club Collection"
    assert club["production_companies"] == "Reg/ency"
    assert club["poster_url"] == "https://image.tmdb.org/t/p/w500/soap.jpg"
    assert films["11"]["genres"] == "Adventure|Science Fiction"
    assert (films["12"]["title"], films["12"]["genres"]) == ("A Series", "Sci-Fi & Fantasy")
    assert films["99"]["title"] == "Known by Name"
    assert sorted(left_out()) == [
        ("movie/551.json", "", "an error of TMDB's API"),
        ("movie_ids_05_15_2024.json.gz", "", "not JSON; the rest of the file was not read"),
        ("movie_ids_05_15_2024.json.gz", "99", "the id is used by an earlier row"),
    ]
    messages = [finding.message for finding in summary.findings]
    assert "1 genre id is not in TMDB's table and was left out, such as 99999" in messages
    assert any("1 name holds '|'" in message for message in messages)


def test_an_array_of_films_is_read_in_pieces() -> None:
    films = [{"id": i, "title": f"Film {i}", "overview": "x" * 30_000} for i in range(100)]
    Path("all.json").write_text(json.dumps(films, indent=1))
    Path("lines.jsonl").write_text("".join(json.dumps(film) + "\n" for film in films))
    Path("cut.json").write_text(json.dumps(films)[:-5])
    import_catalogue("tmdb", "all.json", "a")
    import_catalogue("tmdb", "lines.jsonl", "b")
    summary = import_catalogue("tmdb", "cut.json", "c")
    assert Path("a/catalogue.csv").read_bytes() == Path("b/catalogue.csv").read_bytes()
    assert (summary.items, sum(summary.left_out.values())) == (99, 1)


def test_half_an_emoji_is_replaced_and_told() -> None:
    Path("a.json").write_text(
        '{"id": 1, "title": "Smile \\ud83d", "genres": [{"name": "A\\ud83d"}]}'
    )
    summary = import_catalogue("tmdb", "a.json", "films")
    (film,) = read("catalogue.csv")
    assert (film["title"], film["genres"]) == ("Smile \ufffd", "A\ufffd")
    assert [(each.kind, each.count) for each in summary.findings] == [("characters replaced", 2)]


def test_movielens_is_joined_by_its_ids(imported: Imported) -> None:
    imported("movielens")
    films = by_id()
    assert films["1"]["title"] == "Toys of Tin"
    assert films["1"]["genres"] == "Animation|Children|Comedy"
    assert films["1"]["tags"] == "pixar|fun"
    assert (films["1"]["rating"], films["1"]["ratings"]) == ("4.500", "3")
    assert (films["2"]["genres"], films["2"]["rating"]) == ("", "")
    ids = [(row["id"], row["kind"], row["other_id"]) for row in read("ids.csv")]
    assert ids == [
        *(("1", "movielens_id", "1"), ("1", "imdb_id", "tt0114709"), ("1", "tmdb_id", "862")),
        *(("2", "movielens_id", "2"), ("2", "imdb_id", "tt0113497"), ("3", "movielens_id", "3")),
    ]
    assert left_out() == [("links.csv", "4", "the id is not in movies.csv")]


def test_older_movielens_files() -> None:
    Path("one").mkdir()
    Path("one/movies.dat").write_bytes(
        "1::Misérables, Les (1995)::Drama|Children's\n".encode("latin-1")
    )
    Path("one/ratings.dat").write_text("1::1::5::978300760\n2::1::3::978300760\n")
    import_catalogue("movielens", "one", "films", ImportOptions(genre_names="imdb"))
    (film,) = read("catalogue.csv")
    assert (film["title"], film["genres"], film["rating"]) == (
        "Misérables, Les",
        "Drama|Family",
        "4.000",
    )
    Path("two").mkdir()
    flags = "|".join("1" if i in (3, 4) else "0" for i in range(19))
    Path("two/u.item").write_text(f"1|Toys (1995)|01-Jan-1995||http://us.imdb.example/|{flags}\n")
    Path("two/u.data").write_text("196\t1\t3\t881250949\n")
    import_catalogue("movielens", "two", "other")
    with Path("other/catalogue.csv").open() as file:
        (film,) = csv.DictReader(file)
    assert (film["title"], film["genres"], film["ratings"]) == ("Toys", "Animation|Children's", "1")


def test_imdb_takes_movies_and_lists_the_rest(imported: Imported) -> None:
    imported("imdb")
    films = by_id()
    assert list(films) == ["tt0000009", "tt0000147", "tt10000000"]
    jerry, boxing, nothing = films.values()
    assert (jerry["cast"], jerry["directors"]) == ("Blanche B.|William C.", "Alexander B.")
    assert (jerry["rating"], jerry["votes"], jerry["runtime"]) == ("5.3", "206", "45")
    assert boxing["title"] == '"Boxing'
    assert boxing["directors"] == "Enoch R.|Alexander B."
    assert boxing["genres"] == "Documentary|News|Sport"
    assert (nothing["genres"], nothing["year"], nothing["adult"]) == ("", "", "yes")
    assert read("left-out.csv")[0]["found"] == "short"
    assert left_out() == [
        ("title.basics.tsv.gz", "tt0000012", "another type of title (--title-type)")
    ]


def test_imdb_takes_the_types_that_are_named(imported: Imported) -> None:
    assert imported("imdb", title_types=("short", "movie"), genre_names="tmdb").items == 4
    assert by_id()["tt0000012"]["directors"] == "Nobody"


def test_the_folders_of_images_are_labels_and_parts(imported: Imported) -> None:
    summary = imported("folder")
    films = by_id()
    assert {name: film["genres"] for name, film in films.items()} == {
        "test/Drama/1": "Drama",
        "train/Drama/1": "Drama|War",
        "train/Drama/1.png": "Drama",
        "train/War/8": "War",
    }
    assert split() == {
        **{"test/Drama/1": "test", "train/Drama/1": "train"},
        **{"train/Drama/1.png": "train", "train/War/8": "train"},
    }
    assert left_out() == [
        ("test/War/.hidden.jpg", "", "a hidden file"),
        ("test/War/notes.txt", "", "not an image"),
    ]
    assert summary.posters == 4
    assert films["train/Drama/1.png"]["poster"].endswith(".png")
    assert check_catalogue(load_catalogue("films/catalogue.csv")) == ()


def test_a_folder_for_each_label_has_no_split(make_data_set: Make) -> None:
    make_data_set("folder", Path("source"))
    import_catalogue("folder", "source/train", "films")
    assert sorted(by_id()) == ["Drama/1", "Drama/1.png", "War/8"]
    assert not Path("films/splits.csv").exists()


def test_a_hidden_folder_and_a_link_are_listed(make_data_set: Make) -> None:
    make_data_set("folder", Path("source"))
    Path("source/train/.old/sub").mkdir(parents=True)
    Path("source/train/.old/sub/1.jpg").write_bytes(b"x")
    Path("source/train/Link").symlink_to(Path("source/test").absolute())
    import_catalogue("folder", "source/train", "films")
    assert sorted(by_id()) == ["Drama/1", "Drama/1.png", "War/8"]
    assert [(row["file"], row["reason"], row["found"]) for row in read("left-out.csv")][:2] == [
        (".old", "a hidden folder", "1 file"),
        ("Link", "a link to a folder", ""),
    ]


def test_any_table_with_its_columns_named_by_hand(imported: Imported) -> None:
    mapping = {"Nummer": "id", "Titel": "title", "Inhalt": "overview", "Sparten": "genres"}
    mapping |= {"Bild": "poster", "Lager": "drop"}
    options = {"mapping": tuple(mapping.items()), "label_separator": ","}
    summary = imported("csv", "source/books.csv", **options)
    first, second = read("catalogue.csv")
    assert (first["id"], first["genres"]) == ("978-1", "Krimi|Drama")
    assert first["overview"] == "Ein Mann, ein Berg; Schnee."
    assert Path("films", first["poster"]).read_bytes() == Path("source/covers/a.png").read_bytes()
    assert (second["title"], second["genres"]) == ("Käse", "Sachbuch")
    assert (second["poster"], second["poster_url"]) == ("", "https://covers.example/2.jpg")
    assert "Lager" not in first
    assert [finding.kind for finding in summary.findings] == ["encoding", "separator"]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("id\tgenres\n1\tA|B\n", [("1", "A|B")]),
        ("sep=;\nid;genres\n1;A\n", [("1", "A")]),
        ("\ufeffID,Genre\n1,A\n2\n3,B\n", [("1", "A"), ("2", ""), ("3", "B")]),
        ("genres,note\nA,x\nB,y\n", [("1", "A"), ("2", "B")]),
    ],
)
def test_tables_of_all_sorts(text: str, rows: list[tuple[str, str]]) -> None:
    Path("t.txt").write_text(text, encoding="utf-8")
    import_catalogue("csv", "t.txt", "films")
    assert [(row["id"], row["genres"]) for row in read("catalogue.csv")] == rows


def test_the_advice_of_a_table_without_ids_can_be_followed(tmp_path: Path) -> None:
    Path("t.csv").write_text("movie_id,title,genres\n7,Jaws,War\n9,Heat,Drama\n")
    found = import_catalogue("csv", "t.csv", "films").findings
    (told,) = (finding.message for finding in found if finding.kind == "no ids")
    assert "--map movie_id=id takes the ids of a column" in told
    import_catalogue("csv", "t.csv", "again", ImportOptions(mapping=(("movie_id", "id"),)))
    assert load_catalogue("again/catalogue.csv").ids.tolist() == ["7", "9"]


def test_a_mapping_that_cannot_be_is_refused_with_all_its_problems(imported: Imported) -> None:
    options = {"mapping": (("Titl", "title"), ("Bild", "x"), ("Lager", "x"))}
    with pytest.raises(
        SettingError, match=r"unknown column 'Titl'. Did you mean Titel "
    ) as refused:
        imported("csv", "source/books.csv", **options)
    assert "columns 'Bild' and 'Lager' would both be 'x'" in str(refused.value)


def test_a_saved_data_set_of_hugging_face(imported: Imported) -> None:
    imported("huggingface")
    films = by_id()
    assert list(films) == ["train-1", "train-2", "test-1"]
    assert films["train-1"]["genres"] == "drama|horror"
    assert films["train-1"]["released"] == "1999-12-25"
    assert films["train-1"]["poster"].endswith(".jpg")
    with Image.open(Path("films", films["train-1"]["poster"])) as poster:
        assert poster.getpixel((3, 3)) == (254, 0, 0)
    assert (films["train-2"]["genres"], films["train-2"]["overview"]) == ("", "")
    assert films["test-1"]["poster"] == ""
    assert split() == {"train-1": "train", "train-2": "train", "test-1": "test"}


def test_one_part_of_a_data_set_has_no_split(imported: Imported) -> None:
    imported("huggingface", "source/train")
    assert list(by_id()) == ["1", "2"]
    assert not Path("films/splits.csv").exists()


def test_the_library_that_saves_data_sets_agrees(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    table = {"id": ["a", "b"], "genres": [["War"], []], "year": [1999, None]}
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(table)}).save_to_disk("source")
    import_catalogue("huggingface", "source", "films")
    assert [(row["id"], row["genres"], row["year"]) for row in read("catalogue.csv")] == [
        ("a", "War", "1999"),
        ("b", "", ""),
    ]


def test_all_images_of_an_item_are_its_posters(make_data_set: Make) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    images = []
    for colour in ("red", "blue"):
        Image.new("RGB", (20, 20), colour).save("a.png")
        images.append({"bytes": Path("a.png").read_bytes(), "path": None})
    page = {"bytes": None, "path": "https://a.org/1.jpg"}
    given = {"1": images, "2": [], "3": [images[0], page, images[0]], "4": [page]}
    known = {"title": "a", "tags": "b", "posters": "x"}
    rows = [{"id": i, "image": each, **known} for i, each in given.items()]
    parquet.write_table(pa.Table.from_pylist(rows), "t.parquet")
    summary = import_catalogue("huggingface", "t.parquet", "films")
    made = read("catalogue.csv")
    cells = [row["posters"].split("|") for row in made]
    found = [[Path("films", name).read_bytes() for name in each if name] for each in cells]
    red, blue = (image["bytes"] for image in images)
    assert found == [[red, blue], [], [red], []]
    assert [row["poster_url"] for row in made] == ["", "", page["path"], page["path"]]
    assert [(each.kind, each.count) for each in summary.findings] == [("several images", 2)]
    assert (summary.posters, summary.poster_urls) == (2, 2)
    assert made[0]["posters_"] == "x"
    assert load_catalogue("films/catalogue.csv").columns.poster == "posters"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A server in place of the Hub: path → answer."""
    answers: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path)
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield answers
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_data_set_is_downloaded_by_its_name(hub: dict[str, bytes]) -> None:
    import io
    import os

    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    base = os.environ["HF_ENDPOINT"]
    answer = {}
    for name in ("train", "test"):
        file = io.BytesIO()
        parquet.write_table(pa.table({"id": [name], "genres": [["War"]]}), file)
        hub[f"/{name}.parquet"] = file.getvalue()
        answer[name] = [f"{base}/{name}.parquet"]
    hub["/api/datasets/some/films/parquet"] = json.dumps({"default": answer}).encode()
    import_catalogue("huggingface", "https://huggingface.co/datasets/some/films", "films")
    assert split() == {"train": "train", "test": "test"}
    with pytest.raises(CatalogueError, match=r"a public data set on the Hub, found neither"):
        import_catalogue("huggingface", "some/other", "others")
    assert not Path("others").exists()


@pytest.mark.parametrize("kind", sorted(IMPORTERS))
def test_every_kind_makes_a_catalogue_that_can_be_read(kind: str, imported: Imported) -> None:
    mapping = (("Nummer", "id"), ("Sparten", "genres"))
    options = {"mapping": mapping} if kind == "csv" else {}
    summary = imported(kind, "source/books.csv" if kind == "csv" else "source", **options)
    catalogue = load_catalogue("films/catalogue.csv")
    assert (len(catalogue), int(catalogue.labelled.sum())) == (summary.items, summary.labelled)
    assert set(catalogue.genres) == set(summary.labels)
    assert not [path for path in Path("films").rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("kind", sorted(IMPORTERS))
def test_every_kind_says_what_it_expected(kind: str) -> None:
    Path("source").mkdir()
    with pytest.raises(CatalogueError, match="expected"):
        import_catalogue(kind, "source", "films")
    with pytest.raises(CatalogueError, match="expected"):
        import_catalogue(kind, "absent", "films")
    assert not Path("films").exists()


def test_absolute_paths_are_followed_only_under_the_folder_of_the_posters(tmp_path: Path) -> None:
    outside = tmp_path / "covers"
    outside.mkdir()
    Image.new("RGB", (20, 20)).save(outside / "a.png")
    Path("t.csv").write_text(f"id,name,tag,image\n1,a,A,{outside / 'a.png'}\n2,b,B,../t.png\n")
    summary = import_catalogue("csv", "t.csv", "films")
    assert summary.posters == 0
    assert [(each.kind, each.count) for each in summary.findings] == [("poster paths", 2)]
    options = ImportOptions(posters=outside)
    assert import_catalogue("csv", "t.csv", "again", options).posters == 1
