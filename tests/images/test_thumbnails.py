"""Thumbnails: small, in the shape of the poster, and nothing in them but pixels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from hybrid.images.decode import BadPoster
from hybrid.images.thumbnails import (
    data_uri,
    encode_jpeg,
    encode_png,
    make_thumbnail,
    make_thumbnails,
)


def test_a_thumbnail_keeps_the_aspect_ratio_and_nothing_but_pixels() -> None:
    source = io.BytesIO()
    image = Image.new("RGB", (400, 600), (200, 30, 30))
    exif = Image.Exif()
    exif[0x010E] = "<script>"
    image.save(source, "JPEG", exif=exif)
    found = make_thumbnail(source.getvalue(), 120)
    assert isinstance(found, bytes)
    assert b"<script>" not in found
    with Image.open(io.BytesIO(found)) as small:
        assert small.format == "JPEG"
        assert small.size == (80, 120)
        assert np.abs(np.asarray(small).astype(int) - (200, 30, 30)).max() < 8


def test_a_thumbnail_of_what_is_no_image() -> None:
    assert make_thumbnail(b"<html></html>", 120) == BadPoster(
        "is a web page (HTML or XML), not an image"
    )


def test_the_first_poster_that_can_be_decoded_is_shown(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("<html>")
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        Image.new("RGB", (40, 60), colour).save(tmp_path / f"{name}.png")
    bad, gone, red, blue = (str(tmp_path / f"{n}.png") for n in ("bad", "gone", "red", "blue"))
    of_red, of_blue = make_thumbnails([[red], [blue]])
    assert of_red.source != of_blue.source
    found = make_thumbnails([[bad, gone, red, blue], [blue, red], [gone, bad], []])
    assert found[:2] == [of_red, of_blue]
    assert [each.reason for each in found[2:]] == ["file not found", "no poster named"]


def test_an_encoded_image_is_read_back() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 16, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(encode_png(pixels))) as found:
        np.testing.assert_array_equal(np.asarray(found), pixels)
    sizes = [len(encode_jpeg(pixels, quality)) for quality in (30, 60, 90)]
    assert sizes == sorted(sizes)
    assert len(encode_jpeg(pixels, full_colour=True)) > len(encode_jpeg(pixels))
    assert encode_jpeg(Image.fromarray(pixels)) == encode_jpeg(pixels)
    assert data_uri(b"abc", "png") == "data:image/png;base64,YWJj"
