"""Posters in every format and variant of a format that is read, for `mutated_images.py`."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

PNG_START = b"\x89PNG\r\n\x1a\n"


def make_seeds(posters: list[bytes]) -> list[tuple[str, bytes]]:
    """The posters in all formats and variants."""
    seeds = []
    for data in posters:
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        seeds += [("as it is", data), *variants(picture.resize((96, 128)))]
    return seeds


def variants(picture: Image.Image) -> Iterator[tuple[str, bytes]]:
    """A picture in each format and variant, with its name."""
    small = picture.resize((48, 64))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    exif.get_ifd(0x8769)[0x9286] = "a comment"
    other = picture.transpose(Image.Transpose.ROTATE_180)
    clear = picture.copy()
    clear.putalpha(picture.convert("L"))
    animated = {"save_all": True, "append_images": [other] * 3}
    metadata = {"exif": exif, "icc_profile": bytes(range(256)) * 12}

    def save(image: Image.Image, kind: str, **options: object) -> bytes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    plain = save(picture, "JPEG", quality=85)
    yield "JPEG", plain
    yield "JPEG, progressive", save(picture, "JPEG", progressive=True, optimize=True)
    yield "JPEG, restarts", save(picture, "JPEG", restart_marker_rows=1)
    yield (
        "JPEG, progressive, restarts",
        save(picture, "JPEG", progressive=True, restart_marker_blocks=5),
    )
    yield "JPEG, CMYK", save(picture.convert("CMYK"), "JPEG")
    yield "JPEG, grey", save(picture.convert("L"), "JPEG")
    yield "JPEG, metadata", save(picture, "JPEG", **metadata)
    yield "JPEG, large", save(picture.resize((600, 800)), "JPEG", progressive=True, quality=60)
    at = plain.index(b"\xff\xc0")
    yield "JPEG, 12 bits", plain[: at + 4] + b"\x0c" + plain[at + 5 :]
    for kind in (0xC1, 0xC3, 0xC9, 0xCA):
        yield f"JPEG, frame {kind:X}", plain[: at + 1] + bytes([kind]) + plain[at + 2 :]
    yield "MPO", save(picture, "MPO", **animated)
    yield "PNG", save(small, "PNG")
    yield "PNG, palette", save(picture.quantize(64), "PNG", transparency=3)
    yield (
        "PNG, 16 bits",
        save(Image.fromarray(np.asarray(small.convert("L"), dtype=np.uint16) * 257), "PNG"),
    )
    yield "PNG, alpha", save(clear.resize((48, 64)), "PNG")
    yield "PNG, interlaced", interlaced_png(np.asarray(small.convert("L")))
    yield "PNG, texts", with_texts(save(small, "PNG", **metadata))
    yield "APNG", save(small, "PNG", save_all=True, append_images=[small.rotate(180)] * 3)
    yield "WEBP", save(picture, "WEBP")
    yield "WEBP, lossless", save(small, "WEBP", lossless=True)
    yield "WEBP, alpha", save(clear, "WEBP", **metadata)
    yield (
        "WEBP, animated",
        save(small, "WEBP", **{**animated, "append_images": [small.rotate(180)] * 3}),
    )
    yield "GIF", save(picture, "GIF")
    yield "GIF, animated", save(small, "GIF", save_all=True, append_images=[small.rotate(180)] * 3)
    yield "TIFF", save(small, "TIFF", **metadata)
    for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma", "webp"):
        with contextlib.suppress(Exception):  # what libtiff was built without
            yield f"TIFF, {name}", save(picture, "TIFF", compression=name)
    for name in ("group3", "group4", "tiff_ccitt"):
        yield f"TIFF, {name}", save(picture.convert("1"), "TIFF", compression=name)
    yield (
        "TIFF, 16 bits",
        save(Image.fromarray(np.asarray(small.convert("L"), dtype=np.uint16) * 257), "TIFF"),
    )
    yield (
        "TIFF, several",
        save(small, "TIFF", compression="tiff_lzw", save_all=True, append_images=[small] * 3),
    )
    for compression in (1, 8):
        yield f"TIFF, tiles {compression}", tiled_tiff(np.asarray(small.convert("L")), compression)
    yield "BMP", save(small, "BMP")
    yield "BMP, palette", save(picture.quantize(16), "BMP")
    yield "BMP, run lengths", run_length_bmp(np.asarray(small.quantize(8)))
    yield "PPM", save(small, "PPM")
    yield (
        "PPM, text",
        f"P3\n# a comment\n{small.width} {small.height}\n255\n".encode()
        + b" ".join(str(value).encode() for value in np.asarray(small).ravel()),
    )
    yield "PBM", save(small.convert("1"), "PPM")
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    for kind in ("AVIF", "HEIF"):
        with contextlib.suppress(Exception):  # what is not installed
            yield kind, save(small, kind, quality=60)
            yield f"{kind}, alpha", save(clear.resize((48, 64)), kind, exif=exif)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def interlaced_png(grey: np.ndarray) -> bytes:
    """A PNG in the seven passes of Adam7."""
    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    raw = b"".join(
        b"\0" + row.tobytes() for y, x, down, across in passes for row in grey[y::down, x::across]
    )
    head = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 8, 0, 0, 0, 1)
    return (
        PNG_START
        + png_chunk(b"IHDR", head)
        + png_chunk(b"IDAT", zlib.compress(raw))
        + png_chunk(b"IEND", b"")
    )


def with_texts(data: bytes) -> bytes:
    """A PNG with text chunks of each kind."""
    words = b"words " * 200
    texts = png_chunk(b"tEXt", b"Comment\0" + words) + png_chunk(
        b"zTXt", b"More\0\0" + zlib.compress(words)
    )
    texts += png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(words))
    return data[:33] + texts + data[33:]


def tiled_tiff(grey: np.ndarray, compression: int, side: int = 32) -> bytes:
    """A TIFF in tiles."""
    tiles = [
        np.pad(tile, [(0, side - tile.shape[0]), (0, side - tile.shape[1])]).tobytes()
        for y in range(0, grey.shape[0], side)
        for tile in (grey[y : y + side, x : x + side] for x in range(0, grey.shape[1], side))
    ]
    tiles = [zlib.compress(tile) for tile in tiles] if compression == 8 else tiles
    starts = 8 + np.cumsum([0, *map(len, tiles)])
    lists = int(starts[-1])
    fields = [
        *(
            (256, 4, 1, grey.shape[1]),
            (257, 4, 1, grey.shape[0]),
            (258, 3, 1, 8),
            (259, 3, 1, compression),
        ),
        *((262, 3, 1, 1), (277, 3, 1, 1), (322, 4, 1, side), (323, 4, 1, side)),
        *((324, 4, len(tiles), lists), (325, 4, len(tiles), lists + 4 * len(tiles))),
    ]
    numbers = [*starts[:-1].tolist(), *map(len, tiles)]
    directory = b"".join(struct.pack("<HHII", *field) for field in fields)
    head = b"II*\0" + struct.pack("<I", lists + 4 * len(numbers))
    body = b"".join(tiles) + struct.pack(f"<{len(numbers)}I", *numbers)
    return head + body + struct.pack("<H", len(fields)) + directory + bytes(4)


def run_length_bmp(indices: np.ndarray) -> bytes:
    """A BMP of 8 bits in run-length encoding."""
    packed = b"".join(
        b"".join(bytes([1, value]) for value in row) + b"\0\0" for row in indices[::-1].tolist()
    )
    colours = b"".join(bytes([i, 255 - i, i // 2, 0]) for i in range(256))
    head = struct.pack(
        "<IiiHHIIiiII",
        40,
        indices.shape[1],
        indices.shape[0],
        1,
        8,
        1,
        len(packed) + 2,
        0,
        0,
        256,
        0,
    )
    start = 14 + len(head) + len(colours)
    size = start + len(packed) + 2
    return b"BM" + struct.pack("<IHHI", size, 0, 0, start) + head + colours + packed + b"\0\1"
