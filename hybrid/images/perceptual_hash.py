"""Perceptual hash of a poster: 128 bits that stay nearly the same when a picture is saved anew.

Half of them are a difference hash (is a patch brighter than the one to its left?), half a DCT-based
perceptual hash, "pHash" (is a low frequency above the median?): Zauner, "Implementation and Benchmarking
of Perceptual Image Hash Functions", 2010. On films, either alone takes some dark posters with a title in
the middle for one another; together they do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from hybrid.cluster.connection import use_cluster
from hybrid.images.decode import BadPoster, decode_poster
from hybrid.images.files import held_poster
from hybrid.images.memo import PERCEPTUAL_ENTRY, saved_often
from hybrid.images.on_cluster import read_on_cluster
from hybrid.images.perceptual_memo import (
    PerceptualHashes,
    load_perceptual_hashes,
    save_perceptual_hashes,
)
from hybrid.utils.context import Context
from hybrid.utils.sources import Sources
from hybrid.utils.threads import map_ahead

SIDE = 32
BITS = 128
BLANK = bytes(BITS // 8)  # the hash of a picture of one colour
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
PLAIN = 2.0  # grey values; a standard deviation below this is one colour and noise


def perceptual_hash(data: bytes) -> bytes | None:
    """Hash an encoded image perceptually.

    Parameters
    ----------
    data : bytes
        The content of an image file.

    Returns
    -------
    bytes or None
        16 bytes, `BLANK` for an image of one colour; None where it cannot be decoded.

    Examples
    --------
    >>> from hybrid.images.thumbnails import encode_jpeg
    >>> cells = np.random.default_rng(0).integers(0, 256, (9, 6, 3), dtype=np.uint8)
    >>> pixels = cells.repeat(10, axis=0).repeat(10, axis=1)
    >>> one, two = (perceptual_hash(encode_jpeg(pixels, quality)) for quality in (90, 50))
    >>> (int.from_bytes(one, "big") ^ int.from_bytes(two, "big")).bit_count() < 18
    True
    >>> perceptual_hash(b"no image") is None
    True
    """
    pixels = decode_poster(data, (SIDE, SIDE))
    return perceptual_hash_of_pixels(pixels) if isinstance(pixels, np.ndarray) else None


def perceptual_hash_of_pixels(pixels: NDArray[np.uint8]) -> bytes:
    """Hash the pixels of an image perceptually.

    Parameters
    ----------
    pixels : ndarray of shape (32, 32, 3), uint8
        In RGB.

    Returns
    -------
    bytes
        16 bytes; `BLANK` for an image of one colour.

    Examples
    --------
    >>> perceptual_hash_of_pixels(np.full((32, 32, 3), 7, dtype=np.uint8)) == BLANK
    True
    """
    grey = pixels.astype(np.float32) @ LUMA
    if grey.std() < PLAIN:
        return BLANK
    bits = np.concatenate([_difference_bits(grey), _frequency_bits(grey)])
    return np.packbits(bits).tobytes()


def hash_perceptually(paths: Mapping[bytes, str], context: Context) -> PerceptualHashes:
    """Hash poster files perceptually; files that the cache remembers are not decoded again.

    Parameters
    ----------
    paths : mapping of bytes to str
        Content key → file.
    context : Context
        Its cache remembers the hashes, its workers or its cluster decode, its progress is shown.

    Returns
    -------
    PerceptualHashes
        Content key → hash, in the order of `paths`, `BLANK` for an image of one colour; without images that
        cannot be decoded.

    Examples
    --------
    >>> hashes = hash_perceptually({b"k" * 32: "no-such-file.jpg"}, Context(cache="no-cache", workers=1))
    >>> len(hashes)
    0
    """
    known, sources = load_perceptual_hashes(context.cache), Sources.of(paths)
    new = sources.take(~known.find(sources.packed)[1])
    if len(new):
        known = known.added(_hash_new(new, context))
    return known.only(sources.packed)


def _hash_new(new: Sources, context: Context) -> NDArray[np.void]:
    """Hash files, and remember the hashes as they come; without those that cannot be decoded."""
    entries, done = np.zeros(len(new), dtype=PERCEPTUAL_ENTRY), np.zeros(len(new), dtype=bool)
    entries["key"] = new.packed.array

    def keep(place: int, found: bytes | None) -> None:
        if found is not None:
            entries["hash"][place] = np.frombuffer(found, dtype=np.uint8)
            done[place] = True

    def save() -> None:
        # Other processes may have remembered theirs meanwhile.
        known = load_perceptual_hashes(context.cache)
        save_perceptual_hashes(context.cache, known.added(entries[done]))

    with (
        use_cluster(context) as cluster,
        context.progress.bar("hashing posters", len(new), "posters") as advance,
    ):
        if cluster is not None:
            read_on_cluster(cluster, _hash_file, enumerate(new.values()), keep, advance, save)
            return entries[done]
        with ThreadPoolExecutor(context.workers) as pool, saved_often(save) as look:
            for place, (_, found) in enumerate(map_ahead(pool, _hash_file, new.values())):
                keep(place, found)
                advance(1)
                look()
    return entries[done]


def _hash_file(path: str) -> bytes | None:
    with held_poster(path) as data:
        return None if isinstance(data, BadPoster) else perceptual_hash(data)


def _difference_bits(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """64 bits: 8 rows of 9 patches, each but the first against the one to its left."""
    edges = np.rint(np.linspace(0, SIDE, 10)).astype(int)
    columns = np.add.reduceat(grey, edges[:-1], axis=1) / np.diff(edges)
    patches = columns.reshape(8, SIDE // 8, 9).mean(axis=1)
    return (patches[:, 1:] > patches[:, :-1]).ravel()


def _frequency_bits(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """64 bits: the 8 x 8 lowest frequencies against their median; the mean brightness counts as below."""
    low = dctn(grey, norm="ortho")[:8, :8].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False
    return bits
