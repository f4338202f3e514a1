"""Damage that decoders overlook is found in the bytes; sound files are left alone."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybrid.catalogue import load_catalogue
from hybrid.catalogue.check import check_catalogue, look_at_posters
from hybrid.images.damage import find_damage
from hybrid.images.decode import BadPoster, decode_poster
from hybrid.images.examine import examine_image
from hybrid.images.suspicion import find_look, find_suspicion

RNG = np.random.default_rng(3)
SMOOTH = Image.fromarray(RNG.integers(0, 256, (14, 9, 3), dtype=np.uint8)).resize((182, 268))
PICTURE = Image.fromarray(
    np.clip(np.asarray(SMOOTH) + RNG.normal(0, 9, (268, 182, 3)), 0, 255).astype(np.uint8)
)


def encode(form: str, image: Image.Image = PICTURE, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, form, **options)
    return data.getvalue()


SOUND = {
    "baseline": encode("JPEG"),
    "grey": encode("JPEG", PICTURE.convert("L")),
    "CMYK": encode("JPEG", PICTURE.convert("CMYK")),
    "progressive": encode("JPEG", progressive=True),
    "progressive, grey": encode("JPEG", PICTURE.convert("L"), progressive=True),
    "4:4:4": encode("JPEG", subsampling=0, optimize=True),
    "4:2:2, progressive": encode("JPEG", subsampling=1, progressive=True, quality=95),
    "restarts": encode("JPEG", restart_marker_blocks=7),
    "restarts, progressive": encode("JPEG", restart_marker_rows=1, progressive=True),
    "quality 100": encode("JPEG", quality=100),
    "quality 1": encode("JPEG", quality=1, progressive=True),
    "several": encode("MPO", save_all=True, append_images=[SMOOTH]),
    "PNG": encode("PNG"),
    "PNG with a palette": encode("PNG", PICTURE.quantize(20)),
    "APNG": encode("PNG", save_all=True, append_images=[SMOOTH]),
    "WebP": encode("WEBP"),
    "WebP without loss": encode("WEBP", lossless=True),
    "animated WebP": encode("WEBP", save_all=True, append_images=[SMOOTH]),
    "TIFF": encode("TIFF"),
    "TIFF, bits": encode("TIFF", PICTURE.convert("1")),
    "TIFF, LZW": encode("TIFF", compression="tiff_lzw"),
    "TIFF, Deflate": encode("TIFF", compression="tiff_adobe_deflate"),
    "TIFF, G4": encode("TIFF", PICTURE.convert("1"), compression="group4"),
    "TIFF, JPEG": encode("TIFF", compression="jpeg"),
    "GIF": encode("GIF"),
    "BMP": encode("BMP"),
    "PPM": encode("PPM"),
}


@pytest.mark.parametrize("form", SOUND)
def test_nothing_is_found_in_sound_files(form: str) -> None:
    assert find_damage(SOUND[form]) == ""
    assert find_damage(SOUND[form] + b"what follows the image \xff\xd9\xff\xda") == ""


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (64, 48), (100, 7), (9, 100)])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_sides_need_not_be_whole_blocks(
    size: tuple[int, int], progressive: bool, subsampling: int
) -> None:
    image = PICTURE.crop((3, 5, 3 + size[0], 5 + size[1]))
    data = encode("JPEG", image, progressive=progressive, subsampling=subsampling, quality=90)
    assert find_damage(data) == ""


def overwritten(data: bytes, share: float, filling: str) -> bytes:
    """Bytes from the middle on, replaced by zeros or by noise."""
    at, size = len(data) // 2, int(share * len(data))
    fill = bytes(size) if filling == "zeros" else np.random.default_rng(len(data)).bytes(size)
    return data[:at] + fill + data[at + size :]


FOLLOWED = [name for name, data in SOUND.items() if data[:2] == b"\xff\xd8" and name != "several"]


@pytest.mark.parametrize("filling", ["zeros", "noise"])
@pytest.mark.parametrize("form", [*FOLLOWED, "PNG", "PNG with a palette", "TIFF, Deflate"])
def test_an_overwritten_middle_is_found(form: str, filling: str) -> None:
    for share in (0.1, 0.3):
        data = overwritten(SOUND[form], share, filling)
        found = decode_poster(data, (64, 64))
        assert isinstance(found, BadPoster) or find_damage(data).startswith("is damaged: "), share
        assert isinstance(examine_image(data), BadPoster)


def test_a_wrong_checksum_that_pillow_overlooks() -> None:
    data = SOUND["PNG"]
    at = data.rindex(b"IEND") - 8
    wrong = data[:at] + bytes(4) + data[at + 4 :]
    assert not isinstance(decode_poster(wrong, (64, 64)), BadPoster)
    assert find_damage(wrong) == "is damaged: the checksum of a chunk of the PNG (IDAT) is wrong"


def test_a_wrong_checksum_of_words_costs_no_poster() -> None:
    words = b"tEXtTitle\0Jaws"
    chunk = struct.pack(">I", len(words) - 4) + words + struct.pack(">I", zlib.crc32(words) ^ 1)
    assert find_damage(SOUND["PNG"][:33] + chunk + SOUND["PNG"][33:]) == ""


def test_restart_markers_out_of_order() -> None:
    data = SOUND["restarts"]
    at = data.index(b"\xff\xd3", data.index(b"\xff\xda"))
    swapped = data[:at] + b"\xff\xd5" + data[at + 2 :]
    assert "restart markers of a scan are not in order" in find_damage(swapped)
    lost = data[:at] + data[data.index(b"\xff\xd4", at) :]
    assert "restart markers" in find_damage(lost)


def test_markers_that_cannot_be() -> None:
    data = SOUND["baseline"]
    at = data.index(b"\xff\xda") + 2000
    assert "no marker but FF07" in find_damage(data[:at] + b"\xff\x07" + data[at + 2 :])
    assert "goes on after its last block" in find_damage(data[:-2] + b"\0\0\0" + data[-2:])


def test_only_the_end_marker_is_missing() -> None:
    """All pixels are there, unless later scans would have refined them."""
    assert find_damage(SOUND["baseline"][:-2]) == ""
    assert "is missing" in find_damage(SOUND["progressive"][:-2])
    assert find_damage(SOUND["baseline"][:-200]) != ""


def test_lengths_of_webp_and_tiff() -> None:
    webp = SOUND["WebP"]
    assert find_damage(webp[:-8]) == "is damaged: the image is cut short"
    tag = bytearray(webp)
    tag[20:23] = (int.from_bytes(tag[20:23], "little") | 0x7FFFF << 5).to_bytes(3, "little")
    assert "a partition of the WebP" in find_damage(bytes(tag))
    chunk = webp[:16] + struct.pack("<I", len(webp)) + webp[20:]
    assert "a chunk of the WebP" in find_damage(chunk)
    with Image.open(io.BytesIO(SOUND["TIFF"])) as image:
        count = image.tag_v2[279][-1]
    where = SOUND["TIFF"].rindex(struct.pack("<HHI", 279, 4, len(image.tag_v2[279])))
    assert count
    for wrong, reason in ((2**30, "beyond the end"), (5, "shorter than its pixels")):
        data = bytearray(SOUND["TIFF"])
        place = (
            where + 8
            if len(image.tag_v2[279]) == 1
            else struct.unpack_from("<I", data, where + 8)[0]
        )
        struct.pack_into("<I", data, place, wrong)
        assert reason in find_damage(bytes(data))


def test_damaged_files_of_any_kind_raise_nothing() -> None:
    for name, data in SOUND.items():
        rng = np.random.default_rng(len(name))
        for _ in range(60):
            broken = bytearray(data)
            for place in rng.integers(0, min(len(data), 700), 4):
                broken[place] = rng.integers(256)
            cut = bytes(broken[: int(rng.integers(2, len(broken)))])
            for each in (bytes(broken), cut):
                if not isinstance(decode_poster(each, (16, 16)), BadPoster):
                    assert isinstance(find_damage(each), str)


def test_check_names_damaged_posters(tmp_path: Path) -> None:
    (tmp_path / "sound.jpg").write_bytes(SOUND["baseline"])
    (tmp_path / "zeroed.jpg").write_bytes(overwritten(SOUND["baseline"], 0.2, "zeros"))
    (tmp_path / "films.csv").write_text("id,genres,poster\n1,Drama,sound.jpg\n2,Drama,zeroed.jpg\n")
    (bad,) = check_catalogue(load_catalogue(tmp_path / "films.csv"))
    assert bad.id == "2"
    assert bad.reason.startswith("is damaged: the data of a scan")


def shared(*parts: str) -> Path:
    folder = Path(__file__).resolve().parents[3] / "shared"
    path = folder.joinpath(*parts)
    return path if path.exists() else pytest.skip(f"no {path}")


@pytest.mark.parametrize("name", ["1.jpg", "2.png", "3.tif"])
def test_damaged_middles_that_were_taken_for_pictures(name: str) -> None:
    assert find_damage(shared("cases", "safe", "02", "posters", name).read_bytes())


def raw(fill: bytes, form: str = "BMP", image: Image.Image = PICTURE) -> bytes:
    """A file without compression, a third of its middle overwritten."""
    data = encode(form, image)
    at = len(data) // 3 + 41
    return data[:at] + fill[: len(data) // 3] + data[at + len(fill[: len(data) // 3]) :]


@pytest.mark.parametrize("form", ["BMP", "PPM", "TIFF"])
def test_what_looks_damaged_is_told_apart(form: str, tmp_path: Path) -> None:
    zeros, random = bytes(10**6), np.random.default_rng(0).bytes(10**6)
    for name, data in [
        ("zeros", raw(zeros, form)),
        ("noise", raw(random, form)),
        ("sound", encode(form)),
    ]:
        (tmp_path / f"{name}.img").write_bytes(data)
    (tmp_path / "films.csv").write_text(
        "id,genres,poster\n1,Drama,zeros.img\n2,Drama,noise.img\n3,Drama,sound.img\n"
    )
    bad, (finding,) = look_at_posters(load_catalogue(tmp_path / "films.csv"))
    assert bad == ()
    assert (finding.kind, finding.count) == ("looks damaged", 2)
    assert finding.examples == ("zeros.img", "noise.img")


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right", "all", "night"])
def test_borders_and_dark_skies_do_not_look_damaged(side: str) -> None:
    pixels = np.array(PICTURE)
    black = {
        "top": np.s_[:60],
        "bottom": np.s_[-60:],
        "left": np.s_[:, :20],
        "right": np.s_[:, -20:],
    }
    for each in black if side == "all" else [side]:
        if each in black:
            pixels[black[each]] = 0
    if side == "night":  # fades to black, with stars
        fade = np.linspace(40, -40, 268)[:, None, None]
        pixels = np.clip(pixels.astype(float) / 9 + fade, 0, 255).astype(np.uint8)
    assert find_suspicion(pixels) == ""
    assert find_suspicion(np.zeros_like(pixels)) == ""


def test_blocks_that_do_not_fit_together() -> None:
    """Where the decoder of a WebP lost its place: there are no checksums, but its blocks tell."""
    greys = np.random.default_rng(0).integers(60, 200, (67, 45, 1), dtype=np.uint8)
    blocks = greys.repeat(4, axis=0).repeat(4, axis=1).repeat(3, axis=2)
    file = encode("WEBP", Image.fromarray(blocks), lossless=True)
    assert find_look(file) == "its blocks do not fit together"
    assert find_look(encode("WEBP", PICTURE)) == ""
    assert find_look(encode("WEBP", Image.new("RGB", (200, 300), "red"))) == ""
