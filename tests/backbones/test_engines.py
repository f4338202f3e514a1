"""Engines: which is chosen, that they agree, and what happens when memory ends."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import hybrid
import hybrid.backbones.devices as devices
import hybrid.backbones.engine as engine_module
import hybrid.backbones.engines as engines
from hybrid.backbones import BackboneSpec, configure, get_backbone, resolve_weights
from hybrid.backbones.backend import is_out_of_memory
from hybrid.backbones.batch_size import find_batch_size
from hybrid.backbones.engine import Engine, EngineChoice, MemoryExhausted
from hybrid.backbones.engine_benchmark import fastest_engine
from hybrid.backbones.engines import choose_engine, load_backbone
from hybrid.backbones.folding import fold_batch_norm
from hybrid.backbones.load import load_network
from hybrid.backbones.measurements import (
    BATCH_SIZES,
    ENGINES,
    load_measurement,
    save_measurement,
    user_cache_folder,
)
from hybrid.catalogue import load_catalogue
from hybrid.errors import ExtractionError, SettingError, WeightsError
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.plan import ExtractSettings
from hybrid.types import EmbeddingOptions
from hybrid.utils.progress import Progress

NET = "mobilenet-075"
TINY = configure(get_backbone("small"), input_size=(24, 22))  # where the network does not matter
# Branches, average pooling and 1 x 7 convolutions; the other blocks are alike.
INCEPTION = configure(get_backbone("inception"), input_size=(96, 80), layer="mixed4")
VGG16 = configure(get_backbone("vgg16"), input_size=(96, 80))
MOBILENET = configure(get_backbone(NET), input_size=(96, 80))
CPU = EngineChoice("keras", "float32", "a processor")


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep nothing on this machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))


def posters(size: tuple[int, int], n: int = 5) -> Any:
    return np.random.default_rng(1).integers(0, 256, (n, *size, 3), dtype=np.uint8)


def cosines(a: Any, b: Any) -> Any:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@functools.cache
def in_float32(spec: BackboneSpec) -> Any:
    """What Keras computes of eleven posters with random weights."""
    return load_backbone(spec, resolve_weights(spec, "random"))(posters(spec.input_size, 11))


# The choice


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend to be a machine: flags of its processor, GPU with or without bfloat16, OpenVINO."""

    def pretend(flags: str = "", gpu: bool | None = None, openvino: bool = False) -> None:
        cpuinfo = tmp_path / "cpuinfo"
        cpuinfo.write_text(f"processor : 0\nmodel name : Some CPU\nflags : fpu {flags} sse\n")
        monkeypatch.setattr(devices, "CPU_FLAGS", cpuinfo)
        for cached in (devices.processor_flags, devices.processor_name):
            cached.cache_clear()
        monkeypatch.setattr(engines, "has_gpu", lambda: gpu is not None)
        monkeypatch.setattr(engines, "gpu_has_bfloat16", lambda: bool(gpu))
        monkeypatch.setattr(engines, "gpu_name", lambda: "Some GPU")
        found = importlib.util.find_spec("os") if openvino else None
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)

    yield pretend
    for cached in (devices.processor_flags, devices.processor_name):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("here", "asked", "expected"),
    [
        ({}, ("keras", "auto"), ("keras", "float32", "Some CPU")),
        ({"flags": "avx512_bf16"}, ("keras", "auto"), ("keras", "bfloat16", "Some CPU")),
        ({"flags": "amx_bf16"}, ("auto", "auto"), ("keras", "bfloat16", "Some CPU")),
        ({"flags": "amx_bf16"}, ("auto", "float32"), ("keras", "float32", "Some CPU")),
        (
            {"flags": "bf16", "openvino": True},
            ("auto", "auto"),
            ("openvino", "bfloat16", "Some CPU"),
        ),
        ({"openvino": True}, ("keras", "bfloat16"), ("keras", "bfloat16", "Some CPU")),
        ({"gpu": True, "openvino": True}, ("auto", "auto"), ("keras", "bfloat16", "Some GPU")),
        ({"gpu": False}, ("auto", "auto"), ("keras", "float32", "Some GPU")),
        (
            {"gpu": True, "openvino": True},
            ("openvino", "auto"),
            ("openvino", "float32", "Some CPU"),
        ),
    ],
)
def test_what_is_chosen(
    machine: Callable[..., None], here: Any, asked: tuple[str, str], expected: tuple[str, ...]
) -> None:
    machine(**here)
    assert choose_engine(*asked) == EngineChoice(*expected)


def test_openvino_cannot_read_what_jax_exports(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine(openvino=True)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert choose_engine("auto", "float32").engine == "keras"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    spec = configure(get_backbone(NET), input_size=(64, 48))
    choice = EngineChoice("openvino", "float32", "here")
    with pytest.raises(SettingError, match=r"found JAX.*KERAS_BACKEND=tensorflow .*is kept"):
        load_backbone(spec, resolve_weights(spec, "random"), choice)


def test_what_cannot_be_chosen(machine: Callable[..., None]) -> None:
    machine()
    with pytest.raises(SettingError, match=r"unknown engine 'open-vino'. Did you mean openvino"):
        choose_engine("open-vino")
    with pytest.raises(SettingError, match=r"unknown precision 'bf16'. Did you mean bfloat16"):
        choose_engine("keras", "bf16")
    with pytest.raises(SettingError, match=r'pip install "hybrid-posters\[openvino\]"'):
        choose_engine("openvino")


# Folding


def small(build: Callable[[Any], Any]) -> keras.Model:
    inputs = keras.Input((9, 8, 3))
    network = keras.Model(inputs, build(inputs))
    random = np.random.default_rng(2)
    for variable in network.weights:
        variable.assign(random.uniform(0.2, 1.5, variable.shape))
    return network


def normalized(layer: Any, **options: Any) -> Callable[[Any], Any]:
    return lambda x: keras.layers.BatchNormalization(**options)(layer(x))


@pytest.mark.parametrize(
    "build",
    [
        normalized(keras.layers.Conv2D(4, 3)),
        normalized(keras.layers.Conv2D(4, 3, use_bias=False, strides=2), scale=False),
        normalized(keras.layers.DepthwiseConv2D(3, depth_multiplier=2), center=False),
        normalized(keras.layers.SeparableConv2D(4, 3, use_bias=False), epsilon=0.1),
    ],
    ids=["conv", "no bias, no scale", "depthwise, no centre", "separable"],
)
def test_a_normalisation_is_folded(build: Callable[[Any], Any]) -> None:
    network = small(build)
    folded = fold_batch_norm(network)
    kinds = [type(layer).__name__ for layer in folded.layers]
    assert "BatchNormalization" not in kinds
    images = np.random.default_rng(3).normal(size=(2, 9, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(
        folded(images), network(images, training=False), rtol=1e-4, atol=1e-5
    )


def used_twice(x: Any) -> Any:
    y = keras.layers.Conv2D(4, 3)(x)
    return keras.layers.Add()([y, keras.layers.BatchNormalization()(y)])


@pytest.mark.parametrize(
    "build",
    [
        normalized(keras.layers.Conv2D(4, 3, activation="relu")),
        used_twice,
        lambda x: keras.layers.Conv2D(4, 3)(keras.layers.BatchNormalization()(x)),
    ],
    ids=["activation between", "used twice", "before the convolution"],
)
def test_what_cannot_be_folded_stays(build: Callable[[Any], Any]) -> None:
    network = small(build)
    assert fold_batch_norm(network) is network


def test_folding_leaves_the_network_as_it_was() -> None:
    network = small(normalized(keras.layers.Conv2D(4, 3)))
    before = network.get_weights()
    fold_batch_norm(network)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# Precision and agreement


@pytest.mark.parametrize("spec", [VGG16, INCEPTION], ids=lambda spec: spec.name)
def test_bfloat16_is_near_float32(spec: BackboneSpec) -> None:
    weights = resolve_weights(spec, "random")
    images, exact = posters(spec.input_size, 11), in_float32(spec)
    half = load_backbone(spec, weights, EngineChoice("keras", "bfloat16", ""))(images)
    assert not np.array_equal(exact, half)
    assert cosines(exact, half).min() >= 0.999
    assert keras.config.dtype_policy().name == "float32"


def test_a_batch_of_any_size_gives_the_same() -> None:
    spec = TINY
    engine = load_backbone(spec, resolve_weights(spec, "random"), CPU, batch_size=3)
    images = posters(spec.input_size, 7)
    whole = engine(images)
    alone = np.concatenate([engine(images[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(whole, alone, rtol=1e-4, atol=1e-4 * whole.max())


@pytest.mark.parametrize("spec", [MOBILENET, INCEPTION, VGG16], ids=lambda spec: spec.name)
def test_openvino_agrees_with_keras(spec: BackboneSpec) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    weights = resolve_weights(spec, "random")
    images, expected = posters(spec.input_size, 11), in_float32(spec)
    for precision in filter(devices.processor_has, ("float32", "bfloat16")):
        engine = load_backbone(spec, weights, EngineChoice("openvino", precision, "here"))
        found = engine(images)
        assert found.dtype == np.float32
        assert cosines(found, expected).min() >= 0.999
        if precision == "float32":
            assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_openvino_keeps_its_export_and_makes_a_damaged_one_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    import hybrid.backbones.load as load

    spec = TINY
    weights, choice = resolve_weights(spec, "random"), EngineChoice("openvino", "float32", "here")
    images = posters(spec.input_size)
    first = load_backbone(spec, weights, choice)(images)
    made: list[str] = []
    whole = load.load_network
    monkeypatch.setattr(load, "load_network", lambda *a: (made.append("again"), whole(*a))[1])
    np.testing.assert_array_equal(load_backbone(spec, weights, choice)(images), first)
    assert made == []
    (folder,) = (user_cache_folder() / "openvino").iterdir()
    numbers = bytearray((folder / "network.bin").read_bytes())
    numbers[1000] ^= 255
    (folder / "network.bin").write_bytes(numbers)
    np.testing.assert_array_equal(load_backbone(spec, weights, choice)(images), first)
    assert made == ["again"]
    load_backbone(spec, resolve_weights(spec, "random", 1), choice)
    assert made == ["again", "again"]


# Ctrl-C after an engine that the main thread made was dropped by another thread.
DROPPED = """
import signal, sys, threading
from hybrid.backbones import configure, get_backbone, resolve_weights
from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.engines import load_backbone
signal.signal(signal.SIGINT, signal.default_int_handler)
spec = configure(get_backbone("small"), input_size=(24, 22))
choice = EngineChoice("openvino", "float32", "here")
engines = [load_backbone(spec, resolve_weights(spec, "random"), choice)]
thread = threading.Thread(target=engines.clear)
thread.start()
thread.join()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_ctrl_c_is_no_crash_once_openvino_was_used(loaded: Any) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    done = loaded.run(DROPPED)
    assert done.returncode == 130, done.stderr


def test_openvino_is_started_at_one_place() -> None:
    """So that it lives as long as the process; see `openvino_core`."""
    root = Path(hybrid.__file__).parent
    found = [
        path.name for path in root.rglob("*.py") if "openvino.Core(" in path.read_text("utf-8")
    ]
    assert found == ["openvino_engine.py"]
    assert "openvino.Core(" in (root / "backbones" / "openvino_engine.py").read_text("utf-8")


def test_openvino_says_when_it_lacks_a_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    import hybrid.backbones.openvino_engine as module

    monkeypatch.setitem(module.HINTS, "float16", "f32")  # what OpenVINO silently turns it into
    spec = TINY
    engine = load_backbone(
        spec, resolve_weights(spec, "random"), EngineChoice("openvino", "float32", "here")
    )
    monkeypatch.setitem(module.HINTS, "float32", "f16")
    with pytest.raises(SettingError, match=r"--precision float32: .*computes in f32.*emulates"):
        engine._check_precision()


BACKEND = """
import sys, numpy as np
from hybrid.backbones import BackboneSpec, configure, get_backbone, resolve_weights
from hybrid.backbones.engines import load_backbone
import keras
assert keras.backend.backend() == sys.argv[1]
spec = configure(get_backbone("mobilenet-075"), input_size=(64, 48))
images = np.random.default_rng(1).integers(0, 256, (5, 64, 48, 3), dtype=np.uint8)
np.save(sys.argv[2], load_backbone(spec, resolve_weights(spec, "random"), batch_size=4)(images))
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_of_keras_agree(backend: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    spec = configure(get_backbone(NET), input_size=(64, 48))
    expected = load_backbone(spec, resolve_weights(spec, "random"))(posters((64, 48)))
    subprocess.run(
        [sys.executable, "-c", BACKEND, backend, tmp_path / "found.npy"],
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
    )
    found = np.load(tmp_path / "found.npy")
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


# Memory


class Small(Engine):
    """A device with room for `room` posters; it embeds a poster as its first pixel."""

    def __init__(self, room: int, batch_size: int, late: bool) -> None:
        self.room, self.batch_size, self.late, self.depth = room, batch_size, late, 1
        self.choice = CPU

    def start(self, posters: Any) -> Callable[[], Any]:
        if len(posters) > self.room and not self.late:
            raise MemoryExhausted("at once")

        def result() -> Any:
            if len(posters) > self.room:
                raise MemoryExhausted("later")
            return posters[:, 0, 0, :].astype(np.float32)

        return result


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("room", "batch"), [(1, 8), (3, 8), (4, 8), (8, 8)])
def test_exhausted_memory_halves_the_batch(room: int, batch: int, late: bool) -> None:
    engine, images = Small(room, batch, late), posters((4, 4), 8)
    np.testing.assert_array_equal(engine.start_or_split(images)(), images[:, 0, 0, :])
    assert room / 2 < engine.batch_size <= room


def test_no_room_for_one_poster_is_an_error() -> None:
    with pytest.raises(ExtractionError, match=r"a processor: expected memory for one poster"):
        Small(0, 4, late=True).start_or_split(posters((4, 4), 4))()


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({16: 100, 32: 190, 64: 300, 128: 310, 256: 900}, 64),
        ({16: 100, 32: 101}, 16),
        ({16: 100, 32: 200, 64: None}, 32),
        ({16: None}, 16),
        ({2**k: 2.0**k for k in range(4, 12)}, 1024),
    ],
    ids=["it stops rising", "never rises", "memory ends", "nothing fits", "always rises"],
)
def test_the_batch_is_doubled_until_it_no_longer_helps(
    rates: dict[int, float | None], expected: int
) -> None:
    def rate(size: int) -> float:
        found = rates[size]
        if found is None:
            raise MemoryExhausted(size)
        return found

    assert find_batch_size(rate) == expected


class ResourceExhaustedError(Exception):
    """As TensorFlow names it."""


class OutOfMemoryError(RuntimeError):
    """As PyTorch names it."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ResourceExhaustedError("OOM when allocating tensor"), True),
        (OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"), True),
        (ValueError("shapes do not match"), False),
    ],
)
def test_each_backend_says_it_in_its_own_way(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_keras_errors_of_memory_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = TINY
    engine: Any = load_backbone(spec, resolve_weights(spec, "random"), CPU, batch_size=4)
    images, forward = posters(spec.input_size, 4), engine._forward
    expected = engine(images)

    def small_device(batch: Any) -> Any:
        if len(batch) > 2:
            raise ResourceExhaustedError("OOM when allocating tensor")
        return forward(batch)

    monkeypatch.setattr(engine, "_forward", small_device)
    np.testing.assert_allclose(engine(images), expected, rtol=1e-4, atol=1e-4 * expected.max())
    assert engine.batch_size == 2


def test_what_was_measured_is_kept() -> None:
    assert load_measurement(BATCH_SIZES, "a GPU") is None
    save_measurement(BATCH_SIZES, "a GPU", 256)
    save_measurement(BATCH_SIZES, "another", 64)
    assert [load_measurement(BATCH_SIZES, key) for key in ("a GPU", "another")] == [256, 64]
    assert load_measurement(ENGINES, "a GPU") is None
    (user_cache_folder() / BATCH_SIZES).write_text("half a fi")
    assert load_measurement(BATCH_SIZES, "a GPU") is None


# Which engine is faster


class Clock:
    """A clock that stands still until an engine is at work."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Timed(Engine):
    """Takes a second a batch, apart from the first, which takes a hundred; notes what is under way."""

    batch_size, depth, input_size = 8, 2, (4, 4)

    def __init__(self, clock: Clock, seconds: float = 1.0) -> None:
        self.clock, self.seconds = clock, seconds
        self.started = self.under_way = self.most = 0

    def start(self, posters: Any) -> Callable[[], Any]:
        assert posters.shape == (8, 4, 4, 3)
        self.clock.now += self.seconds if self.started else 100
        self.started += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)

        def result() -> None:
            self.under_way -= 1

        return result


def test_the_rate_is_that_of_a_busy_engine_once_it_is_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(engine_module, "time", clock)
    engine = Timed(clock, seconds=0.5)
    assert engine.rate(50) == 16  # 7 batches of 8 in 3.5 s
    assert (engine.started, engine.under_way, engine.most) == (8, 0, engine.depth + 1)


@pytest.mark.parametrize(("keras_seconds", "expected"), [(0.5, "keras"), (2.0, "openvino")])
def test_the_faster_engine_is_chosen_and_remembered(
    keras_seconds: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, loaded = Clock(), []

    def load(spec: Any, weights: Any, choice: EngineChoice) -> Engine:
        loaded.append(choice.engine)
        return Timed(clock, {"keras": keras_seconds, "openvino": 1.0}[choice.engine])

    monkeypatch.setattr(engine_module, "time", clock)
    monkeypatch.setattr("hybrid.backbones.engine_benchmark.load_backbone", load)
    spec = get_backbone(NET)
    asked = (EngineChoice("openvino", "float32", "here"), spec, resolve_weights(spec, "random"))
    for _ in range(2):
        assert fastest_engine(*asked, Progress()) == EngineChoice(expected, "float32", "here")
        assert loaded == ["keras", "openvino"]  # the second time, it is known
    other = replace(asked[0], precision="bfloat16")
    assert fastest_engine(other, *asked[1:], Progress()).engine == expected
    assert len(loaded) == 4


def test_only_auto_benchmarks_engines(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmarked = []

    def benchmark(choice: EngineChoice, *rest: Any) -> EngineChoice:
        benchmarked.append(choice.engine)
        return replace(choice, engine="keras")

    def choose(engine: str, precision: str) -> EngineChoice:
        return EngineChoice("openvino" if engine == "auto" else engine, "float32", "here")

    monkeypatch.setattr("hybrid.extraction.plan.fastest_engine", benchmark)
    monkeypatch.setattr("hybrid.extraction.plan.choose_engine", choose)
    catalogue = load_catalogue("catalogue.csv")
    options = EmbeddingOptions(input_size=(24, 22))
    seen = []
    for engine in ("keras", "auto", "auto", "auto"):
        with pytest.warns(UserWarning, match="random weights"):
            found = extract_embeddings(
                catalogue,
                "small",
                weights="random",
                options=options,
                settings=ExtractSettings(engine=engine, limit=40),
            )
        seen.append((found.computed, len(benchmarked)))
    assert seen == [
        (40, 0),
        (40, 1),
        (10, 2),
        (0, 2),
    ]  # where nothing is to be done, nothing is benchmarked


def test_a_file_that_does_not_fit_says_so_in_each_engine(tmp_path: Path) -> None:
    path = tmp_path / "wrong.weights.h5"
    path.write_bytes(b"no weights")
    spec = get_backbone(NET)
    with pytest.raises(WeightsError, match=r"wrong\.weights\.h5"):
        load_network(spec, resolve_weights(spec, str(path)))
