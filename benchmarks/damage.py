"""Damaged posters: how many are found, how many sound ones are suspected.

    python benchmarks/damage.py films/posters

The first figures are of all files of the folder as they are. Then every `--step`-th is written in several
formats, a part of its middle is overwritten with zeros or with noise, and the table says how many of these
cannot be decoded, are told as damaged, look damaged, or are taken for pictures. `mutated_images.py` looks for
what hangs or crashes.
"""

from __future__ import annotations

import argparse
import collections
import io
from pathlib import Path

import numpy as np
from PIL import Image

from hybrid.images.damage import find_damage
from hybrid.images.decode import BadPoster, decode_poster
from hybrid.images.suspicion import find_look, find_suspicion

SIZE = (64, 64)
FORMATS: dict[str, dict[str, object] | None] = {
    "as it is": None,
    "JPEG": {},
    "JPEG, progressive": {"progressive": True},
    "JPEG, restarts": {"restart_marker_rows": 1},
    "PNG": {},
    "WEBP": {},
    "TIFF": {},
    "TIFF, Deflate": {"compression": "tiff_adobe_deflate"},
    "GIF": {},
    "BMP": {},
}
SHARES = (0.01, 0.1, 0.3)
ROW = "{:20} {:8} {:>5} {:>6} {:>8} {:>8} {:>10} {:>6}"
LAST = ("suspected", "taken")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="Of posters.")
    parser.add_argument("--step", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    posters = [path.read_bytes() for path in sorted(options.folder.iterdir()) if path.is_file()]
    told = collections.Counter(map(judge, posters))
    print(f"{len(posters):,} posters as they are: {dict(told)}")
    print(f"suspected if they were a TIFF: {sum(map(looks_damaged, posters)):,}")
    webps = (encode(data, "WEBP") for data in posters)
    print(f"suspected when written as WebP: {sum(bool(find_look(data)) for data in webps):,}")
    rng = np.random.default_rng(options.seed)
    some = posters[:: options.step]
    print("\n" + ROW.format("format", "filling", "share", "files", "refused", "damaged", *LAST))
    for name in FORMATS:
        files = [encode(data, name) for data in some]
        for filling in ("zeros", "noise"):
            for share in SHARES:
                found = collections.Counter(
                    judge(overwrite(data, share, filling, rng)) for data in files
                )
                counts = [found[each] for each in ("refused", "damaged", *LAST)]
                print(ROW.format(name, filling, share, len(files), *counts), flush=True)


def judge(data: bytes) -> str:
    """What becomes of a file."""
    if isinstance(decode_poster(data, SIZE), BadPoster):
        return "refused"
    if find_damage(data):
        return "damaged"
    return "suspected" if find_look(data) else "taken"


def looks_damaged(data: bytes) -> bool:
    """Whether the pixels of a poster would be suspected if its bytes told nothing."""
    return bool(find_suspicion(np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))))


def encode(data: bytes, name: str) -> bytes:
    """A poster in another format."""
    options = FORMATS[name]
    if options is None:
        return data
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").save(file, name.split(",")[0], **options)
    return file.getvalue()


def overwrite(data: bytes, share: float, filling: str, rng: np.random.Generator) -> bytes:
    """Part of the middle half of a file, replaced."""
    size = max(1, int(share * len(data)))
    at = len(data) // 4 + int(rng.integers(max(1, len(data) // 2 - size)))
    return data[:at] + (bytes(size) if filling == "zeros" else rng.bytes(size)) + data[at + size :]


if __name__ == "__main__":
    main()
