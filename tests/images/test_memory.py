"""Decompression bombs are told by their headers; large images cost a bounded amount of memory."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybrid.images import decode, files, memory, picture
from hybrid.images.decode import BadPoster, Geometry, decode_for, decode_poster, decode_reduced
from hybrid.images.examine import examine_image
from hybrid.images.files import held_poster
from hybrid.images.memory import Budget, memory_of
from hybrid.images.resize import resize


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, form, **options)
    return data.getvalue()


def riff(kind: bytes, body: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def lossless_webp(width: int, height: int) -> bytes:
    """A WebP of one colour: 34 bytes, whatever its size."""
    header = bytearray(encode(Image.new("RGB", (64, 64)), "WEBP", lossless=True))
    bits = int.from_bytes(header[21:25], "little") >> 28 << 28
    header[21:25] = (bits | (height - 1) << 14 | width - 1).to_bytes(4, "little")
    return bytes(header)


def png(width: int, height: int, depth: int, colour: int, row: int) -> bytes:
    """A PNG of one colour, its rows of so many bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    packer = zlib.compressobj()
    packed = b"".join(packer.compress(bytes(row + 1)) for _ in range(height)) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def tiff_of_one_tile(side: int) -> bytes:
    """A small TIFF that says that its tiles are of this side."""
    entries = [
        *((256, 4, 1, 100), (257, 4, 1, 100), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)),
        *((277, 3, 1, 1), (322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, 30)),
    ]
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + bytes(4 + 64)


def progressive(side: int) -> bytes:
    """A progressive JPEG of one colour, enlarged in its header."""
    data = bytearray(encode(Image.new("L", (64, 64)), "JPEG", progressive=True))
    at = data.index(b"\xff\xc2")
    data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    return bytes(data)


BOMBS = {
    "WebP": lambda: lossless_webp(16_383, 5_461),
    "WebP beyond Pillow's limit": lambda: lossless_webp(16_384, 16_384),
    "extended WebP": lambda: riff(b"VP8X", b"\0\0\0\0" + b"\xff\x3f\0" + b"\x54\x15\0") + bytes(80),
    "lossy WebP": lambda: riff(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 9000, 9000)),
    "G4": lambda: encode(Image.new("1", (9_459, 9_459)), "TIFF", compression="group4"),
    "TIFF with a huge tile": lambda: tiff_of_one_tile(60_000),
    "bits": lambda: png(9_400, 9_400, 1, 0, 1175),
    "grey": lambda: png(9_400, 9_400, 8, 0, 9_400),
    "progressive JPEG": lambda: progressive(9_400),
    "GIF": lambda: encode(Image.new("P", (9_400, 9_400)), "GIF"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_named_before_a_pixel_is_touched(
    bomb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = BOMBS[bomb]()
    monkeypatch.setattr(decode, "_decode", lambda *_: pytest.fail("pixels were touched"))
    found = decode_poster(data, (64, 64))
    assert isinstance(found, BadPoster)
    assert "(a decompression bomb?)" in found.reason
    for other in (decode_reduced(data, 16), examine_image(data)):
        assert isinstance(other, BadPoster)
        assert "(a decompression bomb?)" in other.reason


def test_a_webp_bomb_is_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow reserves eight bytes a pixel when it opens one."""
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was opened"))
    assert "16384 x 16384" in decode_poster(lossless_webp(16_384, 16_384), (64, 64)).reason


def test_scans_are_counted() -> None:
    data = encode(Image.new("L", (64, 64)), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    bomb = data[:scan] + data[scan:-2] * 1000 + b"\xff\xd9"
    found = decode_poster(bomb, (64, 64))
    assert isinstance(found, BadPoster)
    assert found.reason.startswith("1,00")
    assert "scans" in found.reason
    # Those of a thumbnail within the metadata, or of what follows the picture, are not its own.
    thumbnail = b"Exif\0\0" + b"\xff\xda\0\x02" * 500
    app = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    harmless = data[:2] + app + data[2:] + b"\xff\xda" * 500
    assert not isinstance(decode_poster(harmless, (64, 64)), BadPoster)


NOISE = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16"])
@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
def test_pixels_do_not_depend_on_the_bands(
    mode: str, fit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha = Image.fromarray(np.dstack([NOISE, NOISE[..., :1]]), "RGBA")
    image = {
        "RGBA": lambda: alpha,
        "LA": lambda: alpha.convert("LA"),
        "I;16": lambda: Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257),
    }.get(mode, lambda: Image.fromarray(NOISE).convert(mode))()
    data = encode(image, "TIFF" if mode == "CMYK" else "PNG")
    geometries = [Geometry((40, 50), fit), Geometry((120, 100), fit)]
    expected = decode_for(data, geometries)
    monkeypatch.setattr(picture, "BAND", 300)
    for one, other in zip(decode_for(data, geometries), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(resize(NOISE, (20, 30)).shape, (20, 30, 3))


def test_a_large_picture_is_reduced_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.fromarray(NOISE).resize((700, 900)), "PNG")
    whole = decode_reduced(data, 50)
    monkeypatch.setattr(picture, "BAND", 10_000)
    found = decode_reduced(data, 50)
    assert (whole.shape, found.shape) == ((900, 700, 3), (128, 100, 3))
    near = np.asarray(Image.fromarray(whole).resize((100, 128), Image.Resampling.BILINEAR))
    assert np.abs(found.astype(int) - near).max() <= 1


def test_what_cannot_be_converted_is_said_of_a_large_image_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(picture, "BAND", 100)
    found = decode_poster(encode(Image.new("F", (40, 60)), "TIFF"), (8, 8))
    assert isinstance(found, BadPoster)
    assert found.reason.startswith("cannot be decoded: floating-point")


@pytest.mark.parametrize(
    ("image", "form", "options"),
    [
        (Image.fromarray(NOISE).resize((2000, 3000)), "PNG", {"compress_level": 1}),
        (Image.new("RGB", (2000, 3000), "white"), "PNG", {"compress_level": 1}),
        (Image.new("RGBA", (2000, 3000)), "PNG", {"compress_level": 1}),
        (Image.new("RGB", (2000, 3000), "white"), "JPEG", {}),
        (Image.new("RGB", (2000, 3000), "white"), "JPEG", {"progressive": True}),
        (Image.new("RGB", (1000, 1500), "white"), "WEBP", {"lossless": True, "method": 0}),
    ],
    ids=["PNG", "white", "RGBA", "JPEG", "progressive", "WebP"],
)
def test_posters_of_usual_sizes_are_no_bombs(
    image: Image.Image, form: str, options: dict[str, object]
) -> None:
    data = encode(image, form, **options)
    with Image.open(io.BytesIO(data)) as opened:
        assert memory_of(opened, data) <= 64 * 2**20 or opened.width * opened.height < 100 * len(
            data
        )


def test_a_large_photograph_is_no_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """54 million pixels in 8 MB, decoded at an eighth; a progressive one of 4:2:0 also fits."""
    for kind in (b"\xff\xc0", b"\xff\xc2"):
        progressive_one = kind == b"\xff\xc2"
        data = bytearray(encode(Image.new("RGB", (64, 64)), "JPEG", progressive=progressive_one))
        at = data.index(kind)
        data[at + 5 : at + 9] = struct.pack(">HH", 9000, 6000)
        with Image.open(io.BytesIO(data)) as image:
            need = memory_of(image, bytes(data) + bytes(8_000_000), [8])
        assert need < (memory.LIMIT if progressive_one else memory.FREE)


def test_threads_share_the_memory() -> None:
    """Never more than the limit, except one alone; all get their turn."""
    budget, most, guard = Budget(100), [], threading.Lock()

    def work(need: int) -> None:
        for _ in range(50):
            with budget.reserve(need), guard:
                most.append((budget.used, need))

    threads = [threading.Thread(target=work, args=(need,)) for need in (60, 50, 30, 10, 120)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 250
    assert budget.used == 0
    assert all(used <= 100 or used == need == 120 for used, need in most)


def test_who_needs_much_is_not_overtaken_for_ever() -> None:
    """Threads wait in line: small ones do not go on and on before a large one."""
    budget, order = Budget(100), []
    with contextlib.ExitStack() as first:
        first.enter_context(budget.reserve(50))

        def work(need: int) -> None:
            with budget.reserve(need):
                order.append(need)

        threads = []
        for length, need in enumerate((90, 20, 30), 1):
            threads.append(threading.Thread(target=work, args=(need,)))
            threads[-1].start()
            while len(budget._line) < length:  # until it stands in line
                pass
        assert order == []
    for thread in threads:
        thread.join()
    assert order[0] == 90


def test_files_are_read_within_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads together hold no more bytes of files than the limit, or one larger file alone."""
    budget, most = Budget(1000), []
    monkeypatch.setattr(files, "FILES", budget)
    paths = [tmp_path / f"{i}.jpg" for i in range(12)]
    for i, path in enumerate(paths):
        path.write_bytes(bytes([i]) * (2000 if i % 5 == 0 else 400))

    def work(path: Path) -> int:
        with held_poster(path) as data:
            most.append((budget.used, len(data)))
            return len(data)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, paths * 20)) == sum(path.stat().st_size for path in paths) * 20
    assert all(used <= 1000 or used == size == 2000 for used, size in most)
    assert budget.used == 0


def test_images_of_a_parquet_file_are_held_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow
    import pyarrow.parquet

    budget = Budget(1000)
    monkeypatch.setattr(files, "FILES", budget)
    pyarrow.parquet.write_table(pyarrow.table({"raw": [b"x" * 300]}), tmp_path / "films.parquet")
    with held_poster(f"{tmp_path}/films.parquet#raw#0") as data:
        assert (data, budget.used) == (b"x" * 300, 300)
    assert budget.used == 0


def test_a_large_file_counts_to_what_its_image_takes() -> None:
    image = Image.new("RGB", (4000, 4000))
    data = encode(image, "PNG", compress_level=1)
    with Image.open(io.BytesIO(data)) as opened:
        assert memory_of(opened, data + bytes(8_000_000)) < 80 * 2**20
        with pytest.raises(memory.TooLarge, match="MiB to decode, more than 320"):
            memory_of(opened, bytes(320 * 2**20))


def test_memory_is_given_back_after_an_error() -> None:
    for data in (
        encode(Image.new("F", (40, 60)), "TIFF"),
        encode(Image.new("L", (40, 60)), "PNG")[:60],
    ):
        assert isinstance(decode_poster(data, (8, 8)), BadPoster)
    assert memory.BUDGET.used == 0


CHECK = """
import resource, sys
from hybrid.cli.main import main
try:
    main(["check", "--catalogue", "films.csv", "--workers", "2"])
except SystemExit as end:
    assert not end.code, end.code
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("peak", int(peak.split()[1]) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_check_survives_bombs_in_little_memory(tmp_path: Path) -> None:
    (tmp_path / "posters").mkdir()
    rows = ["id,genres,title,poster"]
    for i, bomb in enumerate([*BOMBS, *["WebP"] * 4]):
        (tmp_path / f"posters/{i}.jpg").write_bytes(BOMBS[bomb]() + bytes(1_000_000 * (i % 2)))
        rows.append(f"{i},Drama,t,posters/{i}.jpg")
    (tmp_path / "films.csv").write_text("\n".join(rows))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))

    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(a decompression bomb?)") >= 10
    assert int(done.stdout.split()[-1]) <= 600
