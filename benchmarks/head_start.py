"""How should the head of a tuned backbone start? The head alone, on frozen embeddings of posters.

    python benchmarks/layers.py MOVIES/catalogue.csv --views 1 --fused 0 --backbone vgg16 --weights FILE
    python benchmarks/head_start.py MOVIES layers/vgg16/224x224-squash

It learns from two thirds of the train and validation items of `hybrid split`, with the defaults of `hybrid
tune`, and is judged on the others: embeddings as they are and a random kernel; standardised dimension by
dimension and a kernel of zeros; divided by their root mean square, likewise, as `hybrid tune` does. No test
item is read.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from hybrid.backbones.startup import start_keras
from hybrid.catalogue import load_catalogue
from hybrid.heads.cross_fitting import assign_folds
from hybrid.splitting.methods import SplitOptions, split_catalogue
from hybrid.tuning.options import TuneOptions
from hybrid.utils.context import Context


def log_loss(scores: Any, labels: Any) -> float:
    """Mean over items of the sum over labels, from log-odds."""
    return float((np.logaddexp(0, scores) - labels * scores).sum(axis=1).mean())


def learn(
    x: Any, labels: Any, held: Any, deviation: float, options: TuneOptions
) -> tuple[Any, Any]:
    """Scores of held-out items (m, L): of the head as it starts, and when it has learnt."""
    import keras

    from hybrid.deep.items import Arrays
    from hybrid.tuning.poster_encoder import FoldBatches
    from hybrid.tuning.train import start_head, train

    keras.utils.set_random_seed(0)
    read = keras.Input(x.shape[1:])
    head = keras.layers.Dense(labels.shape[1])
    model = keras.Model(read, head(keras.layers.Dropout(options.dropout)(read)))
    start_head(head, labels, 0, deviation)
    before = np.asarray(model(held))
    batches = FoldBatches(Arrays(x), labels, np.arange(len(x)), options.batch_size, 1, 0)
    train(model, batches, labels, options, depths=[None, None])
    return before, np.asarray(model(held))


def main() -> None:
    """Print the losses and the mAP of each way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("movies", type=Path, help="folder with catalogue.csv")
    parser.add_argument("pooled", type=Path, help="folder of a view, in the --work of layers.py")
    parser.add_argument("--cache", default=".hybrid-cache")
    asked = parser.parse_args()
    start_keras()
    films, context = load_catalogue(asked.movies / "catalogue.csv"), Context(cache=asked.cache)
    parts = []
    for path in sorted(asked.pooled.glob("part-*.npz")):
        with np.load(path) as part:
            parts.append(part["last.avg"])
    embeddings = np.concatenate(parts)
    split = split_catalogue(films, SplitOptions(), context=context)
    part = dict(zip(split.ids.tolist(), split.parts.tolist(), strict=True))
    used = [part.get(name) in ("train", "validation") for name in films.ids.tolist()]
    rows = np.flatnonzero(np.isfinite(embeddings).all(axis=1) & used)
    fold = assign_folds(films.labels[rows], 3, seed=0)
    some, others = rows[fold > 0], rows[fold == 0]
    x, held = (embeddings[r].astype(np.float32) for r in (some, others))
    mean, deviation, rms = x.mean(axis=0), x.std(axis=0), np.sqrt(np.mean(x**2))
    deviation = np.maximum(deviation, 0.1 * np.sqrt(np.mean(deviation**2)))
    ways = {
        "as they are": (x, held, 0.02),
        "standardised": ((x - mean) / deviation, (held - mean) / deviation, 0.0),
        "unit scale": (x / rms, held / rms, 0.0),
    }
    share, truth = films.labels[some].mean(axis=0), films.labels[others]
    there, log_odds = truth.any(axis=0), np.log(share / (1 - share))
    entropy = log_loss(np.broadcast_to(log_odds, truth.shape), truth)
    print(f"root mean square {rms:.2f}; loss of the shares of the labels {entropy:.3f}")
    for way, (a, b, spread) in ways.items():
        before, after = learn(a, films.labels[some], b, spread, TuneOptions())
        precision = average_precision_score(truth[:, there], after[:, there], average="macro")
        print(
            f"{way}: loss at the start {log_loss(before, truth):.3f}, at the end "
            f"{log_loss(after, truth):.3f}, mAP {precision:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
