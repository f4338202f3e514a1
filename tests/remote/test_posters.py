"""Posters at a URL: their bytes, what is wrong with them, what is remembered of them."""

from __future__ import annotations

import errno
import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hybrid import Context, load_catalogue
from hybrid.cache import EmbeddingCache
from hybrid.catalogue.check import check_posters
from hybrid.catalogue.poster_paths import poster_problem
from hybrid.extraction.poster_keys import hash_catalogue
from hybrid.images import files, hashes, tar_members
from hybrid.images.decode import BadPoster
from hybrid.images.files import is_there, poster_key, read_poster
from hybrid.images.references import join_folder
from hybrid.remote import objects
from hybrid.remote.errors import NoAnswerError, RemoteFileError
from hybrid.remote.objects import Listings
from hybrid.types import ColumnOptions
from hybrid.utils.links import lies_in
from tests.remote.conftest import Bucket


def reason(url: str) -> str:
    found = read_poster(url)
    assert isinstance(found, BadPoster), found
    return found.reason


@pytest.mark.parametrize("size", [1, objects.FIRST - 1, objects.FIRST, objects.FIRST + 1])
def test_bytes_are_those_that_lie_there(size: int, s3: Bucket) -> None:
    content = bytes(size % 251 for _ in range(4)) * (size // 4) + b"x" * (size % 4)
    assert read_poster(s3.put("a b/ä#1.jpg", content)) == content


def test_a_bad_poster_has_the_reason_of_one_here(
    s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reason(f"{s3.url}/no.jpg") == "file not found"
    assert reason(f"{s3.url}/no.tar#1.jpg") == "tar file not found"
    assert reason(s3.put("empty.jpg", b"")) == "the file is empty"
    s3.put("folder/1.jpg", b"image")
    assert reason(f"{s3.url}/folder") == "file not found"
    monkeypatch.setattr(files, "MAX_BYTES", 3)
    assert reason(s3.put("large.jpg", b"1234")) == "the file is larger than 0 MiB"
    # Whoever does not sign requests may not read what is not public.
    refused = f"{s3.server.url}/{s3.name}/large.jpg"
    assert reason(refused).startswith("cannot be read: the server refuses it (403")


def test_keys_and_bad_posters_are_those_of_the_files_here(
    sample: Path, remote_sample: str, s3: Bucket, tmp_path: Path
) -> None:
    here = load_catalogue(sample / "catalogue.csv")
    catalogue = load_catalogue(f"{remote_sample}/catalogue.csv")
    context = Context(cache=str(tmp_path / "cache"), workers=2)
    assert hash_catalogue(catalogue, context) == list(hash_catalogue(here, context))
    assert check_posters(catalogue, context) == check_posters(here, context)
    listings = Listings()
    there = [is_there(path, listings) for path in catalogue.poster_paths if path]
    assert there == [Path(path).is_file() for path in here.poster_paths if path]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs of the posters that were read."""
    found, original = list[str](), files.read_whole
    monkeypatch.setattr(files, "read_whole", lambda url, *a: found.append(url) or original(url, *a))
    return found


def test_what_a_cache_remembers_is_not_read_again(
    s3: Bucket, tmp_path: Path, read: list[str]
) -> None:
    paths = [f"{s3.url}/{folder}/{i}.jpg" for folder in "ab" for i in range(5)]
    for path in paths[1:]:
        s3.put(path.removeprefix(f"{s3.url}/"), path.encode())
    cache = tmp_path / "cache"
    EmbeddingCache(cache).make({"dimension": 2})
    first = list(hashes.hash_posters(cache, paths, 2))
    assert first == [
        BadPoster("file not found"),
        *(poster_key(path.encode()) for path in paths[1:]),
    ]
    assert sorted(read) == sorted(paths)
    read.clear()
    assert list(hashes.hash_posters(cache, paths, 2)) == first
    assert read == paths[:1]  # what is not there may come
    another = b"x" * len(paths[8])  # of the same size
    s3.put("b/3.jpg", another)
    assert list(hashes.hash_posters(cache, paths, 2))[8] == poster_key(another)
    assert read == [paths[0], paths[0], paths[8]]


def test_a_folder_that_may_not_be_listed_is_asked_for_each_file(
    s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, original = s3.put("a/1.jpg", b"image"), objects.ask

    def refuse(url: str, question: Any) -> Any:
        if url.endswith("/a"):
            raise RemoteFileError(errno.EACCES, "the server refuses it", url)
        return original(url, question)

    listed = Listings().find(url)
    monkeypatch.setattr(objects, "ask", refuse)
    assert Listings().find(url) == listed
    assert listed is not None
    assert listed.size == len(b"image")
    assert Listings().find(f"{s3.url}/a/2.jpg") is None
    assert objects.is_folder(f"{s3.url}/a")


def test_what_was_read_before_a_server_went_away_is_remembered(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "_BLOCK", 10)
    for i in range(25):
        s3.put(f"{i}.jpg", b"%d" % i)
    paths = [f"{s3.url}/{i}.jpg" for i in range(25)]
    cache = tmp_path / "cache"
    EmbeddingCache(cache).make({"dimension": 2})
    original = files.read_whole

    def away(url: str, *rest: object) -> bytes:
        if url.endswith("/24.jpg"):
            raise NoAnswerError("away")
        return original(url, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(files, "read_whole", away)
        with pytest.raises(NoAnswerError, match="away"):
            list(hashes.hash_posters(cache, paths, workers=2))
    asked = list[str]()
    monkeypatch.setattr(files, "read_whole", lambda url, *a: asked.append(url) or original(url, *a))
    expected = [poster_key(b"%d" % i) for i in range(25)]
    assert list(hashes.hash_posters(cache, paths, 2)) == expected
    assert sorted(asked) == sorted(paths[20:])  # of the block that was not whole


def packed(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


def test_members_of_a_tar_file_are_read_where_they_lie(
    s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {f"{i:03}.jpg": bytes([i]) * (i * 97) for i in range(1, 200)}
    url = s3.put("shards/a.tar", packed(members))
    ranges, original = list[int](), objects.read_range
    noted = lambda url, start, size: ranges.append(size) or original(url, start, size)  # noqa: E731
    monkeypatch.setattr(objects, "read_range", noted)
    monkeypatch.setattr(tar_members, "read_range", noted)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read_poster, [f"{url}#{name}" for name in members]))
    assert found == list(members.values())
    assert sorted(ranges) == sorted([objects.AHEAD, *map(len, members.values())])
    assert reason(f"{url}#no.jpg") == "its tar file has no member of this name"
    s3.put("shards/a.tar", packed({"001.jpg": b"another"}))
    tar_members._remote_stamp.cache_clear()
    assert read_poster(f"{url}#001.jpg") == b"another"


def test_rows_of_a_parquet_file_are_read(s3: Bucket, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    images = [b"%d" % i * 100 for i in range(20)]
    table = pa.table({"id": list(map(str, range(20))), "genres": ["a"] * 20, "image": images})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    url = s3.put("a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert [read_poster(f"{url}#image#{i}") for i in range(20)] == images


def test_the_images_of_a_parquet_catalogue_are_its_posters(s3: Bucket, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    images = [{"bytes": b"%d" % i * 100, "path": None} for i in range(20)]
    table = pa.table({"id": list(map(str, range(20))), "genres": ["a"] * 20, "image": images})
    pq.write_table(table, tmp_path / "a.parquet")
    films = load_catalogue(s3.put("a.parquet", (tmp_path / "a.parquet").read_bytes()))
    assert [read_poster(path) for path in films.poster_paths] == [one["bytes"] for one in images]


def test_cells_are_relative_to_a_folder_at_a_url_or_urls_in_it(s3: Bucket, tmp_path: Path) -> None:
    folder = Path(f"{s3.url}/posters")
    s3.put("posters/a/1.jpg", b"image")
    cells = ["a/1.jpg", f"{s3.url}/posters/a/1.jpg", f"{s3.url}/other/1.jpg", "../1.jpg", ""]
    lines = [f"{i},x,{cell}\n" for i, cell in enumerate(cells)]
    (tmp_path / "films.csv").write_text("id,genres,poster\n" + "".join(lines))
    films = load_catalogue(tmp_path / "films.csv", ColumnOptions(posters=folder))
    assert [read_poster(path) for path in films.poster_paths[:2]] == [b"image"] * 2
    assert films.poster_problems == {
        2: "the poster is a URL; a path relative to the folder of the posters is expected",
        3: "the path leaves the folder of the posters",
        4: "no poster named",
    }


@pytest.mark.parametrize(
    "cell", ["s3:/b/1.jpg", "./s3:/b/1.jpg", ".//./http:/h/a.tar#1", "s3://b/1.jpg"]
)
def test_no_cell_of_a_catalogue_here_is_a_request(cell: str) -> None:
    assert poster_problem(cell, Path()).startswith("the poster is a URL")
    assert not lies_in(Path() / cell, Path())


def test_a_path_joined_to_a_folder_at_a_url_is_one() -> None:
    assert join_folder(Path("s3://b/films"), "a/1.jpg") == "s3:/b/films/a/1.jpg"
    assert join_folder(Path("/here"), "s3:/b/1.jpg") == "s3:/b/1.jpg"
