"""Imports that are joined with an earlier one."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hybrid.catalogue.importers import ImportOptions, import_catalogue
from hybrid.errors import SettingError

Make = Callable[[str, Path], Path]


def test_two_data_sets_are_joined_by_an_id_that_both_know(make_data_set: Make) -> None:
    """MovieLens has genres and tags, The Movies Dataset the texts and posters of the same films."""
    Path("posters").mkdir()
    Image.new("RGB", (20, 20), "red").save("posters/862.png")
    metadata = make_data_set("movies-metadata", Path("metadata"))
    options = ImportOptions(posters=Path("posters"))
    import_catalogue("movies-metadata", metadata, "first", options)
    movies = make_data_set("movielens", Path("movielens"))
    summary = import_catalogue("movielens", movies, "films", ImportOptions(join=Path("first")))
    with Path("films/catalogue.csv").open(newline="", encoding="utf-8") as file:
        toys, island, third = csv.DictReader(file)
    assert toys["overview"].startswith('He said "no"')
    assert (toys["genres"], toys["directors"]) == ("Animation|Children|Comedy", "Ann Bo")
    assert (toys["title"], toys["year"], toys["tags"]) == ("Toys of Tin", "1995", "pixar|fun")
    assert Path("films", toys["poster"]).read_bytes() == Path("posters/862.png").read_bytes()
    # The Movies Dataset's film 5 is MovieLens' 2, by links.csv of the former.
    assert (island["title"], island["overview"]) == ("Island, The", "A story.")
    assert (third["overview"], third["poster"]) == ("", "")
    told = {finding.kind: finding.count for finding in summary.findings}
    assert (told["joined"], told["not joined"]) == (2, 1)


def test_only_an_import_can_be_joined(make_data_set: Make) -> None:
    movies = make_data_set("movielens", Path("movielens"))
    with pytest.raises(
        SettingError, match="--join absent: expected the folder of an earlier import"
    ):
        import_catalogue("movielens", movies, "films", ImportOptions(join=Path("absent")))
    assert not Path("films").exists()


def test_a_poster_outside_the_joined_folder_is_not_copied(make_data_set: Make) -> None:
    """An earlier import that somebody else made may name any image of the machine."""
    Image.new("RGB", (20, 20), "red").save("secret.png")
    Path("first").mkdir()
    place = Path("secret.png").resolve()
    Path("first/catalogue.csv").write_text(f"id,overview,poster\n1,toys,{place}\n")
    Path("first/ids.csv").write_text("id,kind,other_id\n1,tmdb_id,862\n")
    movies = make_data_set("movielens", Path("movielens"))
    summary = import_catalogue("movielens", movies, "films", ImportOptions(join=Path("first")))
    assert "joined" in [found.kind for found in summary.findings]
    assert summary.posters == 0
