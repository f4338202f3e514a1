"""Files that take long to read are refused before their pixels are touched; sound ones are read."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hybrid.images import decode
from hybrid.images.decode import BadPoster, decode_poster
from hybrid.images.examine import examine_image
from hybrid.images.memory import TooLarge
from hybrid.images.work import BYTES_A_CHUNK, CHUNKS, check_pieces

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def encode(form: str, **options: object) -> bytes:
    file = io.BytesIO()
    NOISE.save(file, form, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def exif(entries: int) -> bytes:
    each = b"".join(struct.pack("<HHII", 0x9000 + i, 3, 1, 1) for i in range(entries))
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", entries) + each + bytes(4)


def tiff(rows: int, big: bool = False) -> bytes:
    """A grey TIFF of 16 pixels across, of which each row is a strip of its own; all are the same bytes."""
    start, kinds = (16, "<HHQQ") if big else (8, "<HHII")
    lists = start + 200
    fields = [(256, 4, 1, 16), (257, 4, 1, rows), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    fields += [
        (273, 4, rows, lists),
        (277, 3, 1, 1),
        (278, 4, 1, 1),
        (279, 4, rows, lists + 4 * rows),
    ]
    packed = b"".join(struct.pack(kinds, *field) for field in fields)
    head = b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) if big else b"II*\0" + struct.pack("<I", 8)
    body = head + struct.pack("<Q" if big else "<H", len(fields)) + packed
    offsets = struct.pack("<I", lists) * rows + struct.pack("<I", 16) * rows
    return body.ljust(lists, b"\0") + offsets


def runs(width: int, data: bytes) -> bytes:
    """A BMP in run lengths, 16 pixels high."""
    head = struct.pack("<IiiHHIIiiII", 40, width, 16, 1, 8, 1, len(data), 0, 0, 256, 0)
    start = 14 + len(head) + 1024
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + bytes(1024) + data


PNG, JPEG, GIF = encode("PNG"), encode("JPEG"), encode("GIF")
PALETTE = 13 + 3 * 2 ** ((GIF[10] & 7) + 1)
BOMBS = {
    "empty chunks of a PNG": lambda: PNG[:33] + chunk(b"abCd", b"") * 30_000 + PNG[33:],
    "empty pixels of a PNG": lambda: PNG[:33] + chunk(b"IDAT", b"") * 30_000 + PNG[33:],
    "chunks of a PNG after its pixels": lambda: (
        PNG[:-12] + chunk(b"IDAT", b"") * 30_000 + PNG[-12:]
    ),
    "chunks of a WebP": lambda: riff(encode("WEBP")[12:] + (b"abCd" + bytes(4)) * 30_000),
    "texts of a PNG": lambda: (
        PNG[:33] + chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**19))) * 60 + PNG[33:]
    ),
    "segments of a JPEG": lambda: JPEG[:20] + segment(0xEF, b"") * 30_000 + JPEG[20:],
    "EXIF in many segments": lambda: (
        JPEG[:20] + segment(0xE1, b"Exif\0\0" + bytes(999)) * 99 + JPEG[20:]
    ),
    "EXIF of many entries": lambda: JPEG[:2] + segment(0xE1, exif(4000)) + JPEG[20:],
    "resources of Photoshop": lambda: (
        JPEG[:20] + segment(0xED, b"Photoshop 3.0\0" + (b"8BIM" + bytes(8)) * 5000) * 5 + JPEG[20:]
    ),
    "blocks of a GIF": lambda: (
        GIF[:PALETTE] + b"\x21\x01" + b"\x01\0" * 60_000 + b"\0" + GIF[PALETTE:]
    ),
    "strips of a TIFF": lambda: tiff(30_000),
    "strips of a BigTIFF": lambda: tiff(30_000, big=True),
    "comments of a PPM": lambda: b"P3\n16 16\n255\n" + b"#\n" * 2_000 + b"1 " * 16 * 16 * 3,
    "a comment before the size": lambda: b"P6\n#" + b"a" * 50_000 + b"\n16 16\n255\n" + bytes(768),
    "rows that a BMP skips": lambda: runs(900_000, b"\0\x02\0\xff" * 2 + b"\0\1"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_takes_long_is_refused(bomb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.core, "zip_decoder", lambda *_: pytest.fail("pixels were touched"))
    monkeypatch.setattr(decode, "_decode", lambda *_: pytest.fail("pixels were touched"))
    data = BOMBS[bomb]()
    for found in (decode_poster(data, (16, 16)), examine_image(data)):
        assert isinstance(found, BadPoster)
        assert "(a decompression bomb?)" in found.reason


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_chunks_beyond_the_limit_are_not_looked_at(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PNG of 200,000 empty chunks took 40 ms to be refused, the chunks of a WebP 100 ms to be walked."""
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was opened"))
    whole = encode(form)
    if form == "PNG":
        data = whole[:33] + chunk(b"abCd", b"") * 200_000 + whole[33:]
    else:
        data = riff(whole[12:] + (b"abCd" + bytes(4)) * 200_000)
    looked: list[int] = []

    class Watched(bytes):
        def __getitem__(self, where: Any) -> Any:
            looked.append(1)
            return bytes.__getitem__(self, where)

    with pytest.raises(TooLarge, match=r"it is in more than [\d,]+ pieces"):
        check_pieces(Watched(data))
    assert len(looked) <= 2 * (CHUNKS + len(data) / BYTES_A_CHUNK) + 20
    assert decode_poster(data, (16, 16)) == examine_image(data)


@pytest.mark.parametrize("size", [512, 2048, 8192])
def test_chunks_as_encoders_write_them_are_within_the_limit(size: int) -> None:
    """512 bytes only of small files."""
    total = 2**20 if size == 512 else 2**25
    check_pieces(PNG[:33] + chunk(b"IDAT", bytes(size)) * (total // size) + PNG[33:])


def test_text_is_only_read_of_small_pictures() -> None:
    found = decode_poster(b"P3\n1000 1000\n255\n" + b"255 " * 3_000_000, (16, 16))
    assert found == BadPoster("its pixels are written as text, of more than 4 MiB")
    small = decode_poster(b"P3\n# red\n16 16\n255\n" + b"255 0 0 " * 256, (16, 16))
    assert not isinstance(small, BadPoster)
    assert small[3, 3].tolist() == [255, 0, 0]


def test_sound_files_of_many_pieces_are_read() -> None:
    """Half a million pixels in pieces of 512 bytes; ten thousand strips; a comment for each run of a BMP."""
    large = np.random.default_rng(0).integers(0, 256, (600, 400, 3), dtype=np.uint8)
    raw = zlib.compress(b"".join(b"\0" + row.tobytes() for row in large), 1)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 400, 600, 8, 2, 0, 0, 0))
    pieces = b"".join(chunk(b"IDAT", raw[i : i + 512]) for i in range(0, len(raw), 512))
    exact = decode_poster(PNG[:8] + head + pieces + chunk(b"IEND", b""), (600, 400))
    np.testing.assert_array_equal(exact, large)
    for data in (
        tiff(10_000),
        tiff(10_000, big=True),
        runs(400, (b"\1\7" * 400 + b"\0\0") * 16 + b"\0\1"),
    ):
        assert not isinstance(decode_poster(data, (16, 16)), BadPoster)


def test_exif_of_many_entries_costs_the_orientation() -> None:
    data = PNG[:33] + chunk(b"eXIf", exif(4000)[6:]) + PNG[33:]
    np.testing.assert_array_equal(decode_poster(data, (64, 64)), np.asarray(NOISE))


@pytest.mark.parametrize(
    "form", ["ICO", "ICNS", "JPEG2000", "TGA", "SGI", "PCX", "DDS", "PDF", "EPS"]
)
def test_other_formats_are_not_even_opened(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would read them; for EPS it would start Ghostscript."""
    file = io.BytesIO()
    NOISE.save(file, form)
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    found = decode_poster(file.getvalue(), (16, 16))
    assert found == BadPoster("is not an image in a known format")
