"""Formats beyond those of old: AVIF, HEIC, images in Parquet files; broken EXIF."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hybrid.images.decode import BadPoster, decode_poster
from hybrid.images.examine import examine_image
from hybrid.images.files import hash_poster, poster_key, read_poster
from hybrid.images.hashes import hash_posters

COARSE = np.random.default_rng(0).integers(0, 256, (3, 2, 3), dtype=np.uint8)
PICTURE = Image.fromarray(COARSE.repeat(16, axis=0).repeat(16, axis=1))


def encode(kind: str, image: Image.Image = PICTURE, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(data: bytes) -> np.ndarray:
    found = decode_poster(data, (3, 2))
    assert not isinstance(found, BadPoster), found
    return found.astype(int)


def test_avif_is_decoded() -> None:
    data = encode("AVIF", quality=95)
    assert np.abs(pixels(data) - pixels(encode("PNG"))).max() < 30
    assert examine_image(data).ending == "avif"


def test_heic_is_decoded() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(PICTURE).save(file, quality=95)
    assert np.abs(pixels(file.getvalue()) - pixels(encode("PNG"))).max() < 30
    assert examine_image(file.getvalue()).ending == "heic"


def test_what_decodes_heic_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    found = decode_poster(data, (3, 2))
    assert isinstance(found, BadPoster)
    assert "pip install 'hybrid-posters[heic]'" in found.reason


def test_avif_without_its_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode("AVIF")
    monkeypatch.delitem(Image.OPEN, "AVIF")
    assert "pip install 'pillow>=11.3'" in decode_poster(data, (3, 2)).reason


def with_exif(kind: str, exif: bytes) -> bytes:
    return encode(kind, exif=exif, **({"quality": 95} if kind != "PNG" else {}))


WHOLE = Image.Exif()
WHOLE[0x0112] = 6
WHOLE[0x010E] = "a description"
BYTES = WHOLE.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II",
        b"Exif\0\0XX*\0\x08\0\0\0",
        b"Exif\0\0" + b"\xff" * 60,
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        BYTES[:20],
        BYTES[:27],
        BYTES.replace(b"\x12\x01\x03\0\x01\0\0\0", b"\x12\x01\x02\0\xff\xff\xff\xff"),
        BYTES.replace(b"\x12\x01\x03\0\x01\0\0\0", b"\x12\x01\x05\0\x09\0\0\0"),
        BYTES.replace(b"\x12\x01\x03\0", b"\x12\x01\x63\0"),
    ],
)
def test_broken_exif_costs_the_orientation_at_most(kind: str, exif: bytes) -> None:
    found = decode_poster(with_exif(kind, exif), (3, 2))
    assert isinstance(found, np.ndarray), found


@pytest.mark.parametrize("seed", range(30))
def test_exif_of_random_bytes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    exif = bytearray(BYTES)
    for place in rng.integers(6, len(exif), 4):
        exif[place] = rng.integers(256)
    assert isinstance(decode_poster(with_exif("JPEG", bytes(exif)), (3, 2)), np.ndarray)


def test_pixels_that_are_cut_off_are_still_an_error() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode("JPEG", Image.fromarray(np.asarray(PICTURE).repeat(9, axis=0)), exif=exif)
    assert isinstance(decode_poster(data[: len(data) // 2], (3, 2)), BadPoster)


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, list[bytes]]:
    """A Parquet file of five images in groups of two rows; the fourth is missing."""
    pytest.importorskip("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as parquet

    images = [encode("PNG", PICTURE.rotate(angle)) for angle in range(0, 50, 10)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells: list[Any] = [{"bytes": data, "path": None} for data in images]
    cells[3] = None
    path = tmp_path / "films.parquet"
    table = pa.table({"image": pa.array(cells, kind), "raw": images})
    parquet.write_table(table, path, row_group_size=2)
    return path, images


def test_images_of_a_parquet_file_are_read_in_any_order(packed: tuple[Path, list[bytes]]) -> None:
    path, images = packed
    for row in (4, 0, 2, 1, 0):
        assert read_poster(f"{path}#image#{row}") == images[row]
        assert read_poster(f"{path}#raw#{row}") == images[row]
    assert read_poster(f"{path}#image#3") == BadPoster("the row holds no image")
    assert "no row 6" in read_poster(f"{path}#image#5").reason
    assert read_poster(f"{path}#none#0") == BadPoster("cannot be read: no column 'none'")
    assert hash_poster(f"{path}#image#1") == poster_key(images[1])


def test_a_reference_to_no_file(tmp_path: Path) -> None:
    assert read_poster(f"{tmp_path}/gone.parquet#image#0") == BadPoster("file not found")
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    assert "cannot be read" in read_poster(f"{tmp_path}/bad.parquet#image#0").reason


def test_a_file_that_is_named_like_a_reference_comes_first(tmp_path: Path) -> None:
    (tmp_path / "a#b#1").write_bytes(b"x")
    assert read_poster(tmp_path / "a#b#1") == b"x"


def test_a_changed_parquet_file_is_read_again(packed: tuple[Path, list[bytes]]) -> None:
    import pyarrow.parquet

    path, images = packed
    assert read_poster(f"{path}#raw#0") == images[0]
    pyarrow.parquet.write_table(pyarrow.table({"raw": [b"other", b"images"]}), path)
    assert read_poster(f"{path}#raw#0") == b"other"


def test_the_memo_remembers_images_of_a_parquet_file(
    packed: tuple[Path, list[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    from hybrid.cache import EmbeddingCache
    from hybrid.images import hashes

    path, images = packed
    os.utime(path, (1e9, 1e9))
    monkeypatch.setattr(hashes, "_SETTLED_NS", -(10**18))  # as if it had been there for a while
    cache = tmp_path / "cache"
    EmbeddingCache(cache).make({"dimension": 2})
    paths = [f"{path}#raw#{row}" for row in range(5)]
    keys = [poster_key(data) for data in images]
    assert list(hash_posters(cache, paths, 1)) == keys
    monkeypatch.setattr(hashes, "hash_poster", lambda path: pytest.fail("it was read again"))
    assert list(hash_posters(cache, paths, 1)) == keys


def test_a_catalogue_of_hugging_face_has_posters(packed: tuple[Path, list[bytes]]) -> None:
    import pyarrow.parquet

    from hybrid.catalogue import load_catalogue
    from hybrid.catalogue.check import check_catalogue

    path, images = packed
    table = pyarrow.parquet.read_table(path).drop_columns(["raw"])
    table = table.append_column("id", [[f"f{i}" for i in range(5)]])
    table = table.append_column("genres", [["Drama"] * 5])
    pyarrow.parquet.write_table(table, path)
    catalogue = load_catalogue(path)
    assert [bad.reason for bad in check_catalogue(catalogue)] == ["no poster named"]
    assert read_poster(catalogue.poster_paths[4]) == images[4]
