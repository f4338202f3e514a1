"""What libtiff would print is told of the poster, and nothing else of stderr is touched."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybrid.catalogue import load_catalogue
from hybrid.catalogue.check import check_catalogue
from hybrid.images.decode import BadPoster, decode_poster
from hybrid.images.libtiff import collected_errors

NOISE = Image.fromarray(
    np.random.default_rng(0).integers(0, 256, (120, 90, 3), dtype=np.uint8), "RGB"
)


def damaged(compression: str) -> bytes:
    """A TIFF of which a piece in the middle is overwritten."""
    file = io.BytesIO()
    image = NOISE.convert("1") if "group" in compression else NOISE
    image.save(file, "TIFF", compression=compression)
    data = bytearray(file.getvalue())
    data[len(data) // 3 : len(data) // 3 + 200] = bytes(200)
    return bytes(data)


CODED = ["tiff_adobe_deflate", "tiff_lzw", "group3"]  # in G4 zeros are a picture of its own


@pytest.mark.parametrize("compression", CODED)
def test_what_libtiff_says_is_the_reason(
    compression: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Decoders of faxes go on after an error; the picture is not used all the same."""
    found = decode_poster(damaged(compression), (32, 32))
    assert isinstance(found, BadPoster)
    assert found.reason.startswith("is damaged: ")
    assert "Decode" in found.reason
    assert capfd.readouterr().err == ""


def test_threads_do_not_mix_what_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    files = [damaged(each) for each in CODED] * 20
    alone = [decode_poster(data, (32, 32)) for data in files]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda data: decode_poster(data, (32, 32)), files)) == alone
    assert len({found.reason.split(":")[1] for found in alone}) >= 3
    assert capfd.readouterr().err == ""


def test_stderr_of_others_is_left_alone(capfd: pytest.CaptureFixture[str]) -> None:
    """Pillow used by the user's own code prints as ever, and so does whatever else writes there."""
    with collected_errors() as lines:
        os.write(2, b"mine\n")
    with (
        Image.open(io.BytesIO(damaged("tiff_adobe_deflate"))) as image,
        pytest.raises(OSError, match=r"-2"),
    ):
        image.load()
    assert lines == []
    written = capfd.readouterr().err
    assert written.startswith("mine\n")
    assert "ZIPDecode: Decoding error" in written


def test_check_names_the_poster(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.tif").write_bytes(damaged("tiff_adobe_deflate"))
    (tmp_path / "films.csv").write_text("id,genres,poster\n1,Drama,a.tif\n")
    (bad,) = check_catalogue(load_catalogue(tmp_path / "films.csv"))
    assert (bad.poster, bad.reason.split(":")[:2]) == ("a.tif", ["is damaged", " ZIPDecode"])
    assert capfd.readouterr().err == ""
