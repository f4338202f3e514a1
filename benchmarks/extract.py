"""Posters on disk → embeddings: what users run today, what an expert of Keras writes, and hybrid.

    python benchmarks/extract.py films/posters --posters 512 --out extract.json

All sides in one process, in turn, `--repeat` times; the table gives the median and the range.

naive      a loop: Pillow, keras' own preprocess_input, model.predict on batches of 32, float32
tf.data    decoded in parallel by TensorFlow, prefetched, model.predict; float32, and mixed_bfloat16
bare       the engine alone, on posters that lie in memory: its limit
hybrid     hybrid.extraction.extract, from files to rows that are synced to the disk, a new cache each time

On a machine with a GPU, with KERAS_BACKEND=tensorflow, jax or torch; no folder is needed then:

    python benchmarks/extract.py --synthetic 60000 --backbones inception --no-others --out gpu.json

`benchmarks/gpu.py` does that, and what else there is to be known of a GPU. ``GPU busy`` is the median over
the samples in which it worked; ``with hashing`` the rate of the whole call without loading the network.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from gpu_load import GpuLoad

from hybrid.backbones import BackboneSpec, get_backbone, resolve_weights
from hybrid.backbones.devices import gpu_name, has_gpu, processor_has, processor_name
from hybrid.backbones.engines import choose_engine, load_backbone
from hybrid.catalogue import load_catalogue
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.plan import ExtractSettings
from hybrid.images.decode import decode_poster
from hybrid.images.files import poster_key, read_poster
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context

BATCH = 32
SIZE = (182, 268)  # width and height of a small poster
Side = Callable[[], dict[str, float]]  # posters a second, and what else is measured
RATE, WHOLE, BUSY = "posters a second", "with hashing", "GPU busy, %"


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("folder", type=Path, nargs="?", help="Of posters.")
    parser.add_argument("--posters", type=int, default=512)
    parser.add_argument("--synthetic", type=int, help="Draw so many posters instead.")
    parser.add_argument("--backbones", default="inception,vgg16,mobilenet-075")
    parser.add_argument("--engines", default="keras,openvino")
    parser.add_argument("--precisions", help="[default: float32, and bfloat16 where it is native]")
    parser.add_argument("--no-others", action="store_true", help="Measure hybrid only.")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="random weights")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = draw(folder, options.synthetic) if options.synthetic else found(options)
        catalogue = write_catalogue(folder, paths)
        result: dict[str, Any] = {"machine": machine(), "posters": len(paths)}
        result["a poster"] = parts_of_a_poster(paths[:256])
        for backbone in options.backbones.split(","):
            result[backbone] = measure(backbone, paths, catalogue, options)
            print(table(backbone, result[backbone]), flush=True)
            if options.out:
                options.out.write_text(json.dumps(result, indent=2) + "\n")


def found(options: argparse.Namespace) -> list[str]:
    """The first posters of a folder."""
    if options.folder is None:
        raise SystemExit("expected a folder of posters, or --synthetic N")
    return [str(path.absolute()) for path in sorted(options.folder.iterdir())[: options.posters]]


def draw(folder: Path, n: int) -> list[str]:
    """JPEGs of the size and weight of small posters."""
    from PIL import Image

    (folder / "posters").mkdir()

    def save(i: int) -> str:
        pixels = np.random.default_rng(i).integers(0, 256, (27, 18, 3), dtype=np.uint8)
        path = folder / "posters" / f"{i}.jpg"
        Image.fromarray(pixels).resize(SIZE, Image.Resampling.BICUBIC).save(path, quality=85)
        return str(path)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(save, range(n)))


def write_catalogue(folder: Path, paths: Sequence[str]) -> Path:
    """A catalogue of these posters; the files are copied, once, so that it owns them."""
    (folder / "posters").mkdir(exist_ok=True)
    rows = ["id,genres,poster"]
    for i, path in enumerate(paths):
        target = folder / "posters" / Path(path).name
        if not target.exists():
            shutil.copyfile(path, target)
        rows.append(f"{i},Drama,posters/{target.name}")
    (folder / "catalogue.csv").write_text("\n".join(rows) + "\n")
    return folder / "catalogue.csv"


def measure(
    backbone: str, paths: list[str], catalogue: Path, options: argparse.Namespace
) -> dict[str, dict[str, list[float]]]:
    """Posters a second of every side, several times, in turn."""
    spec = get_backbone(backbone)
    sides: dict[str, Side] = {}
    if not options.no_others:
        sides |= other_sides(spec, paths)
    native = "float32,bfloat16" if has_gpu() or processor_has("bfloat16") else "float32"
    for engine in options.engines.split(","):
        for precision in (options.precisions or native).split(","):
            choice = choose_engine(engine, precision)
            loaded = load_backbone(spec, resolve_weights(spec, "random"), choice)
            sides[f"bare, {engine}, {precision}"] = lambda e=loaded: {RATE: e.rate(len(paths))}
            sides[f"hybrid, {engine}, {precision}"] = lambda c=choice: ours(
                backbone, catalogue, c.engine, c.precision, options.workers
            )
    measured: dict[str, dict[str, list[float]]] = {name: {} for name in sides}
    for _ in range(options.repeat):
        for name, side in sides.items():
            for what, value in side().items():
                measured[name].setdefault(what, []).append(value)
    return measured


def other_sides(spec: BackboneSpec, paths: list[str]) -> dict[str, Side]:
    """What is written without hybrid."""
    import keras

    module = {"InceptionV3": "inception_v3", "VGG16": "vgg16", "MobileNet": "mobilenet"}
    preprocess = getattr(keras.applications, module[spec.application]).preprocess_input

    def build(policy: str) -> Any:
        keras.config.set_dtype_policy(policy)
        network = getattr(keras.applications, spec.application)(
            include_top=False,
            weights=None,
            pooling="avg",
            input_shape=(*spec.input_size, 3),
            **dict(spec.arguments),
        )
        keras.config.set_dtype_policy("float32")
        network.predict(np.zeros((BATCH, *spec.input_size, 3), np.float32), verbose=0)
        return network

    plain, mixed = build("float32"), build("mixed_bfloat16")
    return {
        "naive": lambda: naive(plain, preprocess, spec, paths),
        "tf.data, float32": lambda: tf_data(plain, preprocess, spec, paths),
        "tf.data, bfloat16": lambda: tf_data(mixed, preprocess, spec, paths),
    }


def naive(network: Any, preprocess: Any, spec: BackboneSpec, paths: list[str]) -> dict[str, float]:
    """A loop over batches, as in most notebooks."""
    import keras

    start, rows = time.perf_counter(), []
    for i in range(0, len(paths), BATCH):
        images = [
            keras.utils.img_to_array(keras.utils.load_img(path, target_size=spec.input_size))
            for path in paths[i : i + BATCH]
        ]
        rows.append(network.predict(preprocess(np.stack(images)), verbose=0))
    np.concatenate(rows)
    return {RATE: len(paths) / (time.perf_counter() - start)}


def tf_data(
    network: Any, preprocess: Any, spec: BackboneSpec, paths: list[str]
) -> dict[str, float]:
    """TensorFlow's own input pipeline, all its knobs on automatic."""
    import tensorflow as tf

    def load(path: Any) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return preprocess(tf.image.resize(image, spec.input_size))

    start = time.perf_counter()
    data = tf.data.Dataset.from_tensor_slices(paths).map(load, num_parallel_calls=tf.data.AUTOTUNE)
    network.predict(data.batch(BATCH).prefetch(tf.data.AUTOTUNE), verbose=0)
    return {RATE: len(paths) / (time.perf_counter() - start)}


def ours(
    backbone: str, catalogue: Path, engine: str, precision: str, workers: int
) -> dict[str, float]:
    """The whole job without loading the network; how busy the GPU was meanwhile."""
    films = load_catalogue(catalogue)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as cache, GpuLoad() as load:
        summary = extract_embeddings(
            films,
            backbone,
            weights="random",
            options=EmbeddingOptions(precision=precision),
            settings=ExtractSettings(engine=engine),
            context=Context(cache=cache, workers=workers),
        )
        seconds = time.perf_counter() - start
    loading = summary.seconds - summary.computed / summary.rate
    found = {RATE: summary.rate, WHOLE: summary.computed / (seconds - loading)}
    return found if load.median is None else {**found, BUSY: load.median}


def machine() -> dict[str, Any]:
    """What it is measured on, and the limit: products of matrices in float32 and bfloat16."""
    import keras

    rates = {}
    for dtype in ("float32", "bfloat16"):
        a = keras.ops.cast(keras.random.normal((2048, 2048)), dtype)
        np.asarray(keras.ops.convert_to_numpy(keras.ops.matmul(a, a)))
        seconds = []
        for _ in range(7):
            start = time.perf_counter()
            keras.ops.convert_to_numpy(keras.ops.matmul(a, a))
            seconds.append(time.perf_counter() - start)
        rates[dtype] = round(2 * 2048**3 / statistics.median(seconds) / 1e9)
    found = {
        "device": gpu_name() if has_gpu() else processor_name(),
        "cores": os.cpu_count(),
        "backend": keras.backend.backend(),
        "GFLOP/s": rates,
    }
    print(found, flush=True)
    return found


def parts_of_a_poster(paths: Sequence[str]) -> dict[str, float]:
    """Milliseconds of one thread for each step before the network; medians."""
    from PIL import Image

    steps: dict[str, list[float]] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        value = step()
        steps.setdefault(name, []).append(1000 * (time.perf_counter() - start))
        return value

    for path in paths:
        data = timed("read", lambda p=path: read_poster(p))
        timed("hash", lambda d=data: poster_key(d))
        timed("decode the JPEG", lambda d=data: Image.open(io.BytesIO(d)).convert("RGB"))
        for side in (224, 299):
            timed(f"decode and resize to {side}", lambda d=data, s=side: decode_poster(d, (s, s)))
    result = {name: round(statistics.median(values), 3) for name, values in steps.items()}
    print(result, flush=True)
    return result


def table(backbone: str, measured: dict[str, dict[str, list[float]]]) -> str:
    """Markdown: posters a second, and how often the naive loop fits into it."""
    lines = [
        f"| {backbone} | {RATE} | range | x naive | of bare | {WHOLE} | {BUSY} |",
        "|---|---|---|---|---|---|---|",
    ]
    middle = {name: statistics.median(values[RATE]) for name, values in measured.items()}
    for name, values in measured.items():
        naive_rate = middle.get("naive")
        times = f"{middle[name] / naive_rate:.2f}" if naive_rate else ""
        limit = middle.get(name.replace("hybrid", "bare")) if name.startswith("hybrid") else None
        share = f"{middle[name] / limit:.2f}" if limit else ""
        others = (
            f"{statistics.median(values[what]):.0f}" if what in values else ""
            for what in (WHOLE, BUSY)
        )
        rates = f"{middle[name]:.0f} | {min(values[RATE]):.0f} to {max(values[RATE]):.0f}"
        lines.append(f"| {name} | {rates} | {times} | {share} | {' | '.join(others)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
