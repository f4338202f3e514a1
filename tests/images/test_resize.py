"""Resizing: Pillow's pixels, whichever way round Pillow would go about it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from hybrid.images.resize import resize

BILINEAR = Image.Resampling.BILINEAR
SIDES = st.integers(1, 300)


def noise(height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def with_pillow(image: Any, size: tuple[int, int], box: Any = None) -> Any:
    """Pillow, called for the width and then for the height, so that it has no choice."""
    left, top, right, bottom = box or (0, 0, image.shape[1], image.shape[0])
    wide = Image.fromarray(image).resize(
        (size[1], image.shape[0]), BILINEAR, (left, 0, right, image.shape[0])
    )
    return np.asarray(wide.resize(size[::-1], BILINEAR, (0, top, size[1], bottom)))


@settings(max_examples=150, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 9))
@example(268, 182, 299, 299, 0)
@example(320, 69, 50, 10, 0)
@example(1, 1, 299, 224, 0)
def test_the_pixels_are_pillows(h: int, w: int, height: int, width: int, seed: int) -> None:
    image = noise(h, w, seed)
    np.testing.assert_array_equal(
        resize(image, (height, width)), with_pillow(image, (height, width))
    )


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 200), st.integers(2, 200), SIDES, SIDES, st.tuples(*[st.floats(0, 1)] * 4))
def test_a_part_of_an_image_has_pillows_pixels(
    h: int, w: int, height: int, width: int, parts: tuple[float, float, float, float]
) -> None:
    image = noise(h, w)
    left, top = parts[0] * (w - 1), parts[1] * (h - 1)
    right, bottom = left + 1 + parts[2] * (w - 1 - left), top + 1 + parts[3] * (h - 1 - top)
    box = (left, top, min(right, w), min(bottom, h))
    np.testing.assert_array_equal(
        resize(image, (height, width), box), with_pillow(image, (height, width), box)
    )


def test_two_pixels_become_four_by_hand() -> None:
    # Centres of the outputs at 0.25, 0.75, 1.25, 1.75; inputs at 0.5 and 1.5.
    image = np.array([[[0, 100, 40], [200, 0, 40]]], dtype=np.uint8)
    expected = [[[0, 100, 40], [50, 75, 40], [150, 25, 40], [200, 0, 40]]]
    np.testing.assert_array_equal(resize(image, (1, 4)), expected)


def test_the_image_is_not_changed() -> None:
    image = noise(20, 30)
    before = image.copy()
    resize(image, (40, 11))
    np.testing.assert_array_equal(image, before)


def test_loops_compile_where_no_code_can_be_kept() -> None:
    """As in a container without a home: the loops work, and a warning says what to do."""
    code = (
        "import warnings, numpy as np, numba.core.caching as c\n"
        "def nowhere(*a): return None\n"
        "for locator in c.CacheImpl._locator_classes: locator.from_function = nowhere\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    from hybrid.images.resize import resize\n"
        "print(resize(np.full((20, 20, 3), 7, np.uint8), (5, 5)).min(), seen[0].message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("7 expected a folder for compiled code, found none")
    assert "NUMBA_CACHE_DIR" in done.stdout
