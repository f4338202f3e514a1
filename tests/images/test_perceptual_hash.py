"""A perceptual hash is nearly the same when the picture is saved anew; those of other pictures differ."""

from __future__ import annotations

import io
import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from hybrid.cache import EmbeddingCache
from hybrid.images.memo import ENTRY, load_entries, save_entries
from hybrid.images.perceptual_hash import BLANK, perceptual_hash, perceptual_hash_of_pixels
from hybrid.images.perceptual_memo import load_perceptual_hashes, save_perceptual_hashes

LIMIT = 18  # bits, as `hybrid.duplicates.groups` takes it


def encoded(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **{"format": "JPEG", "quality": 90, **options})
    return buffer.getvalue()


def differ(a: bytes, b: bytes) -> int:
    one, two = perceptual_hash(a), perceptual_hash(b)
    assert one is not None
    assert two is not None
    return (int.from_bytes(one, "big") ^ int.from_bytes(two, "big")).bit_count()


@pytest.fixture
def posters(movies: Path) -> list[Image.Image]:
    paths = sorted((movies / "posters").glob("*.jpg"))[:200:10]
    return [Image.open(path).convert("RGB") for path in paths]


def test_the_hash_of_a_picture_that_is_saved_anew_is_near(posters: list[Image.Image]) -> None:
    for image in posters:
        width, height = image.size
        cut = (round(width * 0.01), round(height * 0.01))
        again = {
            "quality": encoded(image, quality=30),
            "format": encoded(image, format="PNG"),
            "smaller": encoded(image.resize((91, 134))),
            "larger": encoded(image.resize((364, 536))),
            "grey": encoded(image.convert("L")),
            "duller": encoded(ImageEnhance.Contrast(image).enhance(0.8)),
            "cut": encoded(image.crop((*cut, width - cut[0], height - cut[1]))),
        }
        original = encoded(image)
        assert {k: d for k, v in again.items() if (d := differ(original, v)) > LIMIT} == {}


def test_hashes_of_other_pictures_differ(posters: list[Image.Image]) -> None:
    data = [encoded(image) for image in posters]
    assert min(differ(a, b) for a, b in combinations(data, 2)) > LIMIT


def test_the_bits_are_those_worked_out_by_hand() -> None:
    ramp = np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[None, :, None], 32, axis=0)
    bits = np.unpackbits(
        np.frombuffer(perceptual_hash_of_pixels(np.repeat(ramp, 3, axis=2)), np.uint8)
    )
    assert bits[:64].all()  # each patch is brighter than the one to its left
    down = np.unpackbits(
        np.frombuffer(perceptual_hash_of_pixels(np.repeat(255 - ramp, 3, axis=2)), np.uint8)
    )
    assert not down[:64].any()
    # A ramp from left to right has frequencies along the first row alone; the mean is set to 0.
    assert not bits[64]
    assert not down[64]
    assert down[65]  # cos(pi (x + 1/2) / 32) is large on the left, as this ramp is
    assert not bits[65]


def test_one_colour_is_blank_and_no_image_has_no_hash() -> None:
    assert perceptual_hash(encoded(Image.new("RGB", (60, 90), "navy"))) == BLANK
    assert perceptual_hash(b"<html>") is None


def test_hashes_are_remembered_where_there_is_a_cache(tmp_path: Path) -> None:
    hashes = {b"k" * 32: b"l" * 16, b"m" * 32: BLANK}
    save_perceptual_hashes(tmp_path / "none", hashes)
    assert not (tmp_path / "none").exists()
    EmbeddingCache(tmp_path / "cache").make(
        {"architecture": "x", "dimension": 2, "dtype": "float16"}
    )
    save_perceptual_hashes(tmp_path / "cache", hashes)
    assert load_perceptual_hashes(tmp_path / "cache") == hashes
    file = tmp_path / "cache" / "memo" / "looks"
    for data in (file.read_bytes()[:-1], b"\0" + file.read_bytes()[1:], b""):
        file.write_bytes(data)
        with pytest.warns(UserWarning, match=r"memo/looks .* is now in quarantine"):
            assert load_perceptual_hashes(tmp_path / "cache") == {}
        assert not file.exists()


def test_a_memo_of_posters_is_not_taken_for_one_of_looks(tmp_path: Path) -> None:
    """Six entries of the one are as long as thirteen of the other."""
    EmbeddingCache(tmp_path).make({"dimension": 2})
    entries = np.frombuffer(np.random.default_rng(0).bytes(ENTRY.itemsize * 6), dtype=ENTRY)
    save_entries(tmp_path / "memo" / "keys", entries)
    shutil.copy(tmp_path / "memo" / "keys", tmp_path / "memo" / "looks")
    assert load_perceptual_hashes(tmp_path) == {}
    hashes = {bytes([i]) * 32: bytes([i]) * 16 for i in range(13)}
    save_perceptual_hashes(tmp_path, hashes)
    shutil.copy(tmp_path / "memo" / "looks", tmp_path / "memo" / "keys")
    with pytest.warns(UserWarning, match=r"memo/keys .*its hash is wrong"):
        assert len(load_entries(tmp_path / "memo" / "keys")) == 0
