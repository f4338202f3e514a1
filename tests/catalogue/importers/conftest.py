"""Small data sets in the exact format of the real ones; every film and person is made up."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image

# The header of movies_metadata.csv.
METADATA = (
    "adult,belongs_to_collection,budget,genres,homepage,id,imdb_id,original_language,original_title,"
    "overview,popularity,poster_path,production_companies,production_countries,release_date,revenue,"
    "runtime,spoken_languages,status,tagline,title,video,vote_average,vote_count"
)
ENGLISH = "[{'iso_639_1': 'en', 'name': 'English'}]"
CANADA = "[{'iso_3166_1': 'CA', 'name': 'Canada'}]"


def table(header: str, rows: Iterable[Iterable[object]], delimiter: str = ",") -> str:
    """Rows as CSV, each with as many fields as it is given."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return f"{header}\n{text.getvalue()}"


def python_objects(*pairs: tuple[int, str]) -> str:
    return str([{"id": number, "name": name} for number, name in pairs])


def film(number: int, title: str, genres: str, overview: str = "A story.") -> list[object]:
    """A row of movies_metadata.csv."""
    collection = "{'id': 7, 'name': 'Set', 'poster_path': '/s.jpg', 'backdrop_path': None}"
    return [
        *("False", collection if number % 2 else "", 30000000, genres, "", number),
        *(f"tt{number:07}", "en", title, overview, 21.946943, f"/{number}.jpg"),
        *("[{'name': 'Studio', 'id': 3}]", CANADA, "1995-10-30", 373554033, 81.0),
        *(ENGLISH, "Released", "", title, "False", 7.7, 5415),
    ]


def halves(number: int, title: str, first: str, second: str, date: str) -> list[list[object]]:
    """A film that a line break in its overview has cut in two: 10 fields, and 15."""
    whole = film(number, title, python_objects((18, "Drama")))
    whole[14] = date
    return [[*whole[:9], first], [second, *whole[10:]]]


def movies_metadata(folder: Path) -> None:
    drama, both = python_objects((18, "Drama")), python_objects((35, "Comedy"), (10751, "Family"))
    rows = [
        film(862, "Toys of Tin", both, 'He said "no",\nand went.'),
        *halves(82663, "Night Man", "Soldiers hunt a man.", " - Written by Ørn", "1997-08-20"),
        film(5, "Four Rooms Down", drama),
        film(5, "Four Rooms Down", drama),
        *halves(122662, "Scramble", "Third of a series.", " Rune goes to a casino.", "2012-09-29"),
        film(6, "No Genre", "[]"),
        *halves(249260, "Sharks in Snow", "Skiers meet some", " sharks.", "2014-01-01"),
    ]
    (folder / "movies_metadata.csv").write_text(table(METADATA, rows), encoding="utf-8")
    cast = (
        "[{'cast_id': 1, 'character': 'Mo', 'credit_id': 'a', 'gender': 2, 'id': 31, 'name': %s, "
        "'order': 0, 'profile_path': None}]"
    )
    crew = (
        "[{'credit_id': 'b', 'department': 'Directing', 'gender': 2, 'id': 9, 'job': 'Director', "
        "'name': 'Ann Bo', 'profile_path': '/7.jpg'}, {'credit_id': 'c', 'department': 'Writing', "
        "'gender': 2, 'id': 8, 'job': 'Writer', 'name': 'Cy Do', 'profile_path': None}]"
    )
    credits = [
        [cast % '"Conan O\'Neil"', crew, 862],
        [cast % "'Eve Fox'", "[]", 82663],
        ["[]", "[]", 999],
    ]
    (folder / "credits.csv").write_text(table("cast,crew,id", credits), encoding="utf-8")
    words = [[862, python_objects((931, "jealousy"), (4290, "toy"))], [5, "[]"]]
    (folder / "keywords.csv").write_text(table("id,keywords", words), encoding="utf-8")
    links = [[1, "0114709", 862], [2, "0113497", "5.0"], [3, "0113228", ""]]
    (folder / "links.csv").write_text(table("movieId,imdbId,tmdbId", links), encoding="utf-8")


def tmdb_5000(folder: Path) -> None:
    header = (
        "budget,genres,homepage,id,keywords,original_language,original_title,overview,popularity,"
        "production_companies,production_countries,release_date,revenue,runtime,spoken_languages,status,"
        "tagline,title,vote_average,vote_count"
    )
    genres = '[{""id"": 28, ""name"": ""Action""}, {""id"": 878, ""name"": ""Science Fiction""}]'
    words = '[{""id"": 1463, ""name"": ""culture clash""}]'
    country = '[{""iso_3166_1"": ""US"", ""name"": ""United States of America""}]'
    rest = (
        '2009-12-10,2787965087,162,"[]",Released,Enter the World.,Blue Moon,7.2,11800\n'
        '0,"[]",,49026,"[]",en,Plain,,1.1,"[]","[]",,0,,"[]",Released,,Plain,0.0,0\n'
    )
    (folder / "tmdb_5000_movies.csv").write_text(
        f'{header}\n237000000,"{genres}",http://b.example/,19995,"{words}",en,Blue Moon,"In the 22nd '
        f'century, a marine.",150.437577,"[{{""name"": ""Film Partners"", ""id"": 289}}]","{country}",{rest}',
        encoding="utf-8",
    )
    cast = (
        '[{"cast_id": 242, "character": "Jake", "credit_id": "5", "gender": 2, "id": 65, '
        '"name": "Sam W.", "order": 0}]'
    )
    crew = (
        '[{"credit_id": "52", "department": "Directing", "gender": 2, "id": 27, "job": "Director", '
        '"name": "Jim C."}]'
    )
    rows = [[19995, "Blue Moon", cast, crew]]
    (folder / "tmdb_5000_credits.csv").write_text(table("movie_id,title,cast,crew", rows))


def movie_genre(folder: Path) -> None:
    site, images = "http://www.imdb.example/title/tt", "https://images.example/"
    summer = [113277, f"{site}113277", "Chaleur d'été (1995)", 8.2, "Crime|Drama"]
    tin = [114709, f"{site}114709", "Toys of Tin (1995)", 8.3, "Animation|Comedy"]
    rows = [
        [*tin, f"{images}114709.jpg"],
        [*summer, f"{images}113277.jpg"],
        [*summer, f"{images}113277.jpg"],
        [112281, f"{site}112281", "Ça", "", "", ""],
    ]
    text = table("imdbId,Imdb Link,Title,IMDB Score,Genre,Poster", rows)
    (folder / "MovieGenre.csv").write_bytes(text.encode("latin-1"))


def tmdb(folder: Path) -> None:
    details = {
        **{"adult": False, "backdrop_path": None, "budget": 63000000, "homepage": "", "id": 550},
        "belongs_to_collection": {"id": 9, "name": "Club Collection", "poster_path": None},
        "genres": [{"id": 18, "name": "Drama"}, {"id": 53, "name": "Thriller"}],
        **{"imdb_id": "tt0137523", "original_language": "en", "original_title": "Soap Club"},
        **{"overview": "A man sells soap.", "popularity": 61.416, "runtime": 139},
        "production_companies": [{"id": 508, "logo_path": None, "name": "Reg|ency"}],
        "production_countries": [{"iso_3166_1": "US", "name": "United States of America"}],
        **{"poster_path": "/soap.jpg", "release_date": "1999-10-15", "revenue": 0},
        "spoken_languages": [{"english_name": "English", "iso_639_1": "en", "name": "English"}],
        **{"tagline": "", "title": "Soap Club", "video": False, "vote_average": 8.4},
        **{"vote_count": 3439, "status": "Released"},
        "credits": {
            "cast": [{"id": 819, "name": "Ed N.", "character": "Narrator", "order": 0}],
            "crew": [
                {"id": 7467, "name": "David F.", "job": "Director", "department": "Directing"}
            ],
        },
        "keywords": {"keywords": [{"id": 825, "name": "support group"}]},
    }
    error = {"success": False, "status_code": 34, "status_message": "Not found."}
    results = [
        {"id": 11, "title": "Wars", "genre_ids": [12, 878, 99999], "release_date": ""},
        {"id": 12, "name": "A Series", "genre_ids": [10765], "first_air_date": "2001-02-03"},
    ]
    page = {"page": 1, "results": results, "total_pages": 1, "total_results": 2}
    export = {"adult": False, "id": 99, "original_title": "Known by Name", "popularity": 0.6}
    (folder / "movie").mkdir()
    (folder / "movie" / "550.json").write_text(json.dumps(details))
    (folder / "movie" / "551.json").write_text(json.dumps(error))
    (folder / "discover-1.json").write_text(json.dumps(page))
    lines = f"{json.dumps(export)}\n{json.dumps(export)}\nbroken\n"
    (folder / "movie_ids_05_15_2024.json.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))


def movielens(folder: Path) -> None:
    movies = [
        [1, "Toys of Tin (1995)", "Animation|Children|Comedy"],
        [2, "Island, The (1996)", "(no genres listed)"],
        [3, 'The "Third" Man', "Film-Noir|Sci-Fi"],
    ]
    (folder / "movies.csv").write_text(table("movieId,title,genres", movies), encoding="utf-8")
    links = [[1, "0114709", 862], [2, "0113497", ""], [4, "0113228", 9]]
    (folder / "links.csv").write_text(table("movieId,imdbId,tmdbId", links))
    tags = [[15, 1, "pixar", 1], [16, 1, "Pixar", 2], [16, 1, "fun", 3], [3, 2, "sea", 4]]
    (folder / "tags.csv").write_text(table("userId,movieId,tag,timestamp", tags))
    ratings = [[1, 1, 4.0, 9], [2, 1, 5.0, 9], [3, 1, 4.5, 9], [1, 3, 0.5, 9]]
    (folder / "ratings.csv").write_text(table("userId,movieId,rating,timestamp", ratings))


def imdb(folder: Path) -> None:
    def write(name: str, *rows: str) -> None:
        text = "".join(row.replace(" | ", "\t") + "\n" for row in rows)
        (folder / f"{name}.tsv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))

    header = "tconst titleType primaryTitle originalTitle isAdult startYear endYear runtimeMinutes genres"
    write(
        "title.basics",
        header.replace(" ", " | "),
        r"tt0000009 | movie | Miss Jerry | Miss Jerry | 0 | 1894 | \N | 45 | Romance",
        r"tt0000012 | short | The Train | Le train | 0 | 1896 | \N | 1 | Documentary,Short",
        r'tt0000147 | movie | "Boxing | "Boxing | 0 | 1897 | \N | \N | Documentary,News,Sport',
        r"tt10000000 | movie | No Genre | No Genre | 1 | \N | \N | \N | \N",
    )
    write("title.ratings", "tconst | averageRating | numVotes", "tt0000009 | 5.3 | 206")
    write(
        "title.crew",
        "tconst | directors | writers",
        "tt0000009 | nm0085156 | nm0085156",
        r"tt0000012 | nm0525908 | \N",
        r"tt0000147 | nm0714557,nm0085156 | \N",
    )
    write(
        "title.principals",
        "tconst | ordering | nconst | category | job | characters",
        r'tt0000009 | 1 | nm0063086 | actress | \N | ["Miss Geraldine"]',
        r"tt0000009 | 2 | nm0085156 | director | \N | \N",
        r'tt0000009 | 3 | nm0183823 | actor | \N | ["Mr. Hamilton"]',
    )
    people = {"0063086": "Blanche B.", "0085156": "Alexander B.", "0183823": "William C."}
    people |= {"0525908": "Nobody", "0714557": "Enoch R."}
    write(
        "name.basics",
        "nconst | primaryName | birthYear | deathYear | primaryProfession | knownForTitles",
        *(rf"nm{key} | {name} | \N | \N | actor | tt0000009" for key, name in people.items()),
    )


def picture(colour: str, form: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (24, 36), colour).save(file, form)
    return file.getvalue()


def folder_of_images(folder: Path) -> None:
    for name, data in {
        "train/Drama/1.jpg": picture("red"),
        "train/Drama/1.png": picture("blue", "PNG"),
        "train/War/7.jpg": picture("red"),
        "train/War/8.jpg": picture("green"),
        "test/Drama/1.jpg": picture("white"),
        "test/War/notes.txt": b"not an image",
        "test/War/.hidden.jpg": picture("black"),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def csv_table(folder: Path) -> None:
    (folder / "covers").mkdir()
    (folder / "covers" / "a.png").write_bytes(picture("red", "PNG"))
    rows = [
        ["978-1", "Der Berg", "Ein Mann, ein Berg; Schnee.", "Krimi, Drama", "covers/a.png", "x"],
        ["978-2", "Käse", "", "['Sachbuch']", "https://covers.example/2.jpg", "y"],
    ]
    text = table("Nummer;Titel;Inhalt;Sparten;Bild;Lager", rows, ";")
    (folder / "books.csv").write_bytes(text.encode("latin-1"))


def huggingface(folder: Path) -> None:
    """As `datasets.DatasetDict.save_to_disk` writes it."""
    pa = pytest.importorskip("pyarrow")
    features = {
        "image": {"_type": "Image"},
        "label": {
            "feature": {"names": ["drama", "horror"], "_type": "ClassLabel"},
            "_type": "List",
        },
        "overview": {"dtype": "string", "_type": "Value"},
        "released": {"dtype": "date32", "_type": "Value"},
    }
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [("image", image), ("label", pa.list_(pa.int64())), ("overview", pa.string())]
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema([*fields, ("released", pa.date32())], metadata=metadata)
    day = datetime.date(1999, 12, 25)
    red, blue = ({"bytes": picture(colour), "path": None} for colour in ("red", "blue"))
    rows = {
        "train": [(red, [0, 1], "Blood.", day), (blue, [], None, None)],
        "test": [(None, [1], "Fog.", day)],
    }
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(rows)}))
    for split, values in rows.items():
        (folder / split).mkdir()
        name = "data-00000-of-00001.arrow"
        records = [dict(zip(schema.names, row, strict=True)) for row in values]
        data = pa.Table.from_pylist(records, schema=schema)
        with (
            pa.OSFile(str(folder / split / name), "wb") as file,
            pa.ipc.new_stream(file, schema) as stream,
        ):
            stream.write_table(data)
        state = {"_data_files": [{"filename": name}], "_fingerprint": "9c", "_format_columns": None}
        state |= {"_format_kwargs": {}, "_format_type": None, "_split": split}
        (folder / split / "state.json").write_text(json.dumps(state))
        info = {"citation": "", "description": "", "features": features, "homepage": ""}
        (folder / split / "dataset_info.json").write_text(json.dumps(info))


def mm_imdb(folder: Path) -> None:
    """As mmimdb.tar.gz unpacks: what IMDbPY gave, with the JPEG beside."""
    (folder / "dataset").mkdir()
    films = {
        "0133093": ("Matrix", ["Sci-Fi", "Action"], ["Short.", "A hacker learns it all.::Red"]),
        "0068646": ("Father", ["Drama", "News"], ["A family.::Anonymous"]),
        "0110912": ("Pulp", ["Crime"], []),
        "0000001": ("Elsewhere", ["Drama"], ["Not in the split."]),
    }
    person = {"name": "Ann Bo", "long imdb name": "Ann Bo", "canonical name": "Bo, Ann"}
    for i, (key, (title, genres, plot)) in enumerate(films.items()):
        film = {"title": title, "genres": genres, "plot": plot, "year": 1999, "kind": "movie"}
        film |= {"director": [person], "cast": [{"name": "Eve Fox"}], "runtimes": ["USA:136"]}
        film |= {"languages": ["English"], "countries": ["USA"], "plot outline": "The outline."}
        (folder / "dataset" / f"{key}.json").write_text(json.dumps(film, indent=4))
        if key != "0110912":
            (folder / "dataset" / f"{key}.jpeg").write_bytes(picture(f"#{i:02x}4020"))
    split = {"train": ["0133093"], "dev": ["0068646"], "test": ["0110912", "9999999"]}
    (folder / "split.json").write_text(json.dumps(split))


DATA_SETS = {
    "movies-metadata": movies_metadata,
    "tmdb-5000": tmdb_5000,
    "tmdb": tmdb,
    "movie-genre": movie_genre,
    "mm-imdb": mm_imdb,
    "movielens": movielens,
    "imdb": imdb,
    "huggingface": huggingface,
    "folder": folder_of_images,
    "csv": csv_table,
}


@pytest.fixture(scope="session")
def make_data_set() -> Callable[[str, Path], Path]:
    """Write the data set of a kind to a folder."""

    def make(kind: str, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        DATA_SETS[kind](folder)
        return folder

    return make
