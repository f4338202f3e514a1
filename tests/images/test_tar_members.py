"""Images within tar files: what is read is what Python's `tarfile` reads, or there is a reason."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.cache import EmbeddingCache
from hybrid.catalogue import load_catalogue
from hybrid.images import hashes as memo_module
from hybrid.images import tar_index, tar_members
from hybrid.images.decode import BadPoster
from hybrid.images.files import is_there, read_poster
from hybrid.images.hashes import hash_posters
from hybrid.images.tar_index import BLOCK, index_tar
from tests.open_files import counts_open_files, open_files

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def info(
    name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = size, kind, link
    return member


def pack(path: Path, members: dict[str, bytes], kind: str = "pax") -> Path:
    with tarfile.open(path, "w", format=FORMATS[kind]) as tar:
        for name, data in members.items():
            tar.addfile(info(name, len(data)), io.BytesIO(data))
    return path


def reason(path: Path, member: str) -> str:
    found = read_poster(f"{path}#{member}")
    assert isinstance(found, BadPoster), found
    return found.reason


@pytest.mark.parametrize("kind", FORMATS)
def test_members_are_read_as_they_were_packed(kind: str, tmp_path: Path) -> None:
    names = ["000007.jpg", "a/b/1.jpg", "d" * 90 + "/" + "n" * 90 + ".jpg", "a#1#2"]
    names += [] if kind == "ustar" else ["n" * 300 + ".jpg", "Amélie – 映画.jpg"]
    members = {name: name.encode() * (7 * i + 1) for i, name in enumerate(names)}
    path = pack(tmp_path / "shard.tar", members, kind)
    assert {name: read_poster(f"{path}#{name}") for name in names} == members
    assert all(is_there(f"{path}#{name}") for name in names)
    assert reason(path, "000008.jpg") == "its tar file has no member of this name"
    assert not is_there(f"{path}#000008.jpg")


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs the command tar")
@pytest.mark.parametrize("kind", ["v7", "ustar", "gnu", "posix", "oldgnu"])
def test_what_the_command_tar_writes(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "posters"
    (folder / "sub").mkdir(parents=True)
    files = {"1.jpg": b"one", "sub/2.jpg": b"two" * 1000, "3.jpg": b""}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "link.jpg").symlink_to("1.jpg")
    with (folder / "holes.jpg").open("wb") as file:
        for i in range(30):  # so many that its map goes on in further blocks
            file.seek(100_000 * i)
            file.write(b"x" * 5000)
    names = [f"./{name}" for name in ("holes.jpg", "1.jpg", "sub", "3.jpg", "link.jpg")]
    command = [
        "tar",
        f"--format={kind}",
        *(["--sparse"] if kind not in ("v7", "ustar") else []),
        "-cf",
    ]
    subprocess.run([*command, str(tmp_path / "a.tar"), *names], cwd=folder, check=True)
    path = tmp_path / "a.tar"
    assert read_poster(f"{path}#1.jpg") == read_poster(f"{path}#./1.jpg") == b"one"
    assert read_poster(f"{path}#sub/2.jpg") == b"two" * 1000
    assert reason(path, "3.jpg") == "the file is empty"
    assert "is a link" in reason(path, "link.jpg")
    if kind not in ("v7", "ustar"):
        assert "sparse" in reason(path, "holes.jpg")
    assert reason(path, "sub") == "is a folder, not a file"


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=150),
        st.integers(0, 2000),
        max_size=8,
    ),
    st.sampled_from(["gnu", "pax"]),
)
@settings(max_examples=60, deadline=None)
def test_places_are_those_of_tarfile(sizes: dict[str, int], kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = pack(Path(folder) / "a.tar", {name: bytes(n) for name, n in sizes.items()}, kind)
        with tarfile.open(path) as tar:
            expected = {each.name: (each.offset_data, each.size) for each in tar.getmembers()}
        with path.open("rb") as file:
            index = index_tar(partial(os.pread, file.fileno()), path.stat().st_size)
        assert {name: index.find(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("kind", "link", "expected"),
    [
        (tarfile.SYMTYPE, "/etc/hostname", "is a link"),
        (tarfile.LNKTYPE, "1.jpg", "is a link"),
        (tarfile.DIRTYPE, "", "is a folder"),
        (tarfile.FIFOTYPE, "", "is not a regular file"),
        (tarfile.CHRTYPE, "", "is not a regular file"),
        (tarfile.BLKTYPE, "", "is not a regular file"),
    ],
)
def test_only_regular_files_are_read(kind: bytes, link: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(info("1.jpg", 3), io.BytesIO(b"one"))
        tar.addfile(info("odd.jpg", kind=kind, link=link))
        tar.addfile(info("2.jpg", 3), io.BytesIO(b"two"))
    assert expected in reason(path, "odd.jpg")
    assert not is_there(f"{path}#odd.jpg")
    assert [read_poster(f"{path}#{i}.jpg") for i in (1, 2)] == [b"one", b"two"]


def test_a_name_that_comes_twice_is_told(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {"1.jpg": b"one", "2.jpg": b"two"})
    with tarfile.open(path, "a") as tar:
        tar.addfile(info("./1.jpg", 5), io.BytesIO(b"later"))
    assert "more than once" in reason(path, "1.jpg")
    assert read_poster(f"{path}#2.jpg") == b"two"


def test_a_file_that_is_cut_short_gives_what_lies_before_the_cut(tmp_path: Path) -> None:
    members = {f"{i}.jpg": bytes([i]) * (300 * i + 1) for i in range(1, 6)}
    whole = pack(tmp_path / "whole.tar", members, "ustar").read_bytes()
    with tarfile.open(tmp_path / "whole.tar") as tar:
        ends = {each.name: each.offset_data + each.size for each in tar.getmembers()}
    for cut in range(0, max(ends.values()) + BLOCK, 100):
        path = tmp_path / f"{cut}.tar"
        path.write_bytes(whole[:cut])
        for name, end in ends.items():
            if end <= cut:
                assert read_poster(f"{path}#{name}") == members[name]
            else:
                found = reason(path, name)
                # At the end of a member nothing tells that more were to come.
                assert "cut short" in found or "no member" in found, (cut, name, found)


@pytest.mark.parametrize("at", [0, 3])
def test_damage_costs_what_lies_behind_it(at: int, tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {f"{i}.jpg": b"%d" % i for i in range(5)}, "ustar")
    data = bytearray(path.read_bytes())
    data[at * 2 * BLOCK + 1] ^= 1  # in a name: the checksum of the header tells
    path.write_bytes(data)
    for i in range(5):
        if i < at:
            assert read_poster(f"{path}#{i}.jpg") == b"%d" % i
        else:
            assert reason(path, f"{i}.jpg") == (
                f"its tar file is damaged at byte {at * 2 * BLOCK:,}"
                if at
                else "its tar file is no tar file"
            )


def header(name: str, kind: bytes = b"0", size: bytes = b"0") -> bytes:
    """A header with any size field, and the checksum of it."""
    data = bytearray(info(name).tobuf(tarfile.USTAR_FORMAT))
    data[124:136], data[156:157] = size.ljust(12, b"\0"), kind
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


def record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n".encode()
    size = len(body) + 1
    while len(f"{size}") + len(body) != size:
        size = len(f"{size}") + len(body)
    return f"{size}".encode() + body


def extended(data: bytes, kind: bytes = b"x") -> bytes:
    return header("pax", kind, b"%o" % len(data)) + data + bytes(-len(data) % BLOCK)


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        (header("odd.jpg", size=b"\x80" + b"\xff" * 11), "cut short"),
        (header("odd.jpg", size=b"\xff" * 12), "damaged at byte 1,024 (the size"),
        (header("odd.jpg", size=b"77777777777"), "cut short"),
        (header("odd.jpg", size=b"9"), "damaged at byte 1,024 (the size"),
        (extended(record("size", "9" * 19)) + header("odd.jpg"), "cut short"),
        (extended(record("size", "9" * 4000)) + header("odd.jpg"), "damaged"),
        (extended(record("size", "-1")) + header("odd.jpg"), "damaged"),
        (extended(b"999 path=x\n") + header("odd.jpg"), "damaged"),
        (extended(b"0 path=x\n") + header("odd.jpg"), "damaged"),
        (extended(b"path") + header("odd.jpg"), "damaged"),
        (header("pax", b"x", b"77777777777"), "damaged"),
        (extended(record("path", "n" * 2**20)) + header("odd.jpg"), "damaged"),
        (extended(record("path", "1.jpg"), b"g") + header("odd.jpg"), "one name or size"),
        (header("odd.jpg", b"S")[:482] + b"\1" + bytes(29), "damaged"),
        (extended(record("GNU.sparse.major", "1")) + header("odd.jpg"), "sparse"),
    ],
    ids=range(15),
)
def test_hostile_headers(odd: bytes, expected: str, tmp_path: Path) -> None:
    first = header("1.jpg", size=b"3") + b"one" + bytes(BLOCK - 3)
    path = tmp_path / "a.tar"
    path.write_bytes(first + odd + header("2.jpg", size=b"3") + b"two" + bytes(3 * BLOCK - 3))
    assert read_poster(f"{path}#1.jpg") == b"one"
    assert expected in reason(path, "odd.jpg")
    assert isinstance(read_poster(f"{path}#2.jpg"), bytes) == (expected == "sparse")


def test_a_comment_for_all_members_is_none_of_their_names(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"  # as git archive writes it
    data = extended(record("comment", "a commit"), b"g") + header("1.jpg", size=b"3") + b"one"
    path.write_bytes(data)
    assert read_poster(f"{path}#1.jpg") == b"one"


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_index, "MEMBERS", 2)
    path = pack(tmp_path / "a.tar", {f"{i}.jpg": b"x" for i in range(4)})
    assert "more than 2 members" in reason(path, "3.jpg")


def test_tar_files_that_were_joined_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (pack(tmp_path / name, {f"{name}.jpg": b"x"}) for name in ("1.tar", "2.tar"))
    both = tmp_path / "both.tar"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    monkeypatch.setattr(tar_index, "BEHIND", 9_000)
    assert "several in one" in reason(both, "2.tar.jpg")


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz"])
def test_compressed_files_are_refused(mode: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.tar.{mode}"
    with tarfile.open(path, f"w:{mode}") as tar:  # type: ignore[call-overload]
        tar.addfile(info("1.jpg", 3), io.BytesIO(b"one"))
    path.write_bytes(path.read_bytes() + bytes(BLOCK))
    assert "is compressed" in reason(path, "1.jpg")
    plain = tmp_path / "a.tar"  # whatever its name says
    shutil.copy(path, plain)
    assert "unpack it to a plain .tar" in reason(plain, "1.jpg")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: None, "tar file not found"),
        (lambda path: path.write_bytes(b""), "its tar file has no member of this name"),
        (lambda path: path.write_bytes(b"no tar"), "its tar file is cut short"),
        (lambda path: path.write_bytes(b"no tar" * 1000), "its tar file is no tar file"),
        (lambda path: path.write_bytes(gzip.compress(b"x")), "its tar file is"),
        (lambda path: path.mkdir(), "its tar file is not read: it is a folder, not a regular file"),
        (lambda path: os.mkfifo(path), "its tar file is not read: it is a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "its tar file is not read: it is a device"),
        (lambda path: path.symlink_to("nowhere"), "tar file not found"),
        (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
    ],
    ids=[
        "missing",
        "empty",
        "short",
        "none",
        "gzip",
        "folder",
        "FIFO",
        "device",
        "dangling",
        "loop",
    ],
)
def test_what_is_no_tar_file(make: object, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    make(path)  # type: ignore[operator]
    assert expected in reason(path, "1.jpg")
    assert not is_there(f"{path}#1.jpg")


def test_a_member_is_no_larger_than_an_image_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        file.write(header("1.jpg", size=b"%o" % (300 * 2**20)))
        file.truncate(301 * 2**20)
    assert reason(path, "1.jpg") == "the file is larger than 256 MiB"


def test_a_replaced_file_is_read_anew(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {"1.jpg": b"one", "2.jpg": b"two"})
    status = path.stat()
    assert read_poster(f"{path}#1.jpg") == b"one"
    pack(path, {"2.jpg": b"two", "1.jpg": b"new"})  # in place, of the same size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read_poster(f"{path}#1.jpg") == b"new"
    other = pack(tmp_path / "b.tar", {"1.jpg": b"another"})
    other.replace(path)
    assert read_poster(f"{path}#1.jpg") == b"another"
    path.unlink()
    assert reason(path, "1.jpg") == "tar file not found"


def test_headers_are_read_once_by_all_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def noted(read: tar_index.Read, size: int) -> tar_index.TarIndex:
        made.append(read)
        return index_tar(read, size)

    monkeypatch.setattr(tar_members, "index_tar", noted)
    paths = [pack(tmp_path / f"{i}.tar", {f"{j}.jpg": b"%d" % j for j in range(50)}) for i in "ab"]
    wanted = [f"{path}#{j}.jpg" for j in range(50) for path in paths] * 3
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read_poster, wanted))
    assert found == [b"%d" % j for j in range(50) for _ in paths] * 3
    assert len(made) == 2


def test_places_of_few_members_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_members, "HELD", 5)
    monkeypatch.setattr(tar_members, "_INDICES", tar_members._Indices())
    for i in range(4):
        path = pack(tmp_path / f"{i}.tar", {f"{j}.jpg": b"x" for j in range(3)})
        assert read_poster(f"{path}#1.jpg") == b"x"
        assert sum(map(len, tar_members._INDICES._known.values())) <= 5
    assert read_poster(f"{tmp_path / '0.tar'}#1.jpg") == b"x"


@counts_open_files
def test_few_files_are_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(2 * tar_members.OPEN):
        path = pack(tmp_path / f"{i}.tar", {"1.jpg": b"x"})
        assert read_poster(f"{path}#1.jpg") == b"x"
    assert 0 < len(open_files(tmp_path)) <= tar_members.OPEN


def test_keys_are_remembered_until_the_tar_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = memo_module.time.time_ns
    monkeypatch.setattr(memo_module.time, "time_ns", lambda: now() + 60 * 10**9)
    EmbeddingCache(tmp_path / "cache").make({"dimension": 1})
    members = {"a/../1.jpg": b"one", "b/../1.jpg": b"two", "2.jpg": b"three", "3.jpg": b""}
    path = pack(tmp_path / "a.tar", members)
    wanted = [f"{path}#{name}" for name in [*members, "none.jpg"]]
    read: list[str] = []

    def noted(poster: str) -> bytes | BadPoster:
        read.append(poster)
        found = read_poster(poster)
        return found if isinstance(found, BadPoster) else hashlib.sha256(found).digest()

    monkeypatch.setattr(memo_module, "hash_poster", noted)
    expected = [hashlib.sha256(data).digest() for data in members.values() if data]
    expected += [
        BadPoster("the file is empty"),
        BadPoster("its tar file has no member of this name"),
    ]
    for _ in range(2):
        assert list(hash_posters(tmp_path / "cache", wanted, workers=2)) == expected
    assert read == wanted + wanted[3:]  # what is bad is looked at again
    status = path.stat()
    pack(path, members | {"2.jpg": b"THREE"})
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    expected[2] = hashlib.sha256(b"THREE").digest()
    assert list(hash_posters(tmp_path / "cache", wanted, workers=2)) == expected


def test_cells_of_a_catalogue(tmp_path: Path) -> None:
    shards, posters = tmp_path / "data" / "shards", tmp_path / "posters"
    shards.mkdir(parents=True)
    posters.mkdir()
    pack(shards / "a.tar", {"1.jpg": b"one"})
    pack(tmp_path / "out.tar", {"1.jpg": b"out"})
    pack(posters / "p.tar", {"1.jpg": b"p"})
    (shards / "link.tar").symlink_to(tmp_path / "out.tar")
    (shards / "b.tar#1.jpg").symlink_to(tmp_path / "out.tar")  # no b.tar: the name of a file
    cells = {
        "shards/a.tar#1.jpg": b"one",
        "shards/a.tar#2.jpg": "its tar file has no member of this name",
        "shards/c.tar#1.jpg": "tar file not found",
        "shards/link.tar#1.jpg": "a link out of the folder",
        "shards/b.tar#1.jpg": "a link out of the folder",
        "../out.tar#1.jpg": "the path leaves the catalogue's folder",
        f"{tmp_path}/out.tar#1.jpg": "the path is absolute",
        "shards/a.tar#a/../../1.jpg": "the path leaves the catalogue's folder",
    }
    path = tmp_path / "data" / "films.csv"
    rows = "".join(f"{i},{cell},Drama\n" for i, cell in enumerate(cells))
    path.write_text(f"id,poster,genres\n{rows}")
    films = load_catalogue(path)
    for i, (cell, expected) in enumerate(cells.items()):
        found = films.poster_problems.get(i) or read_poster(films.poster_paths[i])
        found = found.reason if isinstance(found, BadPoster) else found
        if isinstance(expected, bytes):
            assert found == expected, cell
        else:
            assert isinstance(found, str)
            assert found.startswith(expected), cell
    from hybrid.types import ColumnOptions

    path.write_text("id,poster,genres\n1,p.tar#1.jpg,Drama\n2,,Drama\n")
    named = load_catalogue(path, ColumnOptions(posters=posters))
    assert read_poster(named.poster_paths[0]) == b"p"
