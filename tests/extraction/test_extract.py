"""Posters → cache: what is computed, what is not, and what is bad."""

from __future__ import annotations

import hashlib
import signal
import struct
import zlib
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hybrid.backbones import Weights, get_backbone, resolve_weights
from hybrid.backbones.engines import load_backbone
from hybrid.cache import EmbeddingCache, Leases
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.catalogue.check import check_catalogue
from hybrid.errors import CatalogueError, ExtractionError, SettingError
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.lookup import find_store, hash_catalogue, make_store
from hybrid.extraction.plan import ExtractSettings
from hybrid.types import EmbeddingOptions, EmbeddingSelector, ExtractSummary
from hybrid.utils.context import Context

pytestmark = pytest.mark.filterwarnings("ignore:random weights")
NET = "mobilenet-075"


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None) -> None:
    """What is embedded here, in whatever order, is embedded by the shallow network."""


EXACT = EmbeddingOptions(precision="float32")  # the same on every processor


def extract(catalogue: Catalogue, cache: Path, **settings: Any) -> ExtractSummary:
    said = {"weights": "random", "options": EXACT}
    said |= {name: settings.pop(name) for name in ("weights", "options") if name in settings}
    context = {name: settings.pop(name) for name in ("seed", "workers") if name in settings}
    return extract_embeddings(
        catalogue,
        NET,
        settings=ExtractSettings(**settings),
        context=Context(str(cache), **context),
        **said,
    )


def png(width: int = 32, height: int = 48, mode: str = "RGB") -> bytes:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    data = BytesIO()
    Image.fromarray(pixels).convert(mode).save(data, "PNG")
    return data.getvalue()


def bomb() -> bytes:
    """A PNG of a few bytes that claims 50,000 x 50,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


GOOD = {
    "plain": ("posters/plain.png", png()),
    "named-jpg": ("posters/really-png.jpg", png(33)),
    "alpha": ("posters/alpha.png", png(34, mode="RGBA")),
    "non-ascii": ("posters/Amélie ☃.png", png(35)),
    "same-bytes": ("posters/copy.png", png()),
}
BAD = {
    "missing": ("posters/missing.jpg", None, "file not found"),
    "empty": ("posters/empty.jpg", b"", "the file is empty"),
    "cut": ("posters/cut.png", png()[:500], "cannot be decoded"),
    "html": ("posters/html.jpg", b"<!DOCTYPE html><html>", "is a web page"),
    "tiny": ("posters/tiny.png", png(15, 15), "too small"),
    "bomb": ("posters/bomb.png", bomb(), "decompression bomb"),
    "folder": ("posters", None, "is a folder"),
    "outside": ("../x.jpg", None, "leaves the catalogue's folder"),
    "absolute": ("/etc/passwd", None, "is absolute"),
    "unnamed": ("", None, "no poster named"),
}


@pytest.fixture
def messy(tmp_path: Path) -> Catalogue:
    """Every kind of bad poster among good ones, a row without genres, a second row with one id."""
    (tmp_path / "posters").mkdir()
    rows = []
    for name, (poster, data, *_) in {**GOOD, **BAD}.items():
        if data is not None:
            (tmp_path / poster).write_bytes(data)
        rows.append((name, "Drama", poster))
    rows += [("no-genre", "", "posters/plain.png"), ("plain", "Drama", "posters/copy.png")]
    table = pd.DataFrame(rows, columns=["id", "genres", "poster"])
    table.to_csv(tmp_path / "catalogue.csv", index=False)
    return load_catalogue(tmp_path / "catalogue.csv")


def test_check_lists_each_bad_row(messy: Catalogue) -> None:
    bad = check_catalogue(messy)
    expected = [(len(GOOD) + 1 + i, name) for i, name in enumerate(BAD)]
    expected += [(len(GOOD) + len(BAD) + 1, "no-genre"), (len(GOOD) + len(BAD) + 2, "plain")]
    assert [(row.row, row.id) for row in bad] == expected
    for row, (_, _, reason) in zip(bad, BAD.values(), strict=False):
        assert reason in row.reason
    assert "no genres" in bad[-2].reason
    assert "already used in row 1" in bad[-1].reason


def test_bad_posters_are_counted_and_the_rest_is_embedded(messy: Catalogue, tmp_path: Path) -> None:
    summary = extract(messy, tmp_path / "cache")
    assert [row.id for row in summary.bad] == list(BAD)
    assert summary.embedded == len(GOOD) + 1  # and the row without genres
    assert summary.computed == len(GOOD) - 1  # two rows have the same bytes
    again = extract(messy, tmp_path / "cache")
    assert (again.computed, again.hits) == (0, len(GOOD) - 1)
    assert again.bad == summary.bad


def test_embeddings_are_those_of_the_decoded_posters(films: Path, tmp_path: Path) -> None:
    catalogue = load_catalogue(films)
    extract(catalogue, tmp_path / "cache", batch_size=7, workers=3)
    store = find_store(catalogue, context=Context(cache=str(tmp_path / "cache")))
    files = [films.parent / poster for poster in catalogue.posters[:5]]
    keys = [hashlib.sha256(file.read_bytes()).digest() for file in files]
    bilinear = Image.Resampling.BILINEAR
    images = [np.asarray(Image.open(file).resize((224, 224), bilinear)) for file in files]
    spec = get_backbone(NET)
    expected = load_backbone(spec, resolve_weights(spec, "random"))(np.stack(images))
    np.testing.assert_allclose(store.read(keys), expected, rtol=1e-3, atol=1e-4)


def test_a_changed_poster_is_a_miss_and_a_renamed_one_a_hit(project: Path) -> None:
    extract(load_catalogue("catalogue.csv"), project / "cache")
    (project / "posters" / "0.png").write_bytes(png(77))
    (project / "posters" / "1.png").rename(project / "posters" / "renamed.png")
    text = Path("catalogue.csv").read_text().replace("posters/1.png", "posters/renamed.png")
    Path("catalogue.csv").write_text(text)
    summary = extract(load_catalogue("catalogue.csv"), project / "cache")
    assert (summary.hits, summary.computed, summary.bad) == (89, 1, ())


def test_random_weights_are_loud(project: Path) -> None:
    with pytest.warns(UserWarning, match="random weights: these embeddings mean nothing"):
        extract(load_catalogue("catalogue.csv"), project / "cache")


def test_interrupted_job_keeps_what_it_computed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hybrid.backbones.keras_engine import KerasEngine

    calls, start = [], KerasEngine.start

    def stop_at_third(self: Any, posters: Any) -> Any:
        calls.append(len(posters))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return start(self, posters)

    monkeypatch.setattr(KerasEngine, "start", stop_at_third)
    catalogue = load_catalogue("catalogue.csv")
    with pytest.raises(KeyboardInterrupt):
        extract(catalogue, project / "cache", batch_size=10)
    (store,) = EmbeddingCache(project / "cache").stores()
    assert len(store) == 20
    assert extract(catalogue, project / "cache").hits == 20


def test_killed_job_resumes(project: Path, loaded: Any) -> None:
    code = (
        "import warnings\n"
        "warnings.simplefilter('ignore')\n"
        "import os, signal, hybrid.extraction.extract as e, hybrid.extraction.writer as w\n"
        "from hybrid.catalogue.load import load_catalogue\n"
        "w.PART_ROWS, w.PART_SECONDS = 20, 3600.0\n"
        "write = w.PartWriter._write\n"
        "def killed(*arguments):\n"
        "    write(*arguments)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "w.PartWriter._write = killed\n"
        "from hybrid.types import EmbeddingOptions\n"
        f"e.extract_embeddings(load_catalogue('catalogue.csv'), {NET!r}, weights='random',\n"
        "    settings=e.ExtractSettings(batch_size=10),\n"
        "    options=EmbeddingOptions(precision='float32'))\n"
    )
    done = loaded.run(code)
    assert done.returncode == -signal.SIGKILL
    summary = extract(load_catalogue("catalogue.csv"), project / ".hybrid-cache")
    assert (summary.hits, summary.computed) == (20, 70)


def test_a_job_waits_for_another_that_has_a_share(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it waits it holds no lease itself: two jobs could wait for each other for ever."""
    import hybrid.utils.interrupt as module

    catalogue, cache = load_catalogue("catalogue.csv"), project / "cache"
    spec = get_backbone(NET)
    store = make_store(str(cache), spec, resolve_weights(spec, "random"))
    key = hashlib.sha256((project / "posters" / "5.png").read_bytes()).digest()
    other, waited = Leases(store.folder), []
    assert other.acquire(key[:1].hex())

    def wait(seconds: float) -> None:
        waited.append([path.name for path in (store.folder / "claims").glob("*.claim")])
        if len(waited) == 3:
            other.release()

    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=wait))
    summary = extract(catalogue, cache)
    assert waited == [[f"{key[:1].hex()}.claim"]] * 3
    assert (summary.computed, summary.bad) == (90, ())
    assert len(EmbeddingCache(cache).find(store.fingerprint)) == 90


def test_two_sets_of_embeddings_must_be_chosen_from(project: Path) -> None:
    catalogue, cache = load_catalogue("catalogue.csv"), str(project / "cache")
    with pytest.raises(ExtractionError, match=r"expected embeddings for catalogue.csv"):
        find_store(catalogue, context=Context(cache=cache))
    for seed in (0, 1):
        extract(catalogue, project / "cache", seed=seed)
    with pytest.raises(SettingError, match=r"found 2:\n.*seed .\b.*\n.*seed .\b"):
        find_store(catalogue, context=Context(cache=cache))
    chosen = find_store(
        catalogue,
        select=EmbeddingSelector(backbone=NET, weights="random"),
        context=Context(cache=cache, seed=1),
    )
    assert chosen.recorded["seed"] == 1


def test_imagenet_weights_are_not_downloaded_to_find_their_embeddings(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(project / "empty"))
    catalogue, context = load_catalogue("catalogue.csv"), Context(cache=str(project / "cache"))
    keys = [key for key in hash_catalogue(catalogue) if isinstance(key, bytes)]
    spec = get_backbone(NET)
    for kind in ("imagenet", "file"):
        made = make_store(context.cache, spec, Weights(kind, kind * 8, None))
        made.append(keys, np.ones((len(keys), 768), dtype=np.float32))
    found = find_store(catalogue, EmbeddingSelector(NET, "imagenet"), context)
    assert found.recorded["kind"] == "imagenet"


def test_wrong_parameters_are_listed_together(films: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"--batch-size: .*\n--limit: "):
        extract(load_catalogue(films), tmp_path, limit=0, batch_size=0)


def test_no_poster_column(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("id,genres\n1,Drama\n")
    with pytest.raises(CatalogueError, match="expected a column 'poster'"):
        extract(load_catalogue(tmp_path / "c.csv"), tmp_path / "cache")
