"""Imports of MM-IMDb: the folder of JSON and JPEG, and the HDF5 file."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import f1_score

from hybrid import read_split
from hybrid.catalogue.importers import import_catalogue
from hybrid.catalogue.importers.mm_imdb_hdf5 import encode_poster
from hybrid.cli.main import main
from hybrid.errors import CatalogueError

PAGE = Path(__file__).resolve().parents[3] / "docs" / "mm-imdb.md"


def read(name: str) -> list[dict[str, str]]:
    with Path("films", name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_id() -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in read("catalogue.csv")}


def split() -> dict[str, str]:
    return {row["id"]: row["split"] for row in read("splits.csv")}


def test_mm_imdb_keeps_its_published_split(make_data_set: Callable[[str, Path], Path]) -> None:
    summary = import_catalogue("mm-imdb", make_data_set("mm-imdb", Path("source")), "films")
    films = by_id()
    assert split() == {"0133093": "train", "0068646": "validation", "0110912": "test"}
    assert films["0133093"]["overview"] == "A hacker learns it all."
    assert films["0110912"]["overview"] == "The outline."
    assert films["0068646"]["genres"] == "Drama"
    assert films["0133093"]["runtime"] == "136"
    assert films["0133093"]["directors"] == "Ann Bo"
    assert (films["0110912"]["poster"], summary.posters) == ("", 2)
    rows = [(row["file"], row["id"], row["reason"]) for row in read("left-out.csv")]
    assert rows == [
        ("0000001.json", "0000001", "not in the published split"),
        ("split.json", "9999999", "no JSON file of this film"),
    ]
    assert read_split("films/splits.csv").parts.tolist() == ["validation", "test", "train"]


WORDS = {0: "_UNK_", 1: "a", 2: "hacker"}


def write_hdf5(
    folder: Path,
    pixels: np.ndarray,
    genres: np.ndarray | None = None,
    names: Sequence[str] = ("Drama", "Film-Noir"),
    plots: Sequence[Sequence[int]] | None = None,
    words: Mapping[int, str] = WORDS,
    parts: tuple[int, int, int] | None = None,
) -> Path:
    """As make_dataset.py of the paper writes it, by fuel's H5PYDataset."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "metadata.npy", {"ix_to_word": dict(words), "lookup": np.zeros((2, 300))})  # type: ignore[arg-type]
    with h5py.File(folder / "multimodal_imdb.hdf5", "w") as file:
        n = len(pixels)
        cut = np.float32(pixels.transpose(0, 3, 1, 2)[:, ::-1])
        cut -= np.float32([103.939, 116.779, 123.68])[None, :, None, None]
        images = file.create_dataset("images", cut.shape, dtype="int32")
        images[...] = cut
        file["genres"] = np.eye(n, 2, dtype=np.int32) if genres is None else genres
        file["genres"].attrs["target_names"] = json.dumps(names)
        file["imdb_ids"] = np.array([f"{i:07}" for i in range(n)], dtype="S7")
        sequences = file.create_dataset("sequences", (n,), dtype=h5py.vlen_dtype(np.int32))
        for i in range(n):
            sequences[i] = plots[i] if plots else [1, 2]
        reference = h5py.special_dtype(ref=h5py.Reference)
        fields = [("split", "S5"), ("source", "S8"), ("start", np.int64), ("stop", np.int64)]
        fields += [("indices", reference), ("available", bool, (1,)), ("comment", "S1")]
        train, dev, _ = parts or (n - 2, 1, 1)
        spans = {"train": (0, train), "dev": (train, train + dev), "test": (train + dev, n)}
        sources = ("genres", "images")
        array = np.empty(6, dtype=fields)
        for i, (name, source) in enumerate((name, source) for name in spans for source in sources):
            array[i] = (name, source, *spans[name], h5py.Reference(), True, "")
        file.attrs["split"] = array
    return folder


def test_the_hdf5_file_of_mm_imdb() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(5, 8, 6, 3), dtype=np.uint8)
    write_hdf5(Path("source"), pixels)
    import_catalogue("mm-imdb", "source", "films")
    films = by_id()
    assert split() == dict(
        zip(films, ["train", "train", "train", "validation", "test"], strict=True)
    )
    assert films["0000000"]["overview"] == "a hacker"
    assert [film["genres"] for film in films.values()] == ["Drama", "Film-Noir", "", "", ""]
    for film, expected in zip(films.values(), pixels, strict=True):
        with Image.open(Path("films", film["poster"])) as poster:
            found = np.asarray(poster).astype(int)
        assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("imdb_ids", np.array([b"0000000"]), r"imdb_ids of shape \(1,\)"),
        ("images", np.zeros((5, 10)), r"images of shape \(5, 10\)"),
        ("images", np.zeros((5, 1, 2, 2)), r"images of shape \(5, 1, 2, 2\)"),
        ("sequences", np.zeros((5, 3)), r"sequences of shape \(5, 3\)"),
        ("genres", None, r"genres of shape \(\)"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(name: str, value: Any, found: str) -> None:
    folder = write_hdf5(Path("source"), np.zeros((5, 2, 2, 3), dtype=np.uint8))
    with h5py.File(folder / "multimodal_imdb.hdf5", "a") as file:
        del file[name]
        if value is None:
            file.create_group(name)
        else:
            file[name] = value
    with pytest.raises(CatalogueError, match=f"found .*{found}"):
        import_catalogue("mm-imdb", "source", "films")
    assert not Path("films").exists()


def test_films_in_two_parts_of_the_split_are_told(
    make_data_set: Callable[[str, Path], Path],
) -> None:
    make_data_set("mm-imdb", Path("source"))
    path = next(Path("source").rglob("split.json"))
    parts = json.loads(path.read_text())
    twice = parts["train"][0]
    parts["test"].append(twice)
    path.write_text(json.dumps(parts))
    summary = import_catalogue("mm-imdb", "source", "films")
    told = next(found for found in summary.findings if found.kind == "several parts")
    assert (told.count, told.examples) == (1, (twice,))
    assert split()[twice] == "train"


def test_every_grey_level_of_a_poster_is_right_but_for_one() -> None:
    levels = np.arange(256, dtype=np.float32)
    for channel, mean in enumerate((103.939, 116.779, 123.68)):
        values = np.zeros((3, 1, 256), dtype=np.int32)
        values[channel] = (levels - np.float32(mean)).astype(np.int32)
        Path("p.png").write_bytes(encode_poster(values))
        with Image.open("p.png") as poster:
            found = np.asarray(poster)[0, :, 2 - channel].astype(int)
        assert (found != levels).sum() <= 1
        assert np.abs(found - levels).max() <= 1


def test_nothing_that_is_pickled_is_run() -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (Path("ran"),)

    write_hdf5(Path("source"), np.zeros((5, 2, 2, 3), dtype=np.uint8))
    array = np.array({"ix_to_word": {1: "a", 2: "b"}, "lookup": Bomb()}, dtype=object)
    np.save("source/metadata.npy", array)
    import_catalogue("mm-imdb", "source", "films")
    assert by_id()["0000000"]["overview"] == "a b"
    assert not Path("ran").exists()
    np.load("source/metadata.npy", allow_pickle=True)
    assert Path("ran").exists()  # so numpy would have run it


# Of made-up films: the words of the plots tell the genres.
TOLD_BY = {
    "Drama": "tears family loss",
    "Horror": "ghost blood night",
    "Western": "gun desert horse",
}
PARTS = (31, 14, 15)


def made_up() -> tuple[np.ndarray, list[str]]:
    """Genres and plots of sixty films."""
    draw = np.random.default_rng(0)
    genres = (draw.random((60, 3)) < 0.4).astype(np.int32)
    told = np.array([words.split() for words in TOLD_BY.values()])
    plots = [
        " ".join(
            [*draw.choice(told[own == 1].ravel(), 2 * own.sum()), *draw.choice(told.ravel(), 2)]
        )
        if own.any()
        else "nothing"
        for own in genres
    ]
    return genres, plots


def write_folder() -> None:
    genres, plots = made_up()
    Path("mmimdb/dataset").mkdir(parents=True)
    ids = [f"{i:07}" for i in range(len(plots))]
    for i, key in enumerate(ids):
        film = {"title": f"Film {i}", "plot": ["Short.", f"{plots[i]}::Me"], "year": 1999}
        film["genres"] = [name for name, has in zip(TOLD_BY, genres[i], strict=True) if has]
        Path(f"mmimdb/dataset/{key}.json").write_text(json.dumps(film))
        Image.new("RGB", (24, 36)).save(f"mmimdb/dataset/{key}.jpeg")
    train, dev, _ = PARTS
    split = {"train": ids[:train], "dev": ids[train : train + dev], "test": ids[train + dev :]}
    Path("mmimdb/split.json").write_text(json.dumps(split))


def write_file() -> None:
    genres, plots = made_up()
    words = dict(enumerate(sorted({word for plot in plots for word in plot.split()})))
    numbers = {word: number for number, word in words.items()}
    sequences = [[numbers[word] for word in plot.split()] for plot in plots]
    pixels = np.random.default_rng(0).integers(0, 256, (60, 9, 6, 3), dtype=np.uint8)
    write_hdf5(Path("mmimdb"), pixels, genres, list(TOLD_BY), sequences, words, PARTS)


@pytest.mark.parametrize("write", [write_folder, write_file])
def test_the_two_commands(write: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    """Their figures are scikit-learn's, on the films of the published split's test part."""
    write()
    first, second = re.findall(r"^    hybrid (.*)$", PAGE.read_text(encoding="utf-8"), re.M)[:2]
    for command in (first, f"{second} --folds 2 --C 1 --quiet"):
        with pytest.raises(SystemExit) as done:
            main(shlex.split(command))
        assert not done.value.code, capsys.readouterr().err
    metrics = json.loads(Path("mm-imdb/runs/svm/run.json").read_text())["metrics"]
    predicted = pd.read_csv("mm-imdb/runs/svm/predictions.csv", dtype=str, keep_default_na=False)
    predicted = predicted.set_index("id")["genres"].str.get_dummies("|")
    predicted = predicted.reindex(columns=list(TOLD_BY), fill_value=0)
    true = pd.DataFrame(made_up()[0], [f"{i:07}" for i in range(60)], list(TOLD_BY))
    test = true.index[-PARTS[2] :]
    labelled = test[true.loc[test].any(axis=1)]
    assert list(
        pd.read_csv("mm-imdb/splits.csv", dtype=str).query("split == 'test'")["id"]
    ) == list(test)
    for average in ("weighted", "samples", "micro", "macro"):
        scores = [f1_score(true.loc[some], predicted.loc[some], average=average, zero_division=0)
                  for some in (test, labelled)]  # fmt: skip
        assert 0 < scores[0] < 1
        assert metrics[f"f1_{average}"]["value"] == pytest.approx(scores[0], abs=1e-9)


def lead_elsewhere(file: h5py.File, how: str) -> None:
    """Let the ids be those bytes of another file."""
    other = Path("other.hdf5").resolve()
    with h5py.File(other, "w") as secret:
        secret["x"] = np.array([b"secret0"] * 5)
    del file["imdb_ids"]
    if how == "link":
        file["imdb_ids"] = h5py.ExternalLink(str(other), "/x")
    elif how == "soft link":
        file["imdb_ids"] = h5py.SoftLink("/genres")
    elif how == "virtual":
        layout = h5py.VirtualLayout((5,), dtype="S7")
        layout[:] = h5py.VirtualSource(str(other), "x", (5,))
        file.create_virtual_dataset("imdb_ids", layout)
    else:
        file.create_dataset("imdb_ids", (5,), "S7", external=[(str(other), 0, 35)])


@pytest.mark.parametrize("how", ["link", "soft link", "virtual", "external"])
def test_an_array_in_another_file_is_not_read(how: str) -> None:
    """It may be any file of the machine."""
    folder = write_hdf5(Path("source"), np.zeros((5, 2, 2, 3), dtype=np.uint8))
    with h5py.File(folder / "multimodal_imdb.hdf5", "a") as file:
        lead_elsewhere(file, how)
    with pytest.raises(
        CatalogueError, match=r"imdb_ids as a plain array .* found (a link|data in)"
    ):
        import_catalogue("mm-imdb", "source", "films")


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("genres", {"shape": (10**9, 2), "dtype": "i4", "chunks": (1000, 2)}),
        ("imdb_ids", {"shape": (5,), "dtype": "V3"}),
        ("images", {"shape": (5, 3, 20_000, 20_000), "dtype": "i4", "chunks": (1, 1, 100, 100)}),
        ("images", {"shape": (5, 3, 2, 2), "dtype": "S1"}),
        ("sequences", {"shape": (5,), "dtype": h5py.vlen_dtype(float)}),
    ],
)
def test_arrays_that_claim_too_much_or_are_no_numbers_are_refused(
    name: str, made: dict[str, Any]
) -> None:
    folder = write_hdf5(Path("source"), np.zeros((5, 2, 2, 3), dtype=np.uint8))
    with h5py.File(folder / "multimodal_imdb.hdf5", "a") as file:
        del file[name]
        if name == "genres":
            del file["imdb_ids"], file["images"], file["sequences"]
            file.create_dataset("imdb_ids", (10**9,), "S7", chunks=(1000,))
        file.create_dataset(name, **made)
    with pytest.raises(CatalogueError, match=rf"expected {name} as a plain array"):
        import_catalogue("mm-imdb", "source", "films")


def test_words_that_are_no_text_are_passed_over() -> None:
    """A list of ten that are one list of ten, and so on, has 10**12 entries if it is written out."""
    many: Any = ["lol"] * 10
    for _ in range(11):
        many = [many] * 10
    write_hdf5(Path("source"), np.zeros((5, 2, 2, 3), dtype=np.uint8))
    np.save("source/metadata.npy", {"ix_to_word": {1: many, 2: "b"}})  # type: ignore[arg-type]
    import_catalogue("mm-imdb", "source", "films")
    assert by_id()["0000000"]["overview"] == "b"


@pytest.mark.parametrize("names", ["[" * 10_000, "5", '[["Drama"], {}]'])
def test_names_of_genres_that_are_none(names: str) -> None:
    folder = write_hdf5(Path("source"), np.zeros((5, 2, 2, 3), dtype=np.uint8))
    with h5py.File(folder / "multimodal_imdb.hdf5", "a") as file:
        file["genres"].attrs["target_names"] = names
    with pytest.raises(CatalogueError, match="expected the names of 2 genres"):
        import_catalogue("mm-imdb", "source", "films")
