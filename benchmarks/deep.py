"""Deep baselines: rates of training, and what fine-tuning gains over the frozen backbone.

    python benchmarks/deep.py rates FOLDER
    python benchmarks/deep.py frozen FOLDER --network mobilenet-075 --weights FILE
    python benchmarks/deep.py films CATALOGUE SPLITS --weights FILE --cache FOLDER

`rates`: one epoch of the scratch net on the posters of a folder, in turn: `model.fit` of Keras over an array
in memory, as its guides show it, with XLA and without; `train_on_batch` on batches that lie ready in memory;
and `hybrid fit-deep`, which reads and decodes the posters. `frozen`: one epoch of the first stage of a
pretrained network: `model.fit` of the whole network, its body frozen, over an array in memory; and
`hybrid fit-deep` on the embeddings, which are computed once. In both, all start from the same weights, in the
same order, without dropout, so that their losses can be compared. `films`: on a split, fine-tuned backbones
and the scratch net against a linear SVM on the frozen backbone and against chance, by paired intervals.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.utils.context import Context
from hybrid.utils.environment import hardware, library_versions

LABELS = 20


def rates(folder: Path, n: int, repeats: int, batch: int, side: int) -> dict[str, Any]:
    """Each way to train the scratch net, in turn, the first epoch of each not counted."""
    from hybrid.images.files import load_poster

    paths = [str(path) for path in sorted(folder.iterdir())[:n]]
    labels = _labels(len(paths))
    pixels = np.stack([load_poster(path, (side, side)) for path in paths])

    def scratch(precision: str = "float32") -> Any:
        how = {"input_size": (side, side), "batch_size": batch, "precision": precision}
        return _network("scratch", **how)

    ways: dict[str, Callable[[], float]] = {
        "model.fit": _fit(scratch(), pixels, labels),
        "model.fit, no XLA": _fit(scratch(), pixels, labels, jit_compile=False),
        "train_on_batch": _bare(scratch(), pixels, labels),
        "fit-deep": _ours(scratch(), paths, labels),
        "fit-deep, bfloat16": _ours(scratch("bfloat16"), paths, labels),
    }
    found = _in_turn(ways, len(paths), repeats)
    return {"posters": len(paths), "batch": batch, "side": side, "ways": found}


def frozen(folder: Path, network: str, weights: str, n: int, repeats: int) -> dict[str, Any]:
    """Seconds of an epoch of the first stage, in turn, the first epoch of each not counted."""
    from hybrid.deep.dataset import predict
    from hybrid.deep.items import Posters
    from hybrid.deep.train import compile_inference
    from hybrid.images.files import load_poster

    model = _network(network, weights=weights)
    side, batch = model.spec.body.input_size, model.spec.batch_size
    paths = [str(path) for path in sorted(folder.iterdir())[:n]]
    labels = _labels(len(paths))
    lower = model.network_.lower(model.spec.stages[0])
    compile_inference(lower)
    start = time.perf_counter()
    embeddings = predict(lower, Posters(paths, side), batch, 2)
    once = time.perf_counter() - start
    print(f"{network}: embeddings of {len(paths)} posters, once: {once:.1f} s", flush=True)
    whole = _network(network, weights=weights)
    whole.network_.freeze(whole.spec.stages[0])
    pixels = np.stack([load_poster(path, side) for path in paths])
    ways = {
        "model.fit, whole network": _fit(whole, pixels, labels, jit_compile=False),
        "fit-deep, embeddings": _ours(model, paths, labels, embeddings),
    }
    found = _in_turn(ways, len(paths), repeats)
    return {"network": network, "posters": len(paths), "embeddings_s": once, "ways": found}


def _labels(n: int) -> Any:
    return (np.random.default_rng(0).random((n, LABELS)) < 0.12).astype(np.uint8)


def _in_turn(ways: dict[str, Callable[[], float]], n: int, repeats: int) -> dict[str, Any]:
    """Run each way in turn; posters a second, seconds and losses of each."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    losses: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, run in ways.items():
            start = time.perf_counter()
            losses[name].append(run())
            if turn:
                seconds[name].append(time.perf_counter() - start)
    found = {}
    for name, spent in seconds.items():
        median = statistics.median(spent)
        found[name] = {"median_s": median, "all_s": spent, "losses": losses[name]}
        print(
            f"{name:26} {median:7.3f} s an epoch ({min(spent):.3f} to {max(spent):.3f}), {n / median:7.1f} "
            f"posters a second, loss of the last epoch {losses[name][-1]:.4f}",
            flush=True,
        )
    return found


def _network(name: str, **options: Any) -> Any:
    """A network without dropout, ready to be trained as `fit-deep` does."""
    import keras

    from hybrid.deep.baseline import DeepBaseline
    from hybrid.deep.options import DeepOptions

    model = DeepBaseline(name, DeepOptions(dropout=0.0, loss="plain", **options), workers=2)
    keras.utils.set_random_seed(0)
    model._build(LABELS)
    model.network_.load_weights(model.starting_weights())
    for layer in model.network_.application.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    return model


def _compiled(model: Any, **settings: Any) -> Any:
    from hybrid.deep.losses import CrossEntropy
    from hybrid.deep.optimizers import make_optimizer

    whole = model.network_.whole()
    optimizer = make_optimizer(model.spec.stages[0], model.options)
    whole.compile(optimizer, CrossEntropy(from_logits=True), **settings)
    return whole


def _fit(model: Any, pixels: Any, labels: Any, **settings: Any) -> Callable[[], float]:
    whole, batch = _compiled(model, **settings), model.spec.batch_size

    def run() -> float:
        said = whole.fit(pixels, labels, batch_size=batch, shuffle=False, verbose=0)
        return float(said.history["loss"][-1])

    return run


def _bare(model: Any, pixels: Any, labels: Any) -> Callable[[], float]:
    from hybrid.deep.training_metrics import F1

    batch = model.spec.batch_size
    whole = _compiled(model, metrics=[F1()], jit_compile=False)

    def run() -> float:
        total = 0.0
        for at in range(0, len(pixels), batch):
            rows = slice(at, at + batch)
            whole.reset_metrics()
            said = whole.train_on_batch(pixels[rows], labels[rows], return_dict=True)
            total += float(said["loss"]) * len(labels[rows])
        return total / len(pixels)

    return run


def _ours(model: Any, paths: list[str], labels: Any, embeddings: Any = None) -> Callable[[], float]:
    from hybrid.deep.items import Items
    from hybrid.utils.progress import Progress

    items, stage = Items(paths, paths, labels, embeddings), model.spec.stages[0]
    few = items.take(np.arange(2))
    network, train, validation = model._prepare_stage(0, stage, items, few, Path(), Progress())

    def run() -> float:
        # In the order that the other ways have.
        found = network.fit(train, validation_data=validation, shuffle=False, verbose=0)
        return float(found.history["mean_loss"][-1])

    return run


def films(
    catalogue_path: Path, split_path: Path, weights: str, cache: str, networks: list[str], seed: int
) -> dict[str, Any]:
    """Weighted F1 on the test items, and each network's difference to the frozen linear SVM."""
    from hybrid.catalogue import load_catalogue
    from hybrid.evaluation import Outputs, paired_difference
    from hybrid.heads.make_hybrid import make_hybrid
    from hybrid.runs.experiment import Experiment
    from hybrid.runs.fit_deep import fit_deep
    from hybrid.runs.fit_head import fit_head
    from hybrid.splitting.split_file import read_split
    from hybrid.utils.progress import Progress

    catalogue, split = load_catalogue(catalogue_path), read_split(split_path)
    runs = {}
    with tempfile.TemporaryDirectory() as folder:

        def experiment(name: str) -> Experiment:
            return Experiment(
                catalogue,
                split,
                Path(folder) / name,
                split_path,
                None,
                Context(cache, seed=seed, progress=Progress(False)),
            )

        for name, head in (("frozen SVM", "svm"), ("chance", "dummy-stratified")):
            model = make_hybrid(
                catalogue, head=head, blocks=["poster"], context=Context(cache=cache, seed=seed)
            )
            runs[name] = fit_head(experiment(head), model, {})
        for name in networks:
            options = _options(name, weights)
            runs[name] = fit_deep(experiment(name), name.split(":")[0], options)
        ids = _test(runs["frozen SVM"]).ids.tolist()
        rows = [catalogue.ids.tolist().index(i) for i in ids]
        group = dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True))
        groups = [group[name] for name in ids]
        truth = catalogue.labels[rows]
        answers = {}
        for name, run in runs.items():
            found = _test(run)
            answers[name] = Outputs(found.labels, found.probabilities)
    report: dict[str, Any] = {"test_items": len(truth), "runs": {}}
    for name, run in runs.items():
        against = "chance" if name.startswith("scratch") else "frozen SVM"
        gap = paired_difference(truth, answers[name], answers[against], groups=groups, seed=seed)
        record = run.record.to_json()
        report["runs"][name] = {
            "f1_weighted": record["metrics"]["f1_weighted"],
            "map_macro": record["metrics"]["map_macro"],
            "against": against,
            "difference": [gap.value, gap.low, gap.high],
            "stages": record["stages"],
            "history": record.get("history"),
        }
        f1 = record["metrics"]["f1_weighted"]
        print(
            f"{name:34} weighted F1 {f1['value']:.3f} ({f1['low']:.3f} to {f1['high']:.3f}), mAP "
            f"{record['metrics']['map_macro']['value']:.3f}, minus {against}: {gap.value:+.3f} "
            f"({gap.low:+.3f} to {gap.high:+.3f})",
            flush=True,
        )
    return report


def _options(name: str, weights: str) -> Any:
    """``mobilenet-075:unfreeze=4,epochs=20`` → its options."""
    from hybrid.deep.options import DeepOptions

    network, _, said = name.partition(":")
    values: dict[str, Any] = {} if network in ("scratch", "small") else {"weights": weights}
    for pair in filter(None, said.split(",")):
        key, _, value = pair.partition("=")
        try:
            values[key] = value if key == "unfreeze" else json.loads(value)
        except ValueError:
            values[key] = value
    return DeepOptions(**values)


def _test(run: Any) -> Any:
    found = run.predictions
    rows = np.flatnonzero(found.splits == "test")
    return replace(
        found,
        ids=found.ids[rows],
        splits=found.splits[rows],
        labels=found.labels[rows],
        probabilities=found.probabilities[rows],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write what was measured")
    ways = parser.add_subparsers(dest="what", required=True)
    rate = ways.add_parser("rates")
    rate.add_argument("folder", type=Path)
    rate.add_argument("--posters", type=int, default=256)
    rate.add_argument("--repeats", type=int, default=3)
    rate.add_argument("--batch", type=int, default=128)
    rate.add_argument("--side", type=int, default=224)
    first = ways.add_parser("frozen")
    first.add_argument("folder", type=Path)
    first.add_argument("--network", default="mobilenet-075")
    first.add_argument("--weights", default="imagenet")
    first.add_argument("--posters", type=int, default=512)
    first.add_argument("--repeats", type=int, default=3)
    film = ways.add_parser("films")
    film.add_argument("catalogue", type=Path)
    film.add_argument("splits", type=Path)
    film.add_argument("--weights", default="imagenet")
    film.add_argument("--cache", default=".hybrid-cache")
    film.add_argument("--network", action="append", default=[])
    film.add_argument("--seed", type=int, default=0)
    said = parser.parse_args()
    if said.what == "rates":
        found = rates(said.folder, said.posters, said.repeats, said.batch, said.side)
    elif said.what == "frozen":
        found = frozen(said.folder, said.network, said.weights, said.posters, said.repeats)
    else:
        networks = said.network or ["mobilenet-075", "scratch"]
        found = films(said.catalogue, said.splits, said.weights, said.cache, networks, said.seed)
    found = {"command": sys.argv, "hardware": hardware(), "versions": library_versions(), **found}
    if said.json:
        said.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
