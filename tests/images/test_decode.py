"""A poster file → pixels, or the reason why not."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hybrid.images.decode import PAD_COLOUR, BadPoster, Geometry, decode_for, decode_poster
from hybrid.images.files import hash_poster, poster_key, read_poster

BILINEAR = Image.Resampling.BILINEAR
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, form, **options)
    return data.getvalue()


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def plain(colour: object, mode: str = "RGB", size: tuple[int, int] = (40, 60)) -> Image.Image:
    return Image.new(mode, size, colour)


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def pixels_of(data: bytes, size: tuple[int, int] = (24, 16)) -> NDArray[np.uint8]:
    image = decode_poster(data, size)
    assert not isinstance(image, BadPoster), image.reason
    assert image.shape == (*size, 3)
    assert image.dtype == np.uint8
    return image


# Bad posters


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "file not found"),
        (lambda path: path.touch(), "the file is empty"),
        (lambda path: path.mkdir(), "is a folder, not a file"),
        (lambda path: os.mkfifo(path), "is not a regular file"),
        (lambda path: path.symlink_to("nowhere.jpg"), "file not found"),
        (lambda path: path.symlink_to(path.name), "cannot be read: Too many levels of symbolic"),
        (lambda path: path.write_bytes(bytes(101)), "the file is larger than 0 MiB"),
    ],
    ids=["missing", "empty", "folder", "FIFO", "dangling link", "link to itself", "too large"],
)
def test_files_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: object, reason: str
) -> None:
    monkeypatch.setattr("hybrid.images.files.MAX_BYTES", 100)
    path = tmp_path / "poster.jpg"
    make(path)
    found = read_poster(path)
    assert isinstance(found, BadPoster)
    assert found.reason.startswith(reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a\0b.jpg", "embedded null"), ("x" * 300, "File name too long"), ("f/x.jpg", "Not a dir")],
    ids=["NUL", "long", "file as folder"],
)
def test_names_that_cannot_be_read(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "f").write_bytes(b"x")
    found = read_poster(tmp_path / name)
    assert isinstance(found, BadPoster)
    assert found.reason.startswith("cannot be read: ")
    assert reason in found.reason


def test_a_readable_file_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hybrid.images.files.MAX_BYTES", 100)
    path = tmp_path / "Plakát 日本.jpg"
    path.write_bytes(bytes(range(100)))
    assert read_poster(str(path)) == bytes(range(100))


JPEG = encode(noise(64, 96), "JPEG")
PNG = encode(noise(64, 96), "PNG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (JPEG[: len(JPEG) // 2], "cannot be decoded: "),
        (PNG[: len(PNG) // 2], "cannot be decoded: "),
        (JPEG[:10], "cannot be decoded: "),
        (b"", "is not an image in a known format"),
        (b"words, words", "is not an image in a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "is not an image in a known"),
        (b"\n <!DOCTYPE html><html>404</html>", "is a web page (HTML or XML), not an image"),
        (b"<HTML><body>not found", "is a web page (HTML or XML), not an image"),
        (b"<?xml version='1.0'?><Error/>", "is a web page (HTML or XML), not an image"),
        (encode(noise(8, 8), "PNG"), "too small: 8 x 8 pixels, at least 16 a side are needed"),
        (encode(noise(300, 15), "PNG"), "too small: 300 x 15 pixels"),
        (encode(plain(0.5, "F"), "TIFF"), "cannot be decoded: floating-point pixels"),
    ],
    ids=[
        *("half JPEG", "half PNG", "start of a JPEG", "nothing", "words", "PostScript"),
        *("doctype", "HTML", "XML", "8x8", "flat", "floats"),
    ],
)
def test_data_that_is_no_poster(data: bytes, reason: str) -> None:
    found = decode_poster(data, (32, 32))
    assert isinstance(found, BadPoster)
    assert found.reason.startswith(reason)


@pytest.mark.parametrize("action", ["error", "ignore"])
@pytest.mark.parametrize("side", [9_500, 50_000])
def test_a_decompression_bomb_is_not_decoded(side: int, action: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        found = decode_poster(png_that_claims(side, side), (32, 32))
    assert isinstance(found, BadPoster)
    assert "more than 89,478,485 pixels (a decompression bomb?)" in found.reason


def test_a_small_bomb_is_only_a_broken_file() -> None:
    found = decode_poster(png_that_claims(64, 64), (32, 32))
    assert isinstance(found, BadPoster)
    assert found.reason.startswith("cannot be decoded: ")


def test_the_smallest_poster_that_is_large_enough() -> None:
    np.testing.assert_array_equal(pixels_of(encode(plain(RED, size=(16, 16)), "PNG"))[3, 3], RED)


# Good posters


def with_palette(colours: list[int]) -> Image.Image:
    """Left half of the first colour of a palette, right half of the second."""
    image = Image.new("P", (40, 60), 0)
    image.putpalette(colours)
    image.paste(1, (20, 0, 40, 60))
    return image


HALVES = with_palette([*RED, *BLUE])


@pytest.mark.parametrize(
    ("data", "left", "right"),
    [
        (encode(HALVES.convert("RGB"), "PNG"), RED, BLUE),
        (encode(HALVES.convert("RGB"), "BMP"), RED, BLUE),
        (encode(HALVES.convert("RGB"), "TIFF"), RED, BLUE),
        (encode(HALVES.convert("RGB"), "TIFF", compression="tiff_lzw"), RED, BLUE),
        (encode(HALVES.convert("RGB"), "PPM"), RED, BLUE),
        (encode(HALVES.convert("RGB"), "WEBP", lossless=True), RED, BLUE),
        (encode(HALVES, "GIF"), RED, BLUE),
        (encode(HALVES, "PNG"), RED, BLUE),
        (encode(HALVES, "PNG", transparency=1), RED, WHITE),
        (encode(HALVES, "PNG", transparency=bytes([255, 0])), RED, WHITE),
        (encode(HALVES, "PNG", transparency=bytes([51, 255])), (255, 204, 204), BLUE),
        (encode(HALVES, "GIF", transparency=0), WHITE, BLUE),
        (encode(HALVES.convert("RGB"), "PNG", transparency=RED), WHITE, BLUE),
        (encode(HALVES.convert("L").point(lambda v: v and 255), "PNG"), WHITE, WHITE),
        (encode(plain(1, "1"), "PNG"), WHITE, WHITE),
        (encode(plain(77, "L"), "PNG"), (77,) * 3, (77,) * 3),
        (encode(plain((0, 0, 0, 51), "RGBA"), "PNG"), (204,) * 3, (204,) * 3),
        (encode(plain((255, 0, 0, 51), "RGBA"), "TIFF"), (255, 204, 204), (255, 204, 204)),
        (encode(plain((0, 0, 255, 0), "RGBA"), "WEBP", lossless=True), WHITE, WHITE),
        (encode(plain((0, 51), "LA"), "PNG"), (204,) * 3, (204,) * 3),
        (encode(plain((255, 0, 255, 0), "CMYK"), "TIFF"), GREEN, GREEN),
    ],
    ids=[
        *("PNG", "BMP", "TIFF", "TIFF-LZW", "PPM", "WebP", "GIF", "P"),
        *("P-transparent", "P-alpha", "P-half", "GIF-transparent", "RGB-transparent"),
        *("L-white", "1", "L", "RGBA", "RGBA-TIFF", "RGBA-WebP", "LA", "CMYK-TIFF"),
    ],
)
def test_lossless_posters_have_their_colours(
    data: bytes, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    pixels = pixels_of(data)
    np.testing.assert_array_equal(pixels[:, :6], np.broadcast_to(left, (24, 6, 3)))
    np.testing.assert_array_equal(pixels[:, 10:], np.broadcast_to(right, (24, 6, 3)))


@pytest.mark.parametrize(
    ("image", "form", "colour"),
    [
        (plain((200, 30, 90)), "JPEG", (200, 30, 90)),
        (plain(120, "L"), "JPEG", (120, 120, 120)),
        (plain((0, 255, 255, 0), "CMYK"), "JPEG", RED),
        (plain((0, 0, 0, 255), "CMYK"), "JPEG", (0, 0, 0)),
        (plain((200, 30, 90)), "WEBP", (200, 30, 90)),
    ],
    ids=["RGB", "grey", "CMYK red", "CMYK black", "WebP"],
)
def test_lossy_posters_have_about_their_colours(
    image: Image.Image, form: str, colour: tuple[int, ...]
) -> None:
    pixels = pixels_of(encode(image, form, quality=90)).astype(int)
    assert np.abs(pixels - colour).max() <= 6


def test_the_format_is_told_from_the_content(tmp_path: Path) -> None:
    path = tmp_path / "really-png.jpg"
    path.write_bytes(encode(plain(GREEN), "PNG"))
    data = read_poster(path)
    assert isinstance(data, bytes)
    np.testing.assert_array_equal(pixels_of(data)[0, 0], GREEN)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (257, 1), (257 * 100, 100), (25_828, 100), (25_829, 101), (65_535, 255)],
)
def test_sixteen_bit_grey_is_divided_by_257(value: int, expected: int) -> None:
    image = Image.fromarray(np.full((60, 40), value, dtype=np.uint16))
    assert image.mode == "I;16"
    for form in ("PNG", "TIFF"):
        assert set(pixels_of(encode(image, form)).ravel().tolist()) == {expected}


# How the pixels of an upright picture stand in a file of each EXIF orientation.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = np.asarray(noise(40, 60))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    expected = pixels_of(encode(Image.fromarray(upright), "PNG"))
    np.testing.assert_array_equal(pixels_of(encode(stored, "PNG", exif=exif)), expected)


def test_exif_orientation_of_a_jpeg_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    lying = HALVES.convert("RGB").rotate(90, expand=True)
    pixels = pixels_of(encode(lying, "JPEG", exif=exif, quality=95)).astype(int)
    assert np.abs(pixels[:, :6] - RED).max() <= 6
    assert np.abs(pixels[:, 10:] - BLUE).max() <= 6


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    data = encode(plain(RED), form, save_all=True, append_images=[plain(BLUE)], **options)
    with Image.open(io.BytesIO(data)) as animation:
        assert animation.n_frames == 2
    np.testing.assert_array_equal(pixels_of(data)[5, 5], RED)


def test_resizing_is_bilinear_and_squashes() -> None:
    image = noise(50, 70)
    wide = image.resize((33, image.height), BILINEAR)
    expected = np.asarray(wide.resize((33, 17), BILINEAR))
    np.testing.assert_array_equal(pixels_of(encode(image, "PNG"), (17, 33)), expected)


@pytest.mark.parametrize("size", [(64, 64), (40, 100)])
def test_a_large_jpeg_is_close_to_its_full_decode(size: tuple[int, int]) -> None:
    blocks = noise(30, 40).resize((1500, 2000), Image.Resampling.NEAREST)
    data = encode(blocks, "JPEG", quality=90)
    with Image.open(io.BytesIO(data)) as full:
        expected = np.asarray(full.resize(size[::-1], BILINEAR), dtype=int)
    off = np.abs(pixels_of(data, size).astype(int) - expected)
    assert off.mean() < 3
    assert np.quantile(off, 0.99) < 25


@pytest.mark.parametrize("size", [(1, 1), (16, 200), (299, 299)])
def test_the_result_has_the_size_that_was_asked_for(size: tuple[int, int]) -> None:
    pixels_of(JPEG, size)
    pixels_of(PNG, size)


# Keys


def test_keys_are_sha256_in_the_order_of_the_paths(tmp_path: Path) -> None:
    paths = []
    for i in range(20):
        path = tmp_path / f"{i}.jpg"
        path.write_bytes(bytes([i % 7]) * 1000)
        paths.append(str(path))
    paths[3], paths[11] = "", str(tmp_path / "gone.jpg")
    keys = [hash_poster(path) for path in paths]
    assert keys[3] == BadPoster("no poster named")
    assert keys[11] == BadPoster("file not found")
    for i in set(range(20)) - {3, 11}:
        assert keys[i] == hashlib.sha256(bytes([i % 7]) * 1000).digest()
    assert poster_key(b"abc").hex().startswith("ba7816bf8f01cfea")  # from FIPS 180-2


# Hostile data

FUZZ = settings(max_examples=150, deadline=None)


def decodes_or_says_why(data: bytes) -> None:
    found = decode_poster(data, (12, 10))
    if isinstance(found, BadPoster):
        assert found.reason
    else:
        assert found.shape == (12, 10, 3)


@pytest.mark.filterwarnings("ignore")
@given(
    st.binary(max_size=300), st.sampled_from([b"", JPEG[:30], PNG[:40], b"GIF89a", b"RIFF", b"BM"])
)
@FUZZ
def test_random_bytes_raise_nothing(data: bytes, start: bytes) -> None:
    decodes_or_says_why(start + data)


SMALL = noise(20, 24)
BASES = [
    encode(SMALL, "JPEG", exif=Image.Exif()),
    encode(SMALL, "JPEG", progressive=True),
    encode(SMALL, "PNG"),
    encode(SMALL.quantize(9), "PNG", transparency=1),
    encode(SMALL, "WEBP"),
    encode(SMALL.quantize(9), "GIF"),
]


@pytest.mark.filterwarnings("ignore")
@given(
    st.sampled_from(BASES),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    st.floats(0, 1) | st.just(1.0),
    st.booleans(),
)
@FUZZ
def test_damaged_posters_raise_nothing(
    base: bytes, changes: list[tuple[float, int]], cut: float, header_only: bool
) -> None:
    data = bytearray(base)
    for where, value in changes:
        data[int(where * min(len(data), 200 if header_only else len(data)))] = value
    decodes_or_says_why(bytes(data[: int(cut * len(data))]))


# Geometry


def halves(width: int, height: int) -> Image.Image:
    """Left half red, right half blue, with a green band over the top quarter."""
    image = plain(RED, size=(width, height))
    image.paste(BLUE, (width // 2, 0, width, height))
    image.paste(GREEN, (0, 0, width, height // 4))
    return image


def test_pad_shows_the_whole_image_on_the_mean_colour() -> None:
    image = decode_poster(encode(halves(40, 80), "PNG"), (80, 80), "pad")
    assert not isinstance(image, BadPoster)
    np.testing.assert_array_equal(image[:, :19], np.broadcast_to(PAD_COLOUR, (80, 19, 3)))
    np.testing.assert_array_equal(image[:, 61:], np.broadcast_to(PAD_COLOUR, (80, 19, 3)))
    np.testing.assert_array_equal(image[:, 20:60], np.asarray(halves(40, 80)))


def test_crop_takes_the_middle() -> None:
    image = decode_poster(encode(halves(40, 80), "PNG"), (40, 40), "crop")
    assert not isinstance(image, BadPoster)
    np.testing.assert_array_equal(image, np.asarray(halves(40, 80))[20:60])


def test_squash_shows_all_of_it() -> None:
    image = decode_poster(encode(halves(40, 80), "PNG"), (40, 40))
    assert not isinstance(image, BadPoster)
    np.testing.assert_array_equal(image[5, 5], GREEN)
    np.testing.assert_array_equal(image[30, 5], RED)
    np.testing.assert_array_equal(image[30, 35], BLUE)


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
def test_an_image_of_the_inputs_shape_is_left_alone(fit: str) -> None:
    image = decode_poster(encode(noise(30, 45), "PNG"), (45, 30), fit)
    np.testing.assert_array_equal(image, np.asarray(noise(30, 45)))


@pytest.mark.parametrize("shape", [(182, 268), (200, 200), (260, 90), (300, 400)])
@pytest.mark.parametrize("size", [(299, 299), (224, 160), (64, 64)])
def test_pad_and_crop_agree_with_pillows_own(shape: tuple[int, int], size: tuple[int, int]) -> None:
    image = noise(*shape)
    for fit, expected in [
        ("pad", ImageOps.pad(image, size[::-1], BILINEAR, color=PAD_COLOUR)),
        ("crop", ImageOps.fit(image, size[::-1], BILINEAR)),
    ]:
        found = decode_poster(encode(image, "PNG"), size, fit)
        assert not isinstance(found, BadPoster)
        # One level: which pass comes first is Pillow's choice there.
        assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 1


def test_what_is_wrong_with_the_machine_is_not_blamed_on_a_poster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "hybrid.images.resize", None)
    with pytest.raises(ImportError, match=r"hybrid\.images\.resize"):
        decode_poster(encode(noise(30, 45), "PNG"), (20, 20))


SIZES = st.tuples(st.integers(16, 90), st.integers(16, 90))
GEOMETRIES = st.builds(Geometry, SIZES, st.sampled_from(["squash", "pad", "crop"]))


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(20, 900), st.integers(20, 900)),
    geometries=st.lists(GEOMETRIES, min_size=1, max_size=4),
    form=st.sampled_from(["JPEG", "PNG"]),
)
def test_the_pixels_for_one_backbone_do_not_depend_on_the_others(
    size: tuple[int, int], geometries: list[Geometry], form: str
) -> None:
    """Also for a JPEG so large that they want it decoded at different scales."""
    data = encode(halves(*size), form)
    together = decode_for(data, geometries)
    assert not isinstance(together, BadPoster)
    for image, geometry in zip(together, geometries, strict=True):
        np.testing.assert_array_equal(image, decode_poster(data, geometry.size, geometry.fit))


def test_the_first_picture_of_several_is_decoded_as_a_jpeg_of_its_own() -> None:
    """MPO, as cameras write it: the pixels for one backbone do not depend on the others."""
    first, other = noise(1500, 1000), Image.new("RGB", (1000, 1500), RED)
    several = encode(first, "MPO", save_all=True, append_images=[other])
    alone = encode(first, "JPEG")
    assert Image.open(io.BytesIO(several)).format == "MPO"
    geometries = [Geometry((64, 64)), Geometry((299, 299), "pad")]
    for order in (geometries, geometries[::-1]):
        for image, geometry in zip(decode_for(several, order), order, strict=True):
            expected = decode_poster(alone, geometry.size, geometry.fit)
            np.testing.assert_array_equal(image, expected)


def test_an_image_is_decoded_once_for_each_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    import hybrid.images.decode

    decoded: list[object] = []
    whole = hybrid.images.decode._decode
    monkeypatch.setattr(
        hybrid.images.decode, "_decode", lambda d, g: (decoded.append(g), whole(d, g))[1]
    )
    near = [Geometry((299, 299)), Geometry((224, 224)), Geometry((224, 160), "pad")]
    decode_for(encode(noise(182, 268), "JPEG"), near)
    assert len(decoded) == 1
    decode_for(encode(noise(900, 900), "JPEG"), [*near, Geometry((96, 96))])
    assert len(decoded) == 1 + 3  # whole for 299; at half for 224; at a quarter for 96
