"""The markers of a JPEG file (ITU-T T.81, annex B): what stands where, and what cannot be right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

START, END, SCAN = 0xD8, 0xD9, 0xDA
# In the data of a scan a byte of 255 is followed by 0, by a restart marker (D0 to D7) or by another 255.
_NEXT = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class Damaged(Exception):
    """A file whose content cannot be what was written; the message says why."""


class Unended(Damaged):
    """A file whose end is missing."""


class Segment(NamedTuple):
    """One marker of a JPEG file, and what belongs to it.

    Attributes
    ----------
    marker : int
        From 0xC0 to 0xFE.
    start, stop : int
        Where its content is, without its length.
    end : int
        Of a start of scan: where its coded data ends; else `stop`.
    """

    marker: int
    start: int
    stop: int
    end: int


def read_segments(data: bytes) -> Iterator[Segment]:
    r"""Yield the segments of the first picture of a JPEG file, from the start of image to its end.

    Parameters
    ----------
    data : bytes
        The content of the file.

    Raises
    ------
    Damaged
        If something else stands where a marker must be.
    Unended
        If the end is missing.

    Examples
    --------
    >>> scan = b"\xff\xda\x00\x02" + b"coded \xff\x00 data"
    >>> [hex(each.marker) for each in read_segments(b"\xff\xd8" + scan + b"\xff\xd9")]
    ['0xda', '0xd9']
    >>> list(read_segments(b"\xff\xd8" + scan))
    Traceback (most recent call last):
    hybrid.images.jpeg.Unended: the end of the image is missing
    """
    at, scanned = 2, False
    while True:
        found = data.find(b"\xff", at)
        if found < 0:
            raise Unended("the end of the image is missing")
        if (
            scanned and found > at
        ):  # before the first scan some programs leave bytes that are no segment
            raise Damaged(f"at byte {at:,} no marker between the scans")
        while data[found + 1 : found + 2] == b"\xff":  # fill bytes
            found += 1
        marker, start = data[found + 1 : found + 2], found + 4
        if not marker:
            raise Unended("the end of the image is missing")
        if marker[0] == END:
            yield Segment(END, found + 2, found + 2, found + 2)
            return
        if marker[0] < 0xC0 or marker[0] in range(0xD0, 0xD9):
            raise Damaged(f"at byte {found:,} no marker but FF{marker.hex().upper()}")
        stop = found + 2 + int.from_bytes(data[found + 2 : found + 4], "big")
        if stop < start or stop > len(data):
            raise Damaged(f"at byte {found:,} a segment of impossible length")
        at = stop
        if marker[0] == SCAN:
            scanned = True
            following = _NEXT.search(data, stop)
            at = following.start() if following else len(data)
        yield Segment(marker[0], start, stop, at)


def count_scans(data: bytes) -> int:
    """Count the scans of the first picture of a JPEG file, as far as its markers can be followed.

    Examples
    --------
    >>> from hybrid.images.thumbnails import Image, encode_jpeg
    >>> count_scans(encode_jpeg(Image.new("RGB", (40, 60))))
    1
    """
    if data.count(b"\xff\xda") <= 1:  # one of a thumbnail, or of another picture, counts too
        return 1
    scans = 0
    try:
        for segment in read_segments(data):
            scans += segment.marker == SCAN
    except Damaged:
        pass
    return scans
