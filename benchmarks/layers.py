"""Layer, pooling, input size and fit of a backbone, or of a text encoder: which serves a catalogue best.

    python benchmarks/layers.py films/catalogue.csv --backbone vgg16 --weights vgg16_224_notop.weights.h5
    python benchmarks/layers.py films/catalogue.csv --text-encoder all-MiniLM-L6-v2

One forward pass for each view (an input size and a fit; text columns and a length) gives all layers and
poolings. The SVM of `hybrid fit-svm` is fitted on each alone, on each split of `hybrid split --seed`. The
choice is by weighted F1 out of fold, on train and validation:

1. all layers and poolings of the first view on the first split at one C, beside the default, the first;
2. the default and the best two on all splits, in this view and in the others; where the best two are single
   layers of a backbone, both side by side, too;
3. with text and metadata, as in a plain `hybrid fit-svm`: the default, the best two, and no such block.

Intervals of differences out of fold hold for all candidates of a step at once (max-T); those on test are
paired bootstraps by group of near-duplicates, whichever tests it is in. Test items choose nothing.

What is computed stays in `--work`. `--seconds` stops early, with exit status 3; the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from layers_pooling import Candidate, Passes, PosterPasses, TextPasses  # beside this file
from numpy.typing import NDArray

from hybrid import load_catalogue, make_hybrid
from hybrid.backbones.devices import processor_has, processor_name
from hybrid.catalogue import Catalogue
from hybrid.evaluation import Outputs, compare_with_reference, paired_difference
from hybrid.evaluation.metrics import make_measure
from hybrid.features.embeddings import EmbeddingFeatures, StoredRows
from hybrid.features.fusion import Fusion
from hybrid.heads.make_hybrid import choose_blocks
from hybrid.splitting.methods import split_catalogue
from hybrid.types import Interval, Split
from hybrid.utils.context import Context

Floats = NDArray[np.float32]
TABLES: dict[str, Floats] = {}  # pooled features that are being fitted, one row an item
PLACES: dict[str, int] = {}  # id → row
METRICS = {"f1": "f1_weighted", "map": "map_macro"}
FIRST = 2  # candidates that go on to all splits and views
QUICK, ALONE, FUSED = "quick", "alone", "fused"  # at one C; at the best one; with text and metadata


@dataclass(frozen=True)
class Answers:
    """What the models of one candidate say, on the items of one part of all splits, one after another."""

    truth: NDArray[np.uint8]
    outputs: Outputs
    groups: NDArray[Any]
    splits: NDArray[np.int64]


class PooledFeatures(EmbeddingFeatures):
    """A block of features that are in memory."""

    block, source = "pooled", "items"

    def __init__(self, table: str = "", standardise: bool = True) -> None:
        self.table = table
        self.standardise = standardise

    def keys(self, X: Any) -> list[list[bytes]]:
        """See `EmbeddingFeatures.keys`."""
        return [[str(name).encode()] for name in X.index]

    def look_up(self, X: Any) -> StoredRows:
        """See `EmbeddingFeatures.look_up`."""
        rows = [PLACES[str(name)] for name in X.index]
        return StoredRows(rows, lambda some: TABLES[self.table][list(some)])

    def fit(self, X: Any, y: Any = None) -> PooledFeatures:
        """See `EmbeddingFeatures.fit`."""
        super().fit(X, y)
        if not self.standardise:
            self.mean_, self.scale_ = np.zeros_like(self.mean_), np.ones_like(self.scale_)
        return self


class Clock:
    """Stops the program when its time is over."""

    def __init__(self, seconds: float | None) -> None:
        self.end = time.monotonic() + seconds if seconds else float("inf")

    def check(self) -> None:
        """Exit with status 3 if the time is over."""
        if time.monotonic() > self.end:
            print("time is up: run the same command again to go on", file=sys.stderr)
            raise SystemExit(3)


def main() -> None:
    """Parse, pool, fit, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("catalogue", type=Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--backbone")
    source.add_argument("--text-encoder")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--views", type=int, help="Only so many of the views.  [default: all]")
    parser.add_argument("--C", type=float, default=0.03, help="Of the first step.")
    parser.add_argument("--fused", type=int, default=2, help="How many are fitted with all blocks.")
    parser.add_argument(
        "--fused-C",
        type=float,
        help="Of the third step, with no weights of blocks.  [default: chosen]",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=Path("layers"))
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    catalogue, clock = load_catalogue(options.catalogue), Clock(options.seconds)
    PLACES.update({str(name): i for i, name in enumerate(catalogue.ids.tolist())})
    folder = options.work / Path(options.backbone or options.text_encoder).name
    folder.mkdir(parents=True, exist_ok=True)
    passes = (
        PosterPasses(
            catalogue, options.backbone, options.weights, options.precision, folder, clock.check
        )
        if options.backbone
        else TextPasses(catalogue, options.text_encoder, folder, clock.check)
    )
    passes.views = passes.views[: options.views]
    context = Context(cache=str(options.work / "cache"))
    splits = {
        seed: split_catalogue(catalogue, context=Context(cache=context.cache, seed=seed))
        for seed in options.seeds
    }
    fits = Fits(
        *(catalogue, splits, passes.read, folder / "fits", clock.check),
        {QUICK: options.C, FUSED: options.fused_C},
    )
    result: dict[str, Any] = {
        "machine": {"processor": processor_name(), "bfloat16": processor_has("bfloat16")},
        "source": options.backbone or options.text_encoder,
        "weights": options.weights,
        "seeds": options.seeds,
        "steps": steps(passes, fits, options.fused),
        "passes": passes.facts(),
    }
    out = options.out or folder / "layers.json"
    out.write_text(json.dumps(result, indent=2) + "\n")


def steps(passes: Passes, fits: Fits, fused: int) -> list[dict[str, Any]]:
    """The three steps: each its candidates, the default first, and how they compare."""
    default, *others = passes.candidates(passes.views[0])
    passes.prepare([default, *others])
    one = fits.seeds[:1]
    done = [fits.step("all layers and poolings, alone", [default, *others], one, QUICK)]
    best = fits.best([default, *others], FIRST, one, QUICK)
    best += passes.side_by_side(best)
    moved = [
        Candidate(view, one.parts, one.standardise)
        for view in passes.views[1:]
        for one in dict.fromkeys([default, *best])
    ]
    passes.prepare(moved)
    final = list(dict.fromkeys([default, *best, *moved]))
    done.append(fits.step("the best, and other views, alone", final, fits.seeds, ALONE))
    chosen = [one for one in fits.best(final, len(final), fits.seeds, ALONE) if one != default]
    both = [default, *chosen[:fused], Candidate("text and metadata alone", ())]
    if fused:
        done.append(fits.step("with text and metadata", both, fits.seeds, FUSED))
    return done


class Fits:
    """Models of candidates on all splits; what they say stays in a folder."""

    def __init__(
        self,
        catalogue: Catalogue,
        splits: dict[int, Split],
        read: Callable[[Candidate], Floats],
        folder: Path,
        check: Callable[[], None],
        only: Mapping[str, float | None],
    ) -> None:
        self.catalogue, self.splits, self.read = catalogue, splits, read
        self.folder, self.check = folder, check
        self.only = only  # the C of a step, where it is not chosen
        self.seeds = list(splits)
        folder.mkdir(exist_ok=True)

    def step(
        self, name: str, candidates: list[Candidate], seeds: Sequence[int], how: str
    ) -> dict[str, Any]:
        """Fit what is missing; compare with the first candidate; print the table."""
        said = {part: [self.answers(one, part, seeds, how) for one in candidates] for part in PARTS}
        rows = compare(candidates, said, ("f1",) if how == QUICK else tuple(METRICS))
        print(f"\n{name}, seeds {seeds}\n{table(rows)}", flush=True)
        return {"name": name, "seeds": list(seeds), "rows": rows}

    def best(
        self, candidates: Iterable[Candidate], count: int, seeds: Sequence[int], how: str
    ) -> list[Candidate]:
        """Those of the highest weighted F1 out of fold."""

        def quality(one: Candidate) -> float:
            return statistics.mean(by_split(self.answers(one, "oof", seeds, how), "f1"))

        return sorted(dict.fromkeys(candidates), key=quality, reverse=True)[:count]

    def answers(self, candidate: Candidate, part: str, seeds: Sequence[int], how: str) -> Answers:
        """What the models of these splits say on the items of a part, ``oof`` or ``test``."""
        found = [self._fitted(candidate, seed, how) for seed in seeds]
        counts = [len(each[f"{part}_ids"]) for each in found]
        rows = [[PLACES[name] for name in each[f"{part}_ids"].tolist()] for each in found]
        used = [self.splits[seed] for seed in seeds]
        groups = [
            dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True)) for split in used
        ]
        return Answers(
            np.concatenate([self.catalogue.labels[each] for each in rows]),
            Outputs(
                np.concatenate([each[f"{part}_labels"] for each in found]),
                np.concatenate([each[f"{part}_probabilities"] for each in found]),
            ),
            np.array(
                [g[n] for g, each in zip(groups, found, strict=True) for n in each[f"{part}_ids"]]
            ),
            np.repeat(seeds, counts),
        )

    def _fitted(self, candidate: Candidate, seed: int, how: str) -> Any:
        model = f"{how}{self.only.get(how) or ''}"
        path = self.folder / f"{slug(candidate.name)}-{model}-{seed}.npz"
        if not path.exists():
            self.check()
            start = time.perf_counter()
            said = self._fit(candidate, seed, how)
            write_arrays(path, said | {"seconds": np.array(time.perf_counter() - start)})
            print(f"{candidate.name}, {how}, seed {seed}", file=sys.stderr, flush=True)
        with np.load(path) as arrays:
            return dict(arrays)

    def _fit(self, candidate: Candidate, seed: int, how: str) -> dict[str, NDArray[Any]]:
        """One model, fitted on train and validation: out-of-fold and test outputs."""
        catalogue, split = self.catalogue, self.splits[seed]
        TABLES.clear()
        if candidate.parts:
            TABLES[candidate.name] = self.read(candidate)
        names = choose_blocks(catalogue, None)
        plain = [name for name in names if name in ("text", "metadata")]
        model = make_hybrid(catalogue, blocks=plain, context=Context(seed=seed))
        block = ("pooled", PooledFeatures(candidate.name, candidate.standardise))
        pooled = [block] if candidate.parts else []
        model.fusion = Fusion([*pooled, *(model.fusion.blocks if how == FUSED else ())])
        if C := self.only.get(how):
            model.grid, model.block_weights = {"C": [C]}, ()
        part = dict(zip(split.ids.tolist(), split.parts.tolist(), strict=True))
        group = dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True))
        of = np.array([part.get(name, "unused") for name in catalogue.ids.tolist()])
        learn, test = (np.flatnonzero(np.isin(of, names)) for names in (LEARN, ("test",)))
        groups = [group[name] for name in catalogue.ids[learn].tolist()]
        model.fit(catalogue.frame.iloc[learn], catalogue.labels[learn], groups=groups)
        probabilities = model.predict_proba(catalogue.frame.iloc[test])
        return {
            "oof_ids": catalogue.ids[learn].astype(str),
            "oof_labels": model.oof_labels_,
            "oof_probabilities": model.oof_probabilities_,
            "test_ids": catalogue.ids[test].astype(str),
            "test_labels": model.label(probabilities),
            "test_probabilities": probabilities,
            "chosen": np.array(json.dumps(asdict(model.chosen_))),
        }


PARTS, LEARN = ("oof", "test"), ("train", "validation")


def slug(name: str) -> str:
    """A file name for a candidate.

    >>> slug("224x224 squash: last.avg + last.max")
    '224x224-squash_last.avg+last.max'
    """
    return name.replace(": ", "_").replace(" + ", "+").replace(", ", ",").replace(" ", "-")


def write_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write an .npz file, whole or not at all."""
    beside = path.with_name(f".{path.name}")
    with beside.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    beside.replace(path)


def by_split(answers: Answers, metric: str) -> list[float]:
    """A metric of each split."""
    found = []
    for seed in np.unique(answers.splits):
        rows = answers.splits == seed
        outputs = Outputs(answers.outputs.labels[rows], answers.outputs.scores[rows])
        measure = make_measure(answers.truth[rows], outputs, [METRICS[metric]])
        weights = np.ones((1, rows.sum()), np.uint8)
        found.append(float(measure(weights)[METRICS[metric]][0]))
    return found


def compare(
    candidates: Sequence[Candidate],
    said: dict[str, list[Answers]],
    differences: Sequence[str] = tuple(METRICS),
) -> list[dict[str, Any]]:
    """Metrics of each candidate, and its differences to the first in some of them."""
    rows: list[dict[str, Any]] = [{"name": one.name} for one in candidates]
    for part, answers in said.items():
        for short in METRICS:
            for row, each in zip(rows, answers, strict=True):
                row[f"{part} {short}"] = by_split(each, short)
            if short in differences and len(answers) > 1:
                found = differences_to_first(answers, METRICS[short], at_once=part == "oof")
                for row, one in zip(rows[1:], found, strict=True):
                    row[f"{part} {short} difference"] = [one.value, one.low, one.high]
    return rows


def differences_to_first(answers: Sequence[Answers], metric: str, at_once: bool) -> list[Interval]:
    """Differences of a metric, with intervals that hold all at once, or each for itself."""
    first, *others = answers
    outputs = [each.outputs for each in others]
    if at_once:
        reference = first.truth, outputs, first.outputs, metric
        return compare_with_reference(*reference, groups=first.groups)
    return [
        paired_difference(first.truth, each, first.outputs, metric, groups=first.groups)
        for each in outputs
    ]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: means over the splits, and differences to the first row with intervals."""
    lines = [
        "| | F1 out of fold | difference | mAP out of fold | F1 test | difference | mAP test | difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row["name"]]
        for part, short, with_difference in COLUMNS:
            cells.append(f"{statistics.mean(row[f'{part} {short}']):.3f}")
            if with_difference:
                cells.append(shown(row.get(f"{part} {short} difference")))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


COLUMNS = (("oof", "f1", True), ("oof", "map", False), ("test", "f1", True), ("test", "map", True))


def shown(difference: Sequence[float] | None) -> str:
    """A difference with its interval, bold where that excludes 0.

    >>> shown([0.01, 0.002, 0.018]), shown([0.01, -0.002, 0.018]), shown(None)
    ('**+0.010** (+0.002 to +0.018)', '+0.010 (-0.002 to +0.018)', '')
    """
    if difference is None:
        return ""
    value, low, high = difference
    text = f"{value:+.3f}"
    return f"{f'**{text}**' if low > 0 or high < 0 else text} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
