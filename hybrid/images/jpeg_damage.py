"""Whether the coded data of a JPEG is what its encoder wrote."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybrid.images.jpeg import SCAN, Damaged, Segment, Unended, read_segments
from hybrid.images.memory import BUDGET

if TYPE_CHECKING:
    from hybrid.images.jpeg_scans import Table

BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
_TABLES, _RESTARTS = 0xC4, 0xDD
_OTHER_FRAMES = frozenset({0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)})
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
FOLLOWED = (
    64 * 2**20
)  # bytes of a scan; a longer one, of hundreds of millions of pixels, is not followed
COPIES = 3  # of its bytes that following takes
_REASONS = {
    -1: "the data of a scan ends before its last block",
    -2: "the data of a scan holds a code that stands for nothing",
    -3: "the data of a scan holds a block of more than 64 coefficients",
}


@dataclass
class _Frame:
    """Size and components of a picture, and what the scans so far have told of its coefficients."""

    kind: int
    width: int
    height: int
    factors: dict[int, tuple[int, int]]  # of each component: across, down
    masks: dict[int, NDArray[np.uint64]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)

    @property
    def is_progressive(self) -> bool:
        return self.kind == PROGRESSIVE

    def blocks(self, component: int) -> int:
        """Blocks of a component in a scan of its own."""
        across, down = self.factors[component]
        most_across = max(each for each, _ in self.factors.values())
        most_down = max(each for _, each in self.factors.values())
        columns = math.ceil(math.ceil(self.width * across / most_across) / 8)
        return columns * math.ceil(math.ceil(self.height * down / most_down) / 8)

    def units(self) -> int:
        """Units of a scan of several components."""
        across = 8 * max(each for each, _ in self.factors.values())
        down = 8 * max(each for _, each in self.factors.values())
        return -(-self.width // across) * -(-self.height // down)


def find_jpeg_damage(data: bytes) -> str:
    """Say what is wrong in the markers and the coded data of a JPEG.

    Parameters
    ----------
    data : bytes
        The content of the file.

    Returns
    -------
    str
        Empty where nothing is. Of arithmetic coding, lossless JPEG and 12 bits only the markers are followed.

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.images.thumbnails import encode_jpeg
    >>> pixels = np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8)
    >>> data = encode_jpeg(pixels)
    >>> find_jpeg_damage(data)
    ''
    >>> find_jpeg_damage(data[:1000] + bytes(500) + data[1500:]) != ""
    True
    """
    try:
        _follow(data)
    except Damaged as found:
        return str(found)
    return ""


def _follow(data: bytes) -> None:
    segments: list[Segment] = []
    end: Unended | None = None
    try:
        for segment in read_segments(data):
            segments.append(segment)  # also those before a missing end
    except Unended as missing:
        end = missing
    frame: _Frame | None = None
    tables: dict[int, Table] = {}
    interval = 0
    for segment in segments:
        content = data[segment.start : segment.stop]
        if segment.marker in (BASELINE, EXTENDED, PROGRESSIVE):
            frame = _read_frame(segment.marker, content)
        elif segment.marker in _OTHER_FRAMES:
            frame = None
        elif segment.marker == _TABLES:
            tables |= _read_tables(content)
        elif segment.marker == _RESTARTS:
            interval = int.from_bytes(content[:2], "big")
        elif segment.marker == SCAN and frame is not None:
            with BUDGET.reserve(_memory_of(segment, frame)):
                _follow_scan(data, segment, frame, tables, interval)
    # Where nothing but the end marker is missing, all pixels are there.
    if end and (frame is None or frame.is_progressive or not frame.seen >= frame.factors.keys()):
        raise end


def _memory_of(scan: Segment, frame: _Frame) -> int:
    """Bytes that following a scan takes: copies of its data, and eight for each block of coefficients."""
    size = scan.end - scan.stop
    return COPIES * size * (size <= FOLLOWED) + 3 * frame.width * frame.height // 8


def _read_frame(kind: int, content: bytes) -> _Frame | None:
    """None of a frame whose scans are not followed."""
    if len(content) < 9 or content[0] != 8 or len(content) < 6 + 3 * content[5]:
        return None
    parts = [content[6 + 3 * i : 9 + 3 * i] for i in range(content[5])]
    factors = {number: (both >> 4, both & 15) for number, both, _ in parts}
    height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
    if not (height and width and all(a and b for a, b in factors.values())):
        return None
    return _Frame(kind, width, height, factors)


def _read_tables(content: bytes) -> dict[int, Table]:
    """The Huffman tables of a segment, by class and number: 4 is the first for AC."""
    tables, at = {}, 0
    while at + 17 <= len(content):
        size = sum(content[at + 1 : at + 17])
        end = at + 17 + size
        if size > 256 or end > len(content) or content[at] & 15 > 3 or content[at] >> 4 > 1:
            raise Damaged("a Huffman table of impossible size")
        tables[(content[at] >> 4) * 4 + (content[at] & 15)] = _table(content[at + 1 : end])
        at = end
    return tables


@lru_cache(maxsize=64)  # most files have the tables of the standard
def _table(content: bytes) -> Table:
    from hybrid.images.jpeg_scans import code_table

    symbols = np.frombuffer(content[16:].ljust(256, b"\0"), dtype=np.uint8)
    return code_table(np.frombuffer(content[:16], dtype=np.uint8), symbols)


def _follow_scan(
    data: bytes, segment: Segment, frame: _Frame, tables: dict[int, Table], interval: int
) -> None:
    content = data[segment.start : segment.stop]
    count = content[0] if content else 0
    parts = [
        (content[1 + 2 * i], content[2 + 2 * i]) for i in range(count) if 3 + 2 * i <= len(content)
    ]
    if len(content) < 4 + 2 * count or not parts or any(c not in frame.factors for c, _ in parts):
        raise Damaged("the header of a scan does not agree with the picture")
    frame.seen.update(component for component, _ in parts)
    if segment.end - segment.stop > FOLLOWED:
        return
    alone = len(parts) == 1
    units = frame.blocks(parts[0][0]) if alone else frame.units()
    pieces = _RESTART.split(data[segment.stop : segment.end].rstrip(b"\xff"))
    if any(marker[0] - 0xD0 != i % 8 for i, marker in enumerate(pieces[1::2])):
        raise Damaged("the restart markers of a scan are not in order")
    expected = -(-units // interval) if interval else 1
    if len(pieces[::2]) != expected:
        raise Damaged(
            f"{len(pieces[::2]) - 1:,} restart markers in a scan, {expected - 1:,} expected"
        )
    for i, piece in enumerate(pieces[::2]):
        coded = piece.rstrip(b"\xff").replace(b"\xff\x00", b"\xff")
        start = i * interval
        stop = min(start + interval, units) if interval else units
        left = _follow_piece(coded, content[1 + 2 * count :], parts, frame, tables, start, stop)
        if left < 0:
            raise Damaged(_REASONS[left])
        if left >= 8:
            raise Damaged("the data of a scan goes on after its last block")


def _follow_piece(
    coded: bytes,
    bounds: bytes,
    parts: Sequence[tuple[int, int]],
    frame: _Frame,
    tables: dict[int, Table],
    start: int,
    stop: int,
) -> int:
    """Bits that are left over at the end of some units, or what is wrong with them."""
    from hybrid.images import jpeg_scans

    buffer, n_bits = np.frombuffer(coded + bytes(16), dtype=np.uint8), 8 * len(coded)
    first, last, earlier = bounds[0], bounds[1], bounds[2] >> 4
    component, chosen = parts[0]
    if frame.is_progressive and first:  # AC, of one component
        table = tables.get(4 + (chosen & 3))
        if table is None or last > 63 or len(parts) > 1:
            raise Damaged("the header of a scan does not agree with the picture")
        if component not in frame.masks:
            frame.masks[component] = np.zeros(frame.blocks(component), dtype=np.uint64)
        follow = jpeg_scans.follow_refinement if earlier else jpeg_scans.follow_first
        return follow(buffer, n_bits, table, frame.masks[component][start:stop], first, last + 1)
    sizes = [frame.factors[each] if len(parts) > 1 else (1, 1) for each, _ in parts]
    blocks = [
        (both >> 4 & 3, both & 3)
        for (_, both), (across, down) in zip(parts, sizes, strict=True)
        for _ in range(across * down)
    ]
    if frame.is_progressive and earlier:
        left = n_bits - (stop - start) * len(blocks)
        return left if left >= 0 else jpeg_scans.MISSING
    whole = not frame.is_progressive
    needed = {dc for dc, _ in blocks} | ({4 + ac for _, ac in blocks} if whole else set())
    if not needed <= tables.keys():
        return 0  # libjpeg has tables of its own for such files
    none = next(iter(tables.values()))
    stacked = np.stack([tables.get(i, none) for i in range(8)])
    return jpeg_scans.follow_blocks(
        buffer, n_bits, stacked, np.array(blocks, dtype=np.int32), stop - start, whole
    )
