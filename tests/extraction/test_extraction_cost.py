"""What an extraction cost, as recorded with its embeddings: by a clock that the tests wind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hybrid.backbones.engine import Engine
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import load_catalogue
from hybrid.cli.extract import _text
from hybrid.extraction import embed
from hybrid.extraction.decoding import DecodingThreads
from hybrid.extraction.extract import extract_backbones
from hybrid.extraction.pipeline import EmbeddingPipeline, Target
from hybrid.extraction.plan import Job
from hybrid.extraction.wall_clock import WallClock
from hybrid.extraction.writer import PartWriter
from hybrid.images.decode import Geometry
from hybrid.images.files import poster_key
from hybrid.types import EmbeddingOptions, ExtractSummary
from hybrid.utils.context import Context

SIZE = Geometry((8, 8))


class Time:
    """Time that passes only where the test lets it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow(Engine):
    """An engine that takes so many seconds a batch, when it starts and when it is waited for."""

    def __init__(self, time: Time, starts: float, waits: float, batch_size: int) -> None:
        self.time, self.starts, self.waits = time, starts, waits
        self.batch_size, self.depth = batch_size, 1

    def start(self, posters: Any) -> Any:
        self.time.now += self.starts
        rows = posters[:, 0, 0].astype(np.float32)

        def result() -> Any:
            self.time.now += self.waits
            return rows

        return result


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(12)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    return [str(path) for path in paths]


def make(tmp_path: Path, name: str) -> EmbeddingStore:
    return EmbeddingCache(tmp_path / "cache").make({"architecture": name, "dimension": 3})


def keys_of(files: list[str]) -> list[bytes]:
    return [poster_key(Path(path).read_bytes()) for path in files]


def test_a_backbone_pays_for_its_own_batches(files: list[str], tmp_path: Path) -> None:
    time = Time()
    clock = WallClock(time)
    stores = [make(tmp_path, name) for name in ("fast", "slow")]
    writers = [PartWriter(store, clock, "a processor") for store in stores]
    # Batches of 4 and of 6: 3 of (1 + 0.5) s, and 2 of (10 + 2) s.
    engines = [Slow(time, 1.0, 0.5, 4), Slow(time, 10.0, 2.0, 6)]
    targets = [
        Target(SIZE, engine, writer) for engine, writer in zip(engines, writers, strict=True)
    ]
    pipeline = EmbeddingPipeline(DecodingThreads(1), lambda n: None, clock)
    for path in files:
        time.now += 0.2  # to find the file: shared
        pipeline.put(path, targets)
    pipeline.finish()
    pipeline.close()
    for writer in writers:
        writer.close()
    shared = 12 * 0.2 / 2
    fast, slow = (store.cost(keys_of(files)) for store in stores)
    assert fast.seconds == pytest.approx(3 * 1.5 + shared, rel=1e-5)
    assert slow.seconds == pytest.approx(2 * 12 + shared, rel=1e-5)
    assert fast.seconds + slow.seconds == pytest.approx(time.now, rel=1e-5)
    assert fast.unknown == slow.unknown == 0
    assert fast.devices == ("a processor",)


def test_a_file_that_only_one_backbone_lacks_is_paid_by_it(
    files: list[str], tmp_path: Path
) -> None:
    time = Time()
    clock = WallClock(time)
    stores = [make(tmp_path, name) for name in ("all", "half")]
    writers = [PartWriter(store, clock, "a processor") for store in stores]
    targets = [Target(SIZE, Slow(time, 1.0, 0.0, 6), writer) for writer in writers]
    pipeline = EmbeddingPipeline(DecodingThreads(1), lambda n: None, clock)
    for i, path in enumerate(files):
        time.now += 0.5
        pipeline.put(path, targets if i < 6 else targets[:1])
    pipeline.finish()
    pipeline.close()
    for writer in writers:
        writer.close()
    assert stores[0].cost(keys_of(files)).seconds == pytest.approx(2 + 6 * 0.25 + 6 * 0.5)
    assert stores[1].cost(keys_of(files)).seconds == pytest.approx(1 + 6 * 0.25)


def test_an_interrupted_and_a_resumed_extraction_add_up(files: list[str], tmp_path: Path) -> None:
    store, made, spent = make(tmp_path, "resumed"), keys_of(files), []
    for interrupted in (True, False):
        time = Time()
        clock = WallClock(time)
        writer = PartWriter(store, clock, "a processor")
        pipeline = EmbeddingPipeline(DecodingThreads(1), lambda n: None, clock)
        target = Target(SIZE, Slow(time, 3.0, 0.0, 3), writer)
        for path, key in zip(files, made, strict=True):
            if not store.has([key])[0]:
                pipeline.put(path, [target])
        if not interrupted:
            pipeline.finish()
        pipeline.close()
        writer.close()
        spent.append(time.now)
        assert 0 < len(store) <= 12
    assert len(store) == 12
    assert store.cost(made).unknown == 0
    # Batches of 3, 3 s each; in two processes, and none of them twice.
    assert store.cost(made).seconds == sum(spent) == 12.0


def test_what_cannot_be_decoded_is_paid_by_the_rest(files: list[str], tmp_path: Path) -> None:
    Path(files[0]).write_bytes(b"no image")
    time = Time()
    clock = WallClock(time)
    store = make(tmp_path, "bad")
    writer = PartWriter(store, clock, "a processor")
    pipeline = EmbeddingPipeline(DecodingThreads(1), lambda n: None, clock)
    target = Target(SIZE, Slow(time, 1.0, 0.0, 3), writer)
    for path in files[:3]:
        time.now += 1.0
        pipeline.put(path, [target])
    pipeline.finish()
    pipeline.close()
    writer.close()
    assert store.cost(keys_of(files)).seconds == pytest.approx(4.0)
    assert store.cost(keys_of(files)).embeddings == 2


def test_time_that_waits_for_another_process_is_nobodys() -> None:
    time = Time()
    clock = WallClock(time)
    time.now = 5.0
    clock.skip()
    time.now = 6.0
    clock.charge("a")
    clock.add("a", 13.0)  # the trial of a precision
    assert clock.take("a") == 14.0


def test_embeddings_that_nobody_timed_have_an_unknown_cost(tmp_path: Path) -> None:
    store = make(tmp_path, "plain")
    writer = PartWriter(store)
    writer.add([bytes(32)], np.ones((1, 3), np.float32), {})
    writer.close()
    assert store.cost([bytes(32)]).unknown == 1


class Wide(Slow):
    """Likewise, with embeddings of so many columns."""

    dimension = 0

    def start(self, posters: Any) -> Any:
        result = super().start(posters)
        return lambda: np.repeat(result()[:, :1], self.dimension, axis=1)


@pytest.mark.filterwarnings("ignore:random weights")
def test_each_backbone_reports_its_own_seconds(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time()

    def load(job: Job, writer: PartWriter, *_: object) -> Target:
        fast = job.spec.name == "mobilenet-075"
        time.now += 5.0 if fast else 40.0  # to load it
        engine = Wide(time, *((1.0, 0.5, 4) if fast else (10.0, 2.0, 6)))
        engine.dimension = job.spec.dimension
        return Target(SIZE, engine, writer)

    monkeypatch.setattr(embed, "load_target", load)
    monkeypatch.setattr(embed, "WallClock", lambda: WallClock(time))
    table = tmp_path / "catalogue.csv"
    table.write_text(
        "id,poster\n" + "".join(f"{Path(file).stem},{Path(file).name}\n" for file in files)
    )
    films = load_catalogue(table)

    def run(*names: str) -> tuple[ExtractSummary, ...]:
        options = EmbeddingOptions(precision="float32")
        context = Context(str(tmp_path / "cache"), workers=1)
        how = {"weights": ["random"], "options": options, "context": context}
        return extract_backbones(films, names, **how)  # type: ignore[arg-type]

    fast, slow = run("mobilenet-075", "inception")
    # Loading, and batches of 4 and of 6: 3 of (1 + 0.5) s, and 2 of (10 + 2) s.
    assert fast.seconds == pytest.approx(5.0 + 4.5)
    assert slow.seconds == pytest.approx(40.0 + 24.0)
    assert fast.rate == pytest.approx(12 / 4.5)
    assert slow.rate == pytest.approx(12 / 24.0)
    for summary in (fast, slow):
        store = EmbeddingCache(tmp_path / "cache").find(summary.fingerprint)
        assert store.cost(keys_of(files)).seconds == pytest.approx(summary.seconds, rel=1e-5)
    (again,) = run("inception")
    assert (again.computed, again.seconds, again.rate) == (0, 0.0, 0.0)
    said = [_text(summary, ".hybrid-cache") for summary in (fast, slow, again)]
    assert "12 computed in 9.5 s, 3 a second (keras, float32); peak" in said[0]
    assert "12 computed in 64.0 s, 0 a second (keras, float32); peak" in said[1]
    assert "12 cached, nothing to compute; peak" in said[2]
