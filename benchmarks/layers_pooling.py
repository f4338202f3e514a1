"""Pooled features of many layers from one forward pass a view, for `layers.py`; they stay in its folder."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones import get_backbone, resolve_weights
from hybrid.backbones.devices import processor_has
from hybrid.backbones.startup import start_keras
from hybrid.catalogue import Catalogue
from hybrid.catalogue.poster_paths import split_paths
from hybrid.extraction.precision_check import MARGIN, TRIED, cosines
from hybrid.extraction.texts import item_texts
from hybrid.images.decode import BadPoster
from hybrid.images.files import load_poster

Floats = NDArray[np.float32]
BATCH, PART = 8, 512  # posters that are computed together, and that are written together
POOLINGS = ("avg", "max", "gem", "std")
BANDS = 3  # of the pooling "bands": top, middle and bottom
# From the last one down; "last" has the whole network, every other one saves what is above it.
LAYERS = {
    "VGG16": ("last", "block5_conv3", "block5_conv2", "block5_conv1", "block4_pool", "block3_pool"),
    "MobileNet": ("last", *(f"conv_pw_{i}_relu" for i in (12, 11, 10, 9, 8, 6, 5))),
    "InceptionV3": ("last", *(f"mixed{i}" for i in range(9, -1, -1))),
}
SIZES = {"VGG16": (320, 224), "MobileNet": (320, 224), "InceptionV3": (320, 224)}


@dataclass(frozen=True)
class Candidate:
    """Pooled features of one view: several of them are put side by side."""

    view: str
    parts: tuple[str, ...]
    standardise: bool = True

    @property
    def name(self) -> str:
        """As the table shows it."""
        if not self.parts:
            return self.view
        return f"{self.view}: {' + '.join(self.parts)}{'' if self.standardise else ', not standardised'}"

    def combine(self, arrays: Sequence[Floats]) -> Floats:
        """Its features, from those of its parts, each (n, D).

        >>> one, other = np.zeros((1, 2)), np.ones((1, 2))
        >>> Candidate("view", ("a", "b")).combine([one, other]).tolist()
        [[0.0, 0.0, 1.0, 1.0]]
        """
        return np.concatenate(arrays, axis=1)


def poster_candidates(view: str, layers: Sequence[str]) -> list[Candidate]:
    """All poolings of the last layer, one or two of each other, and some of them side by side.

    The first is the default: the average of the last layer.

    >>> [one.name for one in poster_candidates("v", ["last", "a", "b"])][-2:]
    ['v: last.avg + a.avg', 'v: last.avg + b.avg']
    """
    single = [f"last.{pooling}" for pooling in (*POOLINGS, "bands")]
    single += [f"{layer}.avg" for layer in layers[1:]] + [f"{layers[1]}.gem"]
    others = ["last.max", "last.std", *(f"{layer}.avg" for layer in layers[1:3])]
    return [
        *(Candidate(view, (one,)) for one in single),
        *(Candidate(view, ("last.avg", other)) for other in others),
    ]


def text_candidates(view: str, layers: int) -> list[Candidate]:
    """Poolings of the last layer, earlier layers, averages of the last ones, and without standardisation.

    The pooled layers are in the name: 3-2 is the average of the hidden states of layers 3 and 2.

    >>> [one.name for one in text_candidates("title", 4)][4:7]
    ['title: 2.mean', 'title: 4-3.mean', 'title: 4-2.mean']
    """
    last = f"{layers}.mean"
    below = range(layers - 1, layers // 2 - 1, -1)  # of the upper half: 5, 4, 3 of 6
    single = [last, f"{layers}.cls", f"{layers}.max", *(f"{i}.mean" for i in below)]
    averages = [f"{layers}-{i}.mean" for i in below]
    return [
        *(Candidate(view, (one,)) for one in (*single, *averages)),
        Candidate(view, (last, f"{layers}.max")),
        Candidate(view, (last,), standardise=False),
    ]


class Passes:
    """Forward passes, one a view; what they give lies in parts in a folder."""

    views: tuple[str, ...]

    def __init__(self, catalogue: Catalogue, folder: Path, check: Callable[[], None]) -> None:
        self.catalogue, self.folder, self.check = catalogue, folder, check
        self._wanted: dict[str, set[str]] = {}

    def prepare(self, candidates: Sequence[Candidate]) -> None:
        """Say what is wanted of views: a pass gives no more."""
        for one in candidates:
            self._wanted.setdefault(one.view, set()).update(one.parts)

    def candidates(self, view: str) -> list[Candidate]:
        """All candidates of a view, the default first."""
        raise NotImplementedError

    def side_by_side(self, best: Sequence[Candidate]) -> list[Candidate]:
        """The best together, where the commands can do that."""
        return []

    def compute(self, view: str) -> Iterator[tuple[dict[str, Floats], dict[str, Any]]]:
        """Parts of the pooled features, in the order of the items, from the first that is not there."""
        raise NotImplementedError

    def read(self, candidate: Candidate) -> Floats:
        """The features of a candidate, one row an item, NaN where it has none."""
        place = self._place(candidate.view)
        if not (place / "done").exists():
            self._fill(candidate.view, place)
        parts = sorted(place.glob("part-*.npz"))
        arrays = []
        for name in candidate.parts:
            read = []
            for path in parts:
                with np.load(path) as part:
                    read.append(part[name])
            arrays.append(np.concatenate(read))
        return candidate.combine(arrays)

    def facts(self) -> dict[str, Any]:
        """Of each view that was computed: precision, its check, items a second of each part."""
        found = {view: self._place(view) / "facts.json" for view in self.views}
        return {v: json.loads(path.read_text()) for v, path in found.items() if path.exists()}

    def _place(self, view: str) -> Path:
        return self.folder / view.replace(" ", "-")

    def _fill(self, view: str, place: Path) -> None:
        """Compute the parts that are missing."""
        place.mkdir(parents=True, exist_ok=True)
        record = place / "facts.json"
        rates = json.loads(record.read_text())["rates"] if record.exists() else []
        start = time.perf_counter()
        for number, (arrays, facts) in enumerate(self.compute(view), self._parts(view)):
            with (place / "unfinished").open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            (place / "unfinished").replace(place / f"part-{number:04}.npz")
            count = len(next(iter(arrays.values())))
            rates.append(count / (time.perf_counter() - start))
            record.write_text(json.dumps({**facts, "rates": rates}))
            print(f"{view}: {rates[-1]:.0f} items a second", file=sys.stderr, flush=True)
            self.check()
            start = time.perf_counter()
        (place / "done").touch()

    def _parts(self, view: str) -> int:
        return len(list(self._place(view).glob("part-*.npz")))


class PosterPasses(Passes):
    """Passes of a backbone over the posters."""

    def __init__(
        self,
        catalogue: Catalogue,
        name: str,
        weights: str,
        precision: str,
        folder: Path,
        check: Callable[[], None],
    ) -> None:
        super().__init__(catalogue, folder, check)
        self.spec, self.precision = get_backbone(name), precision
        self.weights = resolve_weights(self.spec, weights)
        self.layers = LAYERS[self.spec.application]
        square, tall = self.spec.input_size, SIZES[self.spec.application]
        shapes = [(square, "squash"), (tall, "squash"), (square, "crop"), (square, "pad")]
        self._specs = {
            f"{size[0]}x{size[1]} {fit}": replace(self.spec, input_size=size, fit=fit)
            for size, fit in shapes
        }
        self.views = tuple(self._specs)

    def candidates(self, view: str) -> list[Candidate]:
        """See `Passes.candidates`."""
        return poster_candidates(view, self.layers)

    def side_by_side(self, best: Sequence[Candidate]) -> list[Candidate]:
        """See `Passes.side_by_side`: of single layers."""
        if any(len(one.parts) != 1 for one in best):
            return []
        return [Candidate(best[0].view, tuple(one.parts[0] for one in best))]

    def compute(self, view: str) -> Iterator[tuple[dict[str, Floats], dict[str, Any]]]:
        """See `Passes.compute`."""
        place, spec = self._place(view), self._specs[view]
        names = sorted(self._wanted[view])
        model = export_taps(spec, self.weights, names, place / "network.xml")
        cells = self.catalogue.frame["poster"].tolist()
        paths = [next(iter(split_paths(cell)), "") for cell in cells]
        with ThreadPoolExecutor(2) as pool:

            def decode(some: Sequence[str]) -> list[NDArray[np.uint8] | BadPoster]:
                return list(
                    pool.map(lambda path: load_poster(path, spec.input_size, spec.fit), some)
                )

            posters = decode(paths[:TRIED])
            taps, facts = choose_taps(model, posters, spec.input_size, self.precision)
            for start in range(PART * self._parts(view), len(paths), PART):
                yield taps(decode(paths[start : start + PART])), facts


def export_taps(spec: Any, weights: Any, names: Sequence[str], path: Path) -> Path:
    """Export a backbone that gives these layers, pooled, side by side; a file beside it has their widths."""
    if path.with_suffix(".json").exists():
        return path
    start_keras()
    import keras

    from hybrid.backbones.folding import fold_batch_norm
    from hybrid.backbones.load import load_weights
    from hybrid.backbones.networks import (
        GeneralizedMean,
        build_application,
        layers_by_name,
        with_preprocessing,
    )

    class Deviation(keras.layers.Layer):  # type: ignore[misc]
        def call(self, features: Any) -> Any:
            return keras.ops.std(features, axis=(1, 2))

    class Bands(keras.layers.Layer):  # type: ignore[misc]
        def call(self, features: Any) -> Any:
            rows = [round(features.shape[1] * i / BANDS) for i in range(BANDS + 1)]
            parts = [features[:, a:b] for a, b in pairwise(rows)]
            return keras.ops.concatenate([keras.ops.mean(p, axis=(1, 2)) for p in parts], axis=-1)

    pools = {
        "avg": keras.layers.GlobalAveragePooling2D,
        "max": keras.layers.GlobalMaxPooling2D,
        "gem": GeneralizedMean,
        "std": Deviation,
        "bands": Bands,
    }
    application = build_application(spec)
    load_weights(spec, application, weights)
    known = layers_by_name(application)
    outputs = []
    for name in names:
        layer, pooling = name.rsplit(".", 1)
        features = application.output if layer == "last" else known[layer].output
        outputs.append(pools[pooling](dtype="float32")(features))
    beside = keras.layers.Concatenate(dtype="float32")(outputs)
    body = fold_batch_norm(keras.Model(application.input, beside))
    with_preprocessing(spec, body).export(str(path), format="openvino", verbose=False)
    widths = {name: output.shape[-1] for name, output in zip(names, outputs, strict=True)}
    path.with_suffix(".json").write_text(json.dumps(widths))
    return path


class Taps:
    """A network in OpenVINO: posters → the pooled features of each layer."""

    def __init__(self, path: Path, size: tuple[int, int], precision: str) -> None:
        import openvino

        from hybrid.backbones.openvino_engine import HINTS, openvino_core

        network = openvino_core().read_model(path)
        network.reshape([BATCH, *size, 3])
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": HINTS[precision],
        }
        self.size, self.widths = size, json.loads(path.with_suffix(".json").read_text())
        compiled = openvino_core().compile_model(network, "CPU", settings)
        self._queue = openvino.AsyncInferQueue(compiled)

    def __call__(self, posters: Sequence[NDArray[np.uint8] | BadPoster]) -> dict[str, Floats]:
        """Features of n posters, (n, D) each; NaN where a poster is bad."""
        good = [i for i, poster in enumerate(posters) if not isinstance(poster, BadPoster)]
        found = np.full((len(posters), sum(self.widths.values())), np.nan, np.float32)

        def collect(request: Any, rows: Sequence[int]) -> None:
            found[rows] = request.get_output_tensor(0).data[: len(rows)]

        self._queue.set_callback(collect)
        left = iter(good)
        while rows := list(islice(left, BATCH)):
            batch = np.zeros((BATCH, *self.size, 3), np.uint8)
            batch[: len(rows)] = [posters[i] for i in rows]
            self._queue.start_async([batch], rows)
        self._queue.wait_all()
        ends = np.cumsum(list(self.widths.values()))[:-1]
        return dict(zip(self.widths, np.split(found, ends, axis=1), strict=True))


def choose_taps(
    path: Path,
    posters: Sequence[NDArray[np.uint8] | BadPoster],
    size: tuple[int, int],
    precision: str,
) -> tuple[Taps, dict[str, Any]]:
    """In a precision; for "auto" in bfloat16 if the processor has it and all outputs agree with float32."""
    if precision != "auto":
        return Taps(path, size, precision), {"precision": precision}
    exact = Taps(path, size, "float32")
    if not processor_has("bfloat16"):
        return exact, {"precision": "float32"}
    fast = Taps(path, size, "bfloat16")
    good = [poster for poster in posters if not isinstance(poster, BadPoster)]
    ours, theirs = fast(good), exact(good)
    worst = {name: float(cosines(ours[name], theirs[name]).min()) for name in fast.widths}
    lowest = min(worst, key=worst.__getitem__)
    agrees = worst[lowest] >= MARGIN
    print(f"lowest cosine of bfloat16: {worst[lowest]:.5f}, {lowest}", file=sys.stderr)
    precision = "bfloat16" if agrees else "float32"
    facts = {"precision": precision, "cosine": worst[lowest], "of": lowest}
    return fast if agrees else exact, facts


class TextPasses(Passes):
    """Passes of a text encoder over the texts."""

    def __init__(
        self, catalogue: Catalogue, name: str, folder: Path, check: Callable[[], None]
    ) -> None:
        super().__init__(catalogue, folder, check)
        from hybrid.text_encoders.registry import resolve_text_encoder

        self.spec: Any = resolve_text_encoder(name)
        columns, length = tuple(catalogue.columns.text), self.spec.max_length
        self._views = {
            f"{'+'.join(some)} {tokens}": (some, tokens)
            for some, tokens in (
                (columns, length),
                (columns, length // 2),
                *(((column,), length) for column in columns[::-1] if len(columns) > 1),
            )
        }
        self.views = tuple(self._views)

    def candidates(self, view: str) -> list[Candidate]:
        """See `Passes.candidates`."""
        return text_candidates(view, self.spec.architecture.layers)

    def compute(self, view: str) -> Iterator[tuple[dict[str, Floats], dict[str, Any]]]:
        """See `Passes.compute`; a single part."""
        from hybrid.text_encoders.tokens import Tokenizer

        columns, length = self._views[view]
        texts = item_texts(self.catalogue.frame, columns)
        there = np.flatnonzero([bool(text) for text in texts])
        tokens = Tokenizer(replace(self.spec, max_length=length))([texts[i] for i in there])
        precision = "bfloat16" if processor_has("bfloat16") else "float32"
        names = sorted(self._wanted[view])
        rows = np.full((len(texts), len(names), self.spec.dimension), np.nan, np.float32)
        rows[there] = embed_layers(self.spec, names, precision, tokens)
        found = {name: rows[:, i] for i, name in enumerate(names)}
        yield found, {"precision": precision, "longer": int(tokens.longer.sum())}


def embed_layers(spec: Any, names: Sequence[str], precision: str, tokens: Any) -> Floats:
    """Embeddings of n texts, of K layers and poolings, from one pass: (n, K, D)."""
    import openvino

    from hybrid.text_encoders.arrays import read_arrays
    from hybrid.text_encoders.openvino_engine import OpenVINOTextEngine, embed, encode_tokens, ops

    class Engine(OpenVINOTextEngine):
        def __init__(self) -> None:
            self.dimension = len(names) * spec.dimension
            found = encode_tokens(spec.architecture, read_arrays(spec))
            beside = ops.concat([self.tap(name, found) for name in names], 1)
            self._compile(openvino.Model([beside], [found.ids, found.lengths], "taps"), precision)

        @staticmethod
        def tap(name: str, found: Any) -> Any:
            layers, pooling = name.split(".")
            last, _, first = layers.partition("-")
            count = int(last) - int(first or last) + 1
            below = found._replace(states=found.states[: int(last)])
            return embed(replace(spec, pooling=pooling, last_layers=count), below)

    return Engine().embed(tokens).reshape(len(tokens.lengths), len(names), spec.dimension)
