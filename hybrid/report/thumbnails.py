"""Poster files → small JPEGs inside the page, few and small."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from hybrid.images.decode import BadPoster, load_poster

SIZE = (168, 112)  # height and width in pixels
QUALITIES = (72, 45, 20)
MAX_BYTES = 12 * 1024
MAX_TOTAL = 400 * 1024


@dataclass(frozen=True)
class Thumbnail:
    """A small picture as a ``data:`` address, or why there is none."""

    source: str = ""
    reason: str = ""


def make_thumbnails(paths: Sequence[str], limit: int = MAX_TOTAL) -> list[Thumbnail]:
    """Small pictures of poster files, at most `limit` bytes together; ``""`` is no file."""
    made, left = [], limit
    for path in paths:
        data = _jpeg(path)
        if isinstance(data, bytes) and len(data) > left:
            data = BadPoster("left out to keep the page small")
        if isinstance(data, BadPoster):
            made.append(Thumbnail(reason=data.reason))
            continue
        left -= len(data)
        made.append(Thumbnail(f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"))
    return made


def _jpeg(path: str) -> bytes | BadPoster:
    pixels = load_poster(path, SIZE, "crop")
    if isinstance(pixels, BadPoster):
        return pixels
    for quality in QUALITIES:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() <= MAX_BYTES:
            return file.getvalue()
    return BadPoster(f"a picture of it takes more than {MAX_BYTES // 1024} KiB")
