"""Scores or embeddings of a tuned text encoder as a block; for new texts, the mean of K or one encoder.

    hybrid tune --text-encoder all-MiniLM-L6-v2 --refit
    python benchmarks/tuned_spaces.py films/catalogue.csv films/splits.csv encoders/tuned

For each block, a linear SVM (C from 0.01 to 3, by out-of-fold mAP) on the items that were learnt from, its
thresholds from out-of-fold scores; weighted F1 and mAP on the test items. Without a head: the scores as they
are. Embeddings of an item that was learnt from are those of the encoder that has not seen it; of test items,
the mean of all K.

own spaces    the embeddings as they are
Procrustes    each encoder's space rotated onto that of the frozen encoder, on the items of its fold
ridge         mapped onto it by ridge regression, on the same items

A last table says how far the spaces are apart: the mean cosine between two encoders' embeddings of a test
item, centred, before and after they are mapped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score, f1_score

from hybrid.backbones.engines import choose_engine
from hybrid.catalogue import load_catalogue
from hybrid.evaluation import Outputs, paired_difference
from hybrid.extraction.texts import item_texts
from hybrid.heads.cross_fitting import assign_folds
from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC
from hybrid.heads.thresholds import best_thresholds
from hybrid.splitting.split_file import read_split
from hybrid.text_encoders.registry import resolve_text_encoder
from hybrid.text_encoders.tokens import Tokenizer
from hybrid.text_encoders.tuned import TunedSpec, text_numbers
from hybrid.text_encoders.tuned_engine import TunedTextEngine

FOLDS, GRID, PENALTY = 5, (0.01, 0.03, 0.1, 0.3, 1.0, 3.0), 10.0
METRICS: dict[str, Callable[[Any, Outputs], float]] = {
    "f1_weighted": lambda truth, made: f1_score(truth, made.labels, average="weighted"),
    "map": lambda truth, made: average_precision_score(truth, made.scores),
}


class Films:
    """What the encoders make of train and test items: arrays of K (and one more) encoders."""

    def __init__(self, catalogue: Path, splits: Path, encoder: Path) -> None:
        films, split = load_catalogue(catalogue), read_split(splits)
        spec = resolve_text_encoder(str(encoder))
        assert isinstance(spec, TunedSpec)
        tokens = Tokenizer(spec)(item_texts(films.frame, films.columns.text))
        learnt = [spec.learnt.get(each, -1) for each in text_numbers(tokens).tolist()]
        parts = dict(zip(split.ids.tolist(), split.parts.tolist(), strict=True))
        part = np.array([parts.get(name, "") for name in films.ids.tolist()])
        fold = np.array(learnt)
        self.train = np.flatnonzero((part != "test") & (part != "") & (fold >= 0))
        self.test = np.flatnonzero(part == "test")
        self.labels, self.fold, self.folds = films.labels, fold[self.train], spec.folds
        self.inner = assign_folds(films.labels[self.train], FOLDS, seed=0)
        engine = TunedTextEngine(spec, choose_engine("openvino", "auto"))
        loaded = [engine.encoder(number) for number in range(spec.folds + spec.refit)]
        self.pooled = np.stack([body.embed(tokens).astype(np.float64) for body, _ in loaded])
        self.scores = np.stack(
            [z @ head.kernel + head.bias for z, (_, head) in zip(self.pooled, loaded, strict=True)]
        )
        from hybrid.text_encoders.openvino_engine import OpenVINOTextEngine

        frozen = OpenVINOTextEngine(spec.base, choose_engine("openvino", "auto"))
        self.frozen = frozen.embed(tokens).astype(np.float64)

    def out_of_fold(self, values: Any) -> Any:
        """Of each train item, what the encoder has made that has not seen it."""
        return values[self.fold, self.train]

    def mean(self, values: Any) -> Any:
        """Of each test item, the mean of the K."""
        return values[: self.folds, self.test].mean(axis=0)

    def mapped(self, how: str) -> Any:
        """The embeddings of the K, each mapped onto the frozen space on the items of its own fold."""
        return np.stack([self._map(number, how) for number in range(self.folds)])

    def _map(self, number: int, how: str) -> Any:
        rows = self.train[self.fold == number]
        start, goal = self.pooled[number, rows], self.frozen[rows]
        values, centre = self.pooled[number] - start.mean(axis=0), goal.mean(axis=0)
        if how == "ridge":
            return Ridge(PENALTY).fit(values[rows], goal - centre).predict(values) + centre
        return values @ orthogonal_procrustes(values[rows], goal - centre)[0] + centre


def scaled(train: Any, test: Any, labels: int) -> tuple[Any, Any]:
    """Standardised, and embeddings of length 1, as the blocks of fit-svm are."""
    centre, spread = train.mean(axis=0), train.std(axis=0) + 1e-6
    made = [(each - centre) / spread for each in (train, test)]
    if train.shape[1] == labels:  # scores: their lengths tell how sure they are
        return made[0] / labels**0.5, made[1] / labels**0.5
    return tuple(each / np.linalg.norm(each, axis=1, keepdims=True) for each in made)  # type: ignore[return-value]


def fitted(films: Films, blocks: list[tuple[Any, Any]]) -> Outputs:
    """The test outputs of a linear head on some blocks."""
    pairs = [scaled(*block, films.labels.shape[1]) for block in blocks]
    train, test = (np.hstack(side).astype(np.float32) for side in zip(*pairs, strict=True))
    truth, found = films.labels[films.train], []
    for c in GRID:
        scores = np.zeros(truth.shape)
        for k in range(FOLDS):
            own = films.inner == k
            model = MultilabelLinearSVC(c, class_weight="balanced").fit(train[~own], truth[~own])
            scores[own] = model.decision_function(train[own])
        found.append((average_precision_score(truth, scores), c, scores))
    _, c, scores = max(found, key=lambda each: each[0])
    model = MultilabelLinearSVC(c, class_weight="balanced").fit(train, truth)
    return label(truth, scores, model.decision_function(test))


def label(truth: Any, scores: Any, test: Any) -> Outputs:
    """Outputs with the thresholds of out-of-fold scores."""
    return Outputs((test >= best_thresholds(truth, scores)).astype(np.uint8), test)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    for name in ("catalogue", "splits", "encoder"):
        parser.add_argument(name, type=Path)
    asked = parser.parse_args()
    films = Films(asked.catalogue, asked.splits, asked.encoder)
    own = films.out_of_fold(films.scores)
    truth, blocks = films.labels[films.test], {"scores": (own, films.mean(films.scores))}
    if len(films.scores) > films.folds:
        blocks["scores, one encoder for new"] = (own, films.scores[-1, films.test])
    spaces = {"own spaces": films.pooled} | {
        how: films.mapped(how) for how in ("Procrustes", "ridge")
    }
    blocks |= {name: (films.out_of_fold(z), films.mean(z)) for name, z in spaces.items()}
    frozen = films.frozen[films.train], films.frozen[films.test]
    made = {
        f"{name}, no head": label(films.labels[films.train], *block)
        for name, block in blocks.items()
        if name.startswith("scores")
    }
    made |= {name: fitted(films, [block]) for name, block in blocks.items()}
    made["frozen"] = fitted(films, [frozen])
    made |= {f"frozen + {name}": fitted(films, [frozen, block]) for name, block in blocks.items()}
    for how in ("own spaces", "Procrustes"):
        made[f"frozen + scores + {how}"] = fitted(films, [frozen, blocks["scores"], blocks[how]])
    show(truth, made)
    for name, z in spaces.items():
        print(f"{name:12} mean cosine of two encoders {apart(films, z):.3f}")


def show(truth: Any, made: dict[str, Outputs]) -> None:
    """Print a row for each: the metrics, and the paired difference to frozen + scores."""
    for name, outputs in made.items():
        row = [f"{name:40}"]
        for metric in METRICS:
            value = METRICS[metric](truth, outputs)
            against = paired_difference(truth, outputs, made["frozen + scores"], metric)
            row.append(f"{value:.3f} ({against.low:+.3f} to {against.high:+.3f})")
        print("  ".join(row), flush=True)


def apart(films: Films, spaces: Any) -> float:
    """Mean cosine between two encoders' embeddings of the same test item, centred."""
    some = spaces[: films.folds, films.test]
    some = some - some.mean(axis=1, keepdims=True)
    some = some / np.linalg.norm(some, axis=-1, keepdims=True)
    pairs = [(some[i] * some[j]).sum(axis=1).mean() for i in range(len(some)) for j in range(i)]
    return float(np.mean(pairs))


if __name__ == "__main__":
    main()
