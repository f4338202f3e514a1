"""Posters decoded in processes of their own: the pixels of threads, and no process that stays behind."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hybrid.extraction.decoding_processes
import hybrid.extraction.embed
from hybrid.backbones.engine import Engine
from hybrid.cache import EmbeddingCache
from hybrid.catalogue import load_catalogue
from hybrid.errors import ExtractionError
from hybrid.extraction.decoding import Decoded, DecodingThreads, Place
from hybrid.extraction.decoding_processes import AT_ONCE, DecodingProcesses, make_decoders
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.pipeline import EmbeddingPipeline, Target
from hybrid.images.decode import Geometry
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context


class FirstPixel(Engine):
    """Embeds a poster as its first pixel."""

    batch_size, depth = 8, 2

    def start(self, posters: Any) -> Callable[[], Any]:
        # Read when it is asked for, as by a GPU: nobody may write to the batch before.
        return lambda: posters[:, 0, 0, :].astype(np.float32)


class Notes:
    """A writer that notes what it is given."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Any] = {}
        self.failures: dict[bytes, str] = {}

    def add(self, keys: Any, rows: Any, failures: Any) -> None:
        self.rows |= dict(zip(keys, rows, strict=True))
        self.failures |= failures


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Small posters of one colour each, one of them with a name that is no UTF-8; the fourth is no image."""
    folder, paths = tmp_path_factory.mktemp("posters"), []
    for i in range(3 * AT_ONCE):
        path = str(folder / ("\udcff.png" if i == 7 else f"{i}.png"))
        Image.new("RGB", (20, 24), (i, 2 * i, 255 - i)).save(path)
        paths.append(path)
    Path(paths[3]).write_bytes(b"no image")
    return paths


@pytest.fixture
def processes() -> Iterator[DecodingProcesses]:
    """Two processes."""
    made = DecodingProcesses(2)
    yield made
    made.close()


def test_each_poster_reaches_its_writers(files: list[str]) -> None:
    done: list[int] = []
    notes = [Notes(), Notes()]
    processes = DecodingProcesses(2)
    processes.ahead = 0  # so that buffers are used again
    dropped = EmbeddingPipeline(processes, done.append)
    for path in files[:5]:
        dropped.put(path, [Target(Geometry((8, 8)), FirstPixel(), Notes())])
    dropped.close()
    flow = EmbeddingPipeline(processes, done.append)
    targets = [Target(Geometry((8, 8)), FirstPixel(), notes[0]),
               Target(Geometry((12, 6), "crop"), FirstPixel(), notes[1])]  # fmt: skip
    for path in [*files, "gone.png"]:
        flow.put(path, targets)
    flow.finish()
    flow.close()
    processes.close()
    assert sum(done) == 2 * (len(files) + 1)
    keys = [hashlib.sha256(Path(path).read_bytes()).digest() for path in files]
    expected = {key: [i, 2 * i, 255 - i] for i, key in enumerate(keys) if i != 3}
    for each in notes:
        assert each.failures == {keys[3]: "is not an image in a known format"}
        assert {key: row.tolist() for key, row in each.rows.items()} == expected


def test_a_process_that_dies_is_an_error_and_the_signals_of_a_terminal_are_not_for_it(
    files: list[str], processes: DecodingProcesses
) -> None:
    buffer = processes.buffer((len(files), 8, 8, 3))

    def put() -> list[Future[Decoded]]:
        places = [Place(Geometry((8, 8)), buffer, i) for i in range(len(files))]
        return [processes.submit(path, [place]) for path, place in zip(files, places, strict=True)]

    assert put()[0].result() is not None
    for process in processes._processes:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(process.pid, number)
    assert None not in [future.result() for future in put()]
    for process in processes._processes:
        process.kill()
    last = put()[-1]
    with pytest.raises(ExtractionError, match=r"ended with code -9 at one of \d+, from .*\.png to"):
        last.result()


def test_what_is_queued_is_dropped_and_buffers_are_used_again(files: list[str]) -> None:
    processes = DecodingProcesses(1)
    buffer = processes.buffer((4, 8, 8, 3))
    processes.release(buffer)
    assert processes.buffer((4, 8, 8, 3)) is buffer
    other = processes.buffer((4, 8, 8, 3))
    assert not np.shares_memory(buffer.pixels, other.pixels)
    place = Place(Geometry((8, 8)), buffer, 0)
    futures = [processes.submit(files[0], [place]) for _ in range(50 * AT_ONCE)]
    processes.close()
    assert all(future.cancelled() or future.result() for future in futures)
    assert futures[-1].cancelled()
    assert processes._processes[0].returncode == 0


KILLED = """
import os, signal
from hybrid.extraction.decoding_processes import DecodingProcesses
processes = DecodingProcesses(1)
processes.submit("no-such-file", []).result()
print(processes._processes[0].pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_process_outlives_the_one_that_started_it() -> None:
    """Its standard error is inherited: that is read to its end, which comes when nobody holds it."""
    command = [sys.executable, "-c", KILLED]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (pid,) = map(int, done.stdout.split())
    assert not Path(f"/proc/{pid}/fd/0").exists()


def test_processes_decode_for_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    monkeypatch.setattr(
        hybrid.extraction.decoding_processes,
        "DecodingProcesses",
        lambda workers: started.append(workers),
    )
    paths = [f"{i}.jpg" for i in range(5000)]
    make_decoders(16, True, len(paths), paths)
    assert started == [16]
    few, stored = paths[:100], [*paths, "films.parquet#3"]
    for workers, gpu, some in (
        (16, False, paths),
        (1, True, paths),
        (16, True, few),
        (16, True, stored),
    ):
        threads = make_decoders(workers, gpu, len(some), some)
        assert isinstance(threads, DecodingThreads)
        threads.close()
    assert started == [16]


@pytest.mark.filterwarnings("ignore:random weights")
def test_an_extraction_gives_the_same_embeddings(
    project: Path, monkeypatch: pytest.MonkeyPatch, shallow_mobilenet: None
) -> None:
    made: list[Any] = []

    def embed(cache: str) -> Any:
        options = EmbeddingOptions(precision="float32", input_size=(64, 48))
        context = Context(cache=cache, workers=2)
        catalogue = load_catalogue("catalogue.csv")
        extract_embeddings(
            catalogue, "mobilenet-075", weights="random", options=options, context=context
        )
        (store,) = EmbeddingCache(cache).stores()
        keys = sorted(key.tobytes() for key in store.view.index.keys)
        return store.read(keys)

    threads = embed("threads")
    with monkeypatch.context() as patched:
        patched.setattr(hybrid.extraction.embed, "has_gpu", lambda: True)
        patched.setattr(hybrid.extraction.decoding_processes, "WORTHWHILE", 10)
        patched.setattr(
            hybrid.extraction.decoding_processes,
            "DecodingProcesses",
            lambda workers: made.append(DecodingProcesses(workers)) or made[0],
        )
        processes = embed("processes")
    assert len(made) == 1
    np.testing.assert_array_equal(threads, processes)
    assert not [each for each in threading.enumerate() if each in made[0]._threads]
