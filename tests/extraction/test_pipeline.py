"""Posters on their way: decoded once for all backbones, in bounded memory, stopped without loss."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
from PIL import Image

import hybrid.extraction.decoding
import hybrid.extraction.plan
import hybrid.extraction.precision_check
from hybrid.backbones import configure, get_backbone, resolve_weights
from hybrid.backbones.engine import Engine, EngineChoice
from hybrid.backbones.engines import load_backbone
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import load_catalogue
from hybrid.errors import CacheError, SettingError
from hybrid.extraction.decoding import DecodingThreads
from hybrid.extraction.extract import extract_backbones, extract_embeddings, plan_extraction
from hybrid.extraction.lookup import make_store
from hybrid.extraction.pipeline import EmbeddingPipeline, Target
from hybrid.extraction.plan import ExtractSettings
from hybrid.extraction.precision_check import check_precision, cosines, resolve_precision
from hybrid.extraction.writer import PartWriter
from hybrid.images.decode import Geometry
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context
from hybrid.utils.interrupt import until_interrupted
from hybrid.utils.progress import Progress

pytestmark = pytest.mark.filterwarnings("ignore:random weights")
NETS = ("mobilenet-075", "vgg16")
SMALL = EmbeddingOptions(precision="float32", input_size=(64, 48))


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None) -> None:
    """What is embedded here, in whatever order, is embedded by the shallow network."""


class FirstPixel(Engine):
    """Embeds a poster as its first pixel; counts what it was given."""

    def __init__(self, batch_size: int = 4, depth: int = 1) -> None:
        self.batch_size, self.depth = batch_size, depth
        self.choice = EngineChoice("keras", "float32", "a processor")
        self.batches: list[int] = []

    def start(self, posters: Any) -> Callable[[], Any]:
        self.batches.append(len(posters))
        rows = posters[:, 0, 0, :].astype(np.float32)
        return lambda: rows


class Notes:
    """A writer that notes what it is given."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Any] = {}
        self.failures: dict[bytes, str] = {}

    def add(self, keys: Any, rows: Any, failures: Any) -> None:
        self.rows |= dict(zip(keys, rows, strict=True))
        self.failures |= failures


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Twenty small posters of one colour each; the fourth is no image."""
    paths = []
    for i in range(20):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (20, 24), (i, 2 * i, 255 - i)).save(path)
        paths.append(str(path))
    Path(paths[3]).write_bytes(b"no image")
    return paths


def key_of(path: str) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("batch", "depth"), [(1, 1), (4, 1), (4, 3), (7, 2), (64, 1)])
def test_each_poster_reaches_its_writer(
    files: list[str], workers: int, batch: int, depth: int
) -> None:
    notes, engine, done = Notes(), FirstPixel(batch, depth), []
    flow = EmbeddingPipeline(DecodingThreads(workers), done.append)
    target = Target(Geometry((8, 8)), engine, notes)
    for path in [*files, "gone.png"]:
        flow.put(path, [target])
    flow.finish()
    flow.close()
    assert sum(done) == 21
    assert max(engine.batches) <= batch
    assert notes.failures == {key_of(files[3]): "is not an image in a known format"}
    expected = {key_of(f): [i, 2 * i, 255 - i] for i, f in enumerate(files) if i != 3}
    assert {key: row.tolist() for key, row in notes.rows.items()} == expected


def test_several_targets_share_one_decoding(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    for name in ("held_poster", "decode_for"):
        whole = getattr(hybrid.extraction.decoding, name)
        monkeypatch.setattr(
            hybrid.extraction.decoding,
            name,
            lambda *a, n=name, f=whole: (calls.append((n, len(a))), f(*a))[1],
        )
    targets = [Target(Geometry((8, 8)), FirstPixel(5), Notes()),
               Target(Geometry((12, 6), "crop"), FirstPixel(3), Notes())]  # fmt: skip
    flow = EmbeddingPipeline(DecodingThreads(2), lambda n: None)
    for i, path in enumerate(files):
        flow.put(path, targets[i % 2 :])
    flow.finish()
    flow.close()
    assert sorted(name for name, _ in calls) == ["decode_for"] * 20 + ["held_poster"] * 20
    assert [len(t.writer.rows) for t in targets] == [10, 19]


@pytest.mark.parametrize("slow", ["engine", "writer"])
def test_what_is_slow_holds_up_the_rest(files: list[str], slow: str) -> None:
    """With the engine or the writer stuck, only so many posters are read ahead."""
    read, stuck, go = [], threading.Event(), threading.Event()

    class Stuck(FirstPixel):
        def start(self, posters: Any) -> Callable[[], Any]:
            if slow == "engine":
                stuck.set()
                go.wait(60)
            return super().start(posters)

    class Slow(Notes):
        def add(self, keys: Any, rows: Any, failures: Any) -> None:
            if slow == "writer":
                stuck.set()
                go.wait(60)
            super().add(keys, rows, failures)

    notes = Slow()
    target, flow = (
        Target(Geometry((8, 8)), Stuck(2), notes),
        EmbeddingPipeline(DecodingThreads(1), lambda n: None),
    )

    def put() -> None:
        for path in files * 5:
            read.append(path)
            flow.put(path, [target])
        flow.finish()

    thread = threading.Thread(target=put)
    thread.start()
    assert stuck.wait(60)
    ahead = len(read)
    go.set()
    thread.join()
    flow.close()
    assert ahead <= 12
    assert len(notes.rows) == 19


def test_a_full_disk_is_an_error_not_a_loss_in_silence(tmp_path: Path) -> None:
    spec = get_backbone("mobilenet-075")
    store = make_store(str(tmp_path), spec, resolve_weights(spec, "random"))

    def refuse(keys: Any, embeddings: Any, costs: Any) -> None:
        raise CacheError("the disk is full")

    store.append = refuse  # type: ignore[method-assign]
    writer = PartWriter(store)
    writer.add([bytes(32)], np.zeros((1, 768), np.float32), {})
    with pytest.raises(CacheError, match="the disk is full"):
        writer.close()


# Several backbones, the same bytes


def store_of(cache: Path, name: str) -> EmbeddingStore:
    (store,) = (s for s in EmbeddingCache(cache).stores() if s.stands_for["architecture"] == name)
    return store


def test_several_backbones_give_what_each_gives_alone(project: Path) -> None:
    catalogue = load_catalogue("catalogue.csv")
    common: dict[str, Any] = {"options": SMALL, "weights": ["random"]}
    how = ExtractSettings(batch_size=16)
    # One has a part of its embeddings already.
    extract_backbones(
        catalogue,
        NETS[:1],
        settings=replace(how, limit=30),
        context=Context(cache="both"),
        **common,
    )
    summaries = extract_backbones(
        catalogue, NETS, settings=how, context=Context(cache="both"), **common
    )
    assert [(s.backbone, s.hits, s.computed) for s in summaries] == [
        ("mobilenet-075", 30, 60),
        ("vgg16", 0, 90),
    ]
    for name in NETS:
        extract_backbones(
            catalogue, [name], settings=how, context=Context(cache=f"only-{name}"), **common
        )
        both, alone = store_of(project / "both", name), store_of(project / f"only-{name}", name)
        keys = [key.tobytes() for key in alone.view.index.keys]
        assert both.has(keys).all()
        scale = alone.read(keys).max()
        np.testing.assert_allclose(both.read(keys), alone.read(keys), atol=2e-3 * scale)


def test_equal_bytes_are_embedded_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(90):
        source = (project / "posters" / f"{i % 5}.png").read_bytes()
        (project / "posters" / f"{i}.png").write_bytes(source)
    decoded: list[bytes] = []
    whole = hybrid.extraction.decoding.decode_for
    monkeypatch.setattr(
        hybrid.extraction.decoding, "decode_for", lambda d, g: (decoded.append(d), whole(d, g))[1]
    )
    summary = extract_embeddings(
        load_catalogue("catalogue.csv"), NETS[0], weights="random", options=SMALL
    )
    assert (summary.images, summary.computed, summary.embedded) == (5, 5, 90)
    assert len(decoded) == 5


@pytest.mark.parametrize(
    ("backbones", "weights", "options", "wanted"),
    [
        ([], ["random"], SMALL, "--backbone: expected at least one, found none"),
        (["vgg16", "vgg16"], ["random"], SMALL, "--backbone: expected each once"),
        (["vgg16"], ["random", "random"], SMALL, "--weights: expected one, or one for each of 1"),
        (NETS, ["random"], EmbeddingOptions(layer="x"), "--layer: expected one backbone"),
    ],
)
def test_what_does_not_go_together(
    films: Path, backbones: Any, weights: Any, options: Any, wanted: str
) -> None:
    with pytest.raises(SettingError, match=wanted):
        extract_backbones(load_catalogue(films), backbones, weights=weights, options=options)


# Limit, ids, dry run


def test_limit_goes_on_where_it_stopped(project: Path) -> None:
    catalogue, counts = load_catalogue("catalogue.csv"), []
    (project / "posters" / "7.png").write_bytes(b"no image")
    for _ in range(3):
        summary = extract_embeddings(
            catalogue, NETS[0], weights="random", options=SMALL, settings=ExtractSettings(limit=40)
        )
        counts.append((summary.hits, summary.computed, summary.left, len(summary.bad)))
        assert summary.embedded == summary.hits + summary.computed
    assert (counts[0][0], counts[0][2]) == (0, 50)
    assert sum(c[1] for c in counts) == 89
    assert counts[-1][2:] == (0, 1)


def test_ids_choose_items(project: Path) -> None:
    catalogue = load_catalogue("catalogue.csv").only(["f003", "f010"])
    assert [*catalogue.ids] == ["f003", "f010"]
    assert catalogue.rows.tolist() == [4, 11]
    assert catalogue.labels.shape[0] == 2
    with pytest.raises(
        SettingError, match=r"found 2 that it does not have: f0100, x.*Did you mean f010"
    ):
        load_catalogue("catalogue.csv").only(["x", "f0100", "f003"])


def test_a_dry_run_computes_nothing_and_estimates(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hybrid.extraction.extract, "TRIAL_SECONDS", 0.05)
    catalogue = load_catalogue("catalogue.csv")
    common: dict[str, Any] = {"options": SMALL, "weights": ["random"]}
    extract_backbones(catalogue, NETS[:1], settings=ExtractSettings(limit=10), **common)
    (plan,) = plan_extraction(catalogue, NETS[:1], settings=ExtractSettings(limit=60), **common)
    assert (plan.images, plan.hits, plan.to_compute, plan.left) == (90, 10, 60, 20)
    assert plan.seconds > 0
    assert plan.bytes == 60 * (768 * 2 + 32)
    assert len(store_of(project / ".hybrid-cache", NETS[0])) == 10


def test_the_command_takes_ids_sizes_and_several_backbones(
    project: Path, hybrid_here: Callable[..., Any]
) -> None:
    (project / "ids.txt").write_text("f001\n\nf002 \n")
    arguments = [
        "extract",
        "--weights",
        "random",
        "--input-size",
        "64x48",
        "--precision",
        "float32",
    ]
    both = [part for name in NETS for part in ("--backbone", name)]
    done = hybrid_here(
        *arguments, *both, "--ids", "f000", "--ids", "@ids.txt", "--json", cwd=project
    )
    assert done.returncode == 0, done.stderr
    assert [(s["backbone"], s["rows"], s["computed"]) for s in json.loads(done.stdout)] == [
        ("mobilenet-075", 3, 3),
        ("vgg16", 3, 3),
    ]
    wrong = hybrid_here(*arguments, *both, "--input-size", "64by48", cwd=project)
    assert wrong.returncode == 2
    assert "expected HEIGHTxWIDTH such as 268x182" in wrong.stderr
    absent = hybrid_here(*arguments, *both, "--ids", "@absent.txt", cwd=project)
    assert absent.returncode == 2
    assert "expected a file with one id a line" in absent.stderr


# Ctrl-C


def test_ctrl_c_is_noted_once_and_obeyed_at_once_the_second_time() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        _press_twice()
    assert signal.getsignal(signal.SIGINT) is before
    found = []
    thread = threading.Thread(target=lambda: found.append(_interrupted_in_thread()))
    thread.start()
    thread.join()
    assert found == [False]


def _press_twice() -> None:
    with until_interrupted() as interrupted:
        assert not interrupted()
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def _press_and_finish(done: list[str]) -> None:
    with until_interrupted():
        signal.raise_signal(signal.SIGINT)
        done.append("what was under way")


def _press_and_wait() -> None:
    with until_interrupted() as interrupted:
        signal.raise_signal(signal.SIGINT)
        interrupted.wait(3600)


def _interrupted_in_thread() -> bool:
    with until_interrupted() as interrupted:
        return interrupted()


def test_ctrl_c_that_nothing_obeyed_is_not_swallowed() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _press_and_finish(done)
    assert done == ["what was under way"]


def test_ctrl_c_before_a_wait_ends_it_before_it_begins() -> None:
    with pytest.raises(KeyboardInterrupt):
        _press_and_wait()


# Another process is at work on all shards, and this one waits an hour before it looks again.
WAITING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import hybrid.extraction.embed
from hybrid.cache import Leases
from hybrid.utils.progress import Progress
hybrid.extraction.embed.WAIT_SECONDS = 3600
Leases.acquire = lambda self, shard: False
from hybrid.cli.main import main
main(sys.argv[1:])
"""


def test_the_first_ctrl_c_ends_the_wait_for_another_process(project: Path, loaded: Any) -> None:
    command = ["extract", "--backbone", NETS[0], "--weights", "random", "--input-size", "64x48"]
    command += ["--precision", "float32", "--workers", "1"]
    reader, writer = os.pipe()
    with os.fdopen(reader) as stderr:
        with os.fdopen(writer, "w") as end:
            process = loaded.start(WAITING, command, end, end)
        said = []
        for line in stderr:
            said.append(line)
            if line.startswith("waiting for another process"):
                os.kill(process, signal.SIGINT)
    assert loaded.wait() == 130, "".join(said)
    assert said[-1] == "interrupted\n"
    assert "Traceback" not in "".join(said)


INTERRUPTED = """
import os, signal, sys
import hybrid.extraction.decoding, hybrid.extraction.plan
from hybrid.backbones.keras_engine import KerasEngine
start, batches = KerasEngine.start, []
def count(self, posters):
    batches.append(len(posters))
    if len(batches) == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return start(self, posters)
KerasEngine.start = count
from hybrid.cli.main import main
main(sys.argv[1:])
"""


def test_ctrl_c_keeps_the_batch_under_way_and_says_how_to_go_on(project: Path, loaded: Any) -> None:
    command = ["extract", "--backbone", NETS[0], "--weights", "random", "--input-size", "64x48"]
    options = ["--precision", "float32", "--batch-size", "10", "--workers", "1"]
    done = loaded.run(INTERRUPTED, *command, *options)
    assert done.returncode == 130
    assert "Run the same command again to continue" in done.stderr
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    (store,) = EmbeddingCache(project / ".hybrid-cache").stores()
    assert len(store) == 30
    assert f"{len(store)} computed" in done.stderr


# The trial of a faster precision


def test_cosines_of_hand_made_rows() -> None:
    a = np.array([[1, 0], [3, 4], [0, 0], [0, 0], [1, 0]], np.float32)
    b = np.array([[0, 2], [6, 8], [0, 0], [1, 0], [-1, 0]], np.float32)
    np.testing.assert_allclose(cosines(a, b), [0, 1, 1, 0, -1])


class Lines(Progress):
    """Notes what it is to say."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.mark.parametrize(("noise", "expected"), [(0.01, "bfloat16"), (0.1, "float32")])
def test_a_precision_that_changes_embeddings_is_not_taken(
    noise: float, expected: str, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = WeakSet[Engine]()

    class Noisy(Engine):
        batch_size, depth = 8, 1

        def __init__(self, spec: Any, weights: Any, choice: EngineChoice, batch: int) -> None:
            assert batch == 8
            assert not loaded, "an engine takes the memory of all weights"
            loaded.add(self)
            self.choice = choice

        def start(self, posters: Any) -> Any:
            random = np.random.default_rng(0)
            exact = random.normal(size=(len(posters), 500)).astype(np.float32)
            noisy = exact + noise * random.normal(size=exact.shape).astype(np.float32)
            return lambda: noisy if self.choice.precision == "bfloat16" else exact

    monkeypatch.setattr(hybrid.extraction.precision_check, "load_backbone", Noisy)
    spec, lines = get_backbone("vgg16"), Lines()
    fast = EngineChoice("keras", "bfloat16", "a processor")
    asked = (fast, spec, resolve_weights(spec, "random"))
    context = Context(workers=2, progress=lines)
    found = check_precision(*asked, files, 8, context)
    assert found.choice == EngineChoice("keras", expected, "a processor")
    assert lines.lines[0] == "checking bfloat16 on 19 posters (vgg16)"
    assert lines.lines[1].startswith(f"{expected} is used: ")
    del found
    nothing = check_precision(*asked, files[3:4], 8, context)
    assert nothing.choice.precision == "float32"


def test_what_the_trial_loaded_embeds_the_rest(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def load(spec: Any, weights: Any, choice: EngineChoice, batch_size: int | None) -> Engine:
        loaded.append(choice.precision)
        engine = load_backbone(spec, weights, replace(choice, precision="float32"), batch_size)
        engine.choice = choice
        return engine

    monkeypatch.setattr(
        hybrid.extraction.plan,
        "choose_engine",
        lambda *a: EngineChoice("keras", "bfloat16", "a processor"),
    )
    monkeypatch.setattr(hybrid.extraction.plan, "load_backbone", load)
    monkeypatch.setattr(hybrid.extraction.precision_check, "load_backbone", load)
    options = EmbeddingOptions(input_size=(64, 48))
    catalogue = load_catalogue("catalogue.csv")
    for limit, expected in ((40, ["float32", "bfloat16"]), (None, ["bfloat16"])):
        with pytest.warns(UserWarning, match="random weights"):
            extract_embeddings(
                catalogue,
                NETS[0],
                weights="random",
                options=options,
                settings=ExtractSettings(limit=limit),
            )
        assert loaded == expected
        loaded.clear()


def test_what_the_cache_has_is_gone_on_with(tmp_path: Path) -> None:
    spec = configure(get_backbone("mobilenet-075"), input_size=(64, 48))
    weights, cache = resolve_weights(spec, "random"), str(tmp_path / "cache")
    choice = EngineChoice("keras", "bfloat16", "a processor")

    def precision(asked: str = "auto") -> str | None:
        options = EmbeddingOptions(precision=asked)
        known = resolve_precision(choice, options, cache, spec, weights)
        return known and known.precision

    assert precision() is None
    assert precision("bfloat16") == "bfloat16"
    make_store(cache, spec, weights, "float32", "float32")
    assert precision() is None
    exact = make_store(cache, spec, weights, "float16", "float32")
    assert precision() == "float32"
    fast = make_store(cache, spec, weights, "float16", "bfloat16")
    fast.append([bytes(32)], np.ones((1, 768), np.float32))
    assert precision() == "bfloat16"
    exact.append([bytes(32), b"1" * 32], np.ones((2, 768), np.float32))
    assert precision() == "float32"


# Memory


@pytest.mark.slow
def test_memory_is_flat(tmp_path: Path) -> None:
    """RSS after 100,000 posters is within 5 % of that after 10,000."""
    (tmp_path / "posters").mkdir()
    random = np.random.default_rng(0)
    rows = ["id,genres,poster"]
    for i in range(100_000):
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "posters" / f"{i}.png")
        rows.append(f"{i},Drama,posters/{i}.png")
    (tmp_path / "catalogue.csv").write_text("\n".join(rows))
    code = (
        "import hybrid.extraction.writer as w, json\n"
        "from hybrid.catalogue.load import load_catalogue\n"
        "from hybrid.extraction.extract import extract_embeddings\n"
        "from hybrid.extraction.plan import ExtractSettings\n"
        "from hybrid.types import EmbeddingOptions\n"
        "seen, add = {}, w.PartWriter.add\n"
        "def rss():\n"
        "    status = open('/proc/self/status').read()\n"
        "    return int(status.partition('VmRSS:')[2].split()[0])\n"
        "def noted(self, *a):\n"
        "    add(self, *a)\n"
        "    if self.embedded % 10_000 < 64:\n"
        "        seen[self.embedded // 10_000] = rss()\n"
        "w.PartWriter.add = noted\n"
        "options = EmbeddingOptions(precision='float32', input_size=(32, 32))\n"
        "extract_embeddings(load_catalogue('catalogue.csv'), 'mobilenet-075', weights='random',\n"
        "                   options=options, settings=ExtractSettings(batch_size=64))\n"
        "seen[10] = rss()\n"
        "print(json.dumps(seen))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    seen = json.loads(done.stdout)
    assert seen["10"] <= 1.05 * seen["1"], seen
