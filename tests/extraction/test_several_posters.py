"""Items with several posters: all are embedded, and the mean of their embeddings is the item's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid.cache import EmbeddingCache
from hybrid.catalogue import load_catalogue
from hybrid.catalogue.check import check_catalogue
from hybrid.extraction.key_sets import frame_key_sets
from hybrid.extraction.lookup import bad_posters, hash_catalogue, load_embeddings
from hybrid.extraction.poster_keys import count_embedded, image_files, key_sets
from hybrid.features.posters import PosterFeatures
from hybrid.images.decode import BadPoster
from hybrid.images.files import poster_key
from hybrid.images.thumbnails import encode_jpeg
from hybrid.utils.context import Context


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Five items: two posters, one, a missing and a good one, none, two that are missing."""
    (tmp_path / "posters").mkdir()
    for i in range(4):
        pixels = np.full((24, 16, 3), 60 * i, dtype=np.uint8)
        (tmp_path / "posters" / f"{i}.jpg").write_bytes(encode_jpeg(pixels))
    path = tmp_path / "films.csv"
    path.write_text(
        "id,genres,posters\n"
        "a,Drama,posters/0.jpg|posters/1.jpg|posters/0.jpg\n"
        "b,Drama,posters/2.jpg\n"
        "c,Horror,posters/gone.jpg| posters/3.jpg\n"
        "d,Horror,\n"
        "e,Horror,../x.jpg|posters/gone.jpg\n"
    )
    return path


def test_the_embedding_of_an_item_is_the_mean(films: Path, tmp_path: Path) -> None:
    catalogue = load_catalogue(films)
    assert catalogue.columns.poster == "posters"
    keys = [poster_key((tmp_path / "posters" / f"{i}.jpg").read_bytes()) for i in range(4)]
    context = Context(cache=str(tmp_path / "cache"))
    found = hash_catalogue(catalogue, context)
    assert found[:3] == [keys[0], keys[2], keys[3]]
    assert all(isinstance(key, BadPoster) for key in found[3:])
    assert set(image_files(catalogue, found, context)) == set(keys)
    store = EmbeddingCache(context.cache).make({"dimension": 2, "dtype": "float32"})
    values = np.array([[0, 1], [2, 5], [7, 7], [9, 3]], dtype=np.float32)
    store.append(keys, values)
    expected = np.array([[1, 3], [7, 7], [9, 3], [np.nan, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(load_embeddings(catalogue, context=context), expected)
    features = PosterFeatures(context.cache, store.fingerprint)
    np.testing.assert_array_equal(features.read(catalogue.frame), expected)
    some = features.look_up(catalogue.frame)[np.array([2, 0])]
    np.testing.assert_array_equal(some, expected[[2, 0]])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cells=st.lists(
        st.lists(st.sampled_from([*"01234", "gone", "../x"]), max_size=3), min_size=1, max_size=8
    )
)
def test_keys_and_files_are_those_of_a_dict(
    films: Path, tmp_path: Path, cells: list[list[str]]
) -> None:
    """Against a plain dict over all posters: those of one file first, then those of items with several."""
    folder, path = tmp_path / "posters", tmp_path / "any.csv"
    (folder / "4.jpg").write_bytes((folder / "0.jpg").read_bytes())  # the same image
    lines = [
        f"{i},Drama,{'|'.join(f'posters/{n}.jpg' for n in each)}" for i, each in enumerate(cells)
    ]
    path.write_text("\n".join(["id,genres,posters", *lines]))
    catalogue = load_catalogue(path)

    def readable(each: list[str]) -> dict[str, bytes]:
        files = [folder / f"{n}.jpg" for n in dict.fromkeys(each) if n in "01234"]
        return {str(file): poster_key(file.read_bytes()) for file in files}

    sets = [list(dict.fromkeys(readable(each).values())) for each in cells]
    expected: dict[bytes, str] = {}
    for each in cells:
        for file, key in list(readable(each).items())[:1]:
            expected.setdefault(key, file)
    # A path that leaves the folder names no file.
    one_each = [[n for n in dict.fromkeys(each) if n != "../x"] for each in cells]
    for each in [e for e in one_each if len(e) == 1] + [e for e in one_each if len(e) > 1]:
        expected |= {key: file for file, key in readable(each).items()}
    found = hash_catalogue(catalogue)
    assert [key if isinstance(key, bytes) else None for key in found] == [
        each[0] if each else None for each in sets
    ]
    files = image_files(catalogue, found)
    assert list(files.items()) == list(expected.items())
    assert list(key_sets(catalogue, found)) == sets
    frame_sets = frame_key_sets(catalogue.frame, "no-cache", 1)
    # A frame has equal images twice; `read_pooled` leaves them out.
    assert [list(dict.fromkeys(each)) for each in frame_sets] == sets
    assert [frame_sets[i] for i in range(len(cells))] == list(frame_sets)
    back = np.arange(len(cells))[::-1]
    assert list(frame_sets[back]) == list(frame_sets)[::-1]
    assert list(frame_sets[1:]) == list(frame_sets)[1:]
    store = EmbeddingCache(str(tmp_path / "counted")).make({"dimension": 1, "cells": repr(cells)})
    half = list(expected)[::2]
    store.append(half, np.ones((len(half), 1), np.float32))
    assert count_embedded(catalogue, found, store) == sum(bool({*each} & {*half}) for each in sets)


def test_what_is_wrong_with_one_of_several_is_told(films: Path, tmp_path: Path) -> None:
    catalogue = load_catalogue(films)
    told = [(bad.id, bad.reason) for bad in check_catalogue(catalogue)]
    assert told == [
        ("c", "gone.jpg: file not found; the item's other posters are used"),
        ("d", "no poster named"),
        ("e", "file not found"),
        ("e", "../x.jpg: the path leaves the catalogue's folder"),
    ]
    context = Context(cache=str(tmp_path / "cache"))
    keys = hash_catalogue(catalogue, context)
    store = EmbeddingCache(context.cache).make({"dimension": 2})
    some = list(image_files(catalogue, keys, context))
    store.append(some, np.ones((len(some), 2), dtype=np.float32))
    assert [(bad.id, bad.reason) for bad in bad_posters(catalogue, keys, store)] == [
        ("c", "file not found; the item's other posters are used"),
        ("d", "no poster named"),
        ("e", "../x.jpg: the path leaves the catalogue's folder"),
        ("e", "file not found"),
    ]


def test_a_column_poster_names_one_file_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    path.write_text("id,poster,posters\na,a|b.jpg,x.jpg\n")
    catalogue = load_catalogue(path)
    assert catalogue.poster_paths == (str(tmp_path / "a|b.jpg"),)
    assert catalogue.several_posters == {}


def test_a_url_among_files_is_told_and_the_files_are_used(films: Path) -> None:
    films.write_text(
        "id,genres,posters\na,Drama,http://a.org/x.jpg|posters/1.jpg\nb,Drama,posters/2.jpg\n"
    )
    catalogue = load_catalogue(films)
    assert catalogue.poster_paths[0] == str(films.parent / "posters/1.jpg")
    ((name, reason),) = [(bad.id, bad.reason) for bad in check_catalogue(catalogue)]
    assert (name, reason.split(";")[0]) == ("a", "http://a.org/x.jpg: the poster is a URL")
    assert reason.endswith("the item's other posters are used")
    assert "hybrid fetch-posters" in " ".join(each.message for each in catalogue.findings)
