"""Does tuning a backbone pay? Frozen, tuned, and both, with paired intervals, for each split and for all.

    python benchmarks/tune_posters.py MOVIES --backbone mobilenet-075 --weights FILE --seeds 0 1 2

Posters alone, by the SVM of `hybrid fit-svm` and, with both, by stacking; and beside text and metadata, at
one C, without weights of blocks. Figures are of the test items of `hybrid split --seed N`, and out-of-fold of
the others, which encoders and heads learn from. Options are to be chosen on the latter. Intervals of all
splits together draw groups of near-duplicates, whichever splits they are in.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hybrid.backbones.tuned_folder import is_tuned
from hybrid.catalogue import load_catalogue
from hybrid.evaluation import Outputs, paired_difference
from hybrid.evaluation.evaluate import measure_all
from hybrid.extraction.extract import extract_embeddings
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.tune import tune_backbone
from hybrid.splitting.methods import SplitOptions, split_catalogue
from hybrid.tuning.options import TuneOptions, TuneSummary
from hybrid.types import EmbeddingOptions, EmbeddingSelector
from hybrid.utils.context import Context
from hybrid.utils.progress import Progress

DEFAULTS = TuneOptions()
CHOSEN = ("folds", "epochs", "layers", "learning_rate", "head_rate", "precision", "patience")
METRICS = {"f1": "f1_weighted", "mAP": "map_macro"}
PARTS = ("out-of-fold", "test")
WAYS = ("frozen", "tuned", "both", "stacked", "all, frozen", "all, both")
BASES = {"tuned": "frozen", "both": "frozen", "stacked": "frozen", "all, both": "all, frozen"}


class Answers(NamedTuple):
    """What a run says of n items: truth, labels and probabilities (n, L), groups (n,)."""

    truth: Any
    labels: Any
    probabilities: Any
    groups: Any

    @property
    def outputs(self) -> Outputs:
        """As metrics read them."""
        return Outputs(self.labels, self.probabilities)


def answers(run: Any, films: Any, split: Any, part: str) -> Answers:
    """What a run says of the test items, or of the others, out-of-fold."""
    found, group = (
        run.predictions,
        dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True)),
    )
    rows = np.flatnonzero((found.splits == "test") == (part == "test"))
    ids = found.ids[rows].tolist()
    place = {name: i for i, name in enumerate(films.ids.tolist())}
    return Answers(
        films.labels[[place[name] for name in ids]],
        found.labels[rows],
        found.probabilities[rows],
        np.array([group[name] for name in ids]),
    )


def join(some: Sequence[Answers]) -> Answers:
    """Those of several splits, one after another."""
    return Answers(*map(np.concatenate, zip(*some, strict=True)))


def compare(said: dict[str, list[Answers]], name: str) -> dict[str, Any]:
    """Each way's figures, means of some splits, and its paired differences to the way without tuning."""
    found: dict[str, Any] = {}
    for way, splits in said.items():
        base = BASES.get(way)
        found[way] = {}
        for n, key in METRICS.items():
            each = [measure_all(one.truth, one.outputs)[key] for one in splits]
            found[way][n] = {"value": statistics.mean(each)}
            line = f"{name}, {way}: {n} {statistics.mean(each):.3f}"
            if base:
                mine, other = join(splits), join(said[base])
                gap = paired_difference(
                    *(mine.truth, mine.outputs, other.outputs, key), groups=mine.groups
                )
                found[way][n] |= {"less": base, "difference": [gap.value, gap.low, gap.high]}
                line += f", less {base} {gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
            print(line, flush=True)
    return found


def tune(films: Any, split: Any, asked: Any, folder: Path, context: Context) -> Any:
    """The folder of the tuned encoder of a split, and what the tuning took; one that is there is used."""
    tuned = Experiment(films, split, folder / "encoders" / f"tuned-{context.seed}", context=context)
    if is_tuned(tuned.folder):
        return tuned.folder, extract_embeddings(films, str(tuned.folder), context=context)
    options = TuneOptions(**{name: getattr(asked, name) for name in CHOSEN})
    how = {"weights": asked.weights, "input_size": asked.size}
    return tuned.folder, tune_backbone(tuned, asked.backbone, options, **how)


def measure(films: Any, seed: int, asked: Any, folder: Path) -> tuple[Any, dict[str, Any]]:
    """One split: what the tuning took, and what the ways to use the posters say."""
    context = Context(cache=asked.cache, seed=seed, progress=Progress(quiet=False))
    split = split_catalogue(films, SplitOptions(), context=context)
    encoder, made = tune(films, split, asked, folder, context)
    frozen = EmbeddingSelector(asked.backbone, asked.weights, fingerprint=asked.frozen)
    scores = EmbeddingSelector(str(encoder))
    select = {"frozen": [frozen], "tuned": [scores]}
    said: dict[str, dict[str, Answers]] = {part: {} for part in PARTS}
    for way in WAYS:
        head = "stacking" if way == "stacked" else "svm"
        blocks = ["poster", *(("text", "metadata") if way.startswith("all") else ())]
        chosen = select.get(way.removeprefix("all, ")) or [frozen, scores]
        model = make_hybrid(films, head=head, blocks=blocks, select=chosen, context=context)
        if len(blocks) > 1:
            model.grid, model.block_weights = {"C": [asked.fused_C]}, ()
        with tempfile.TemporaryDirectory() as runs:
            run = fit_head(Experiment(films, split, Path(runs) / "run", context=context), model)
            for part in PARTS:
                said[part][way] = answers(run, films, split, part)
        print(f"seed {seed}: {way} is fitted", file=sys.stderr, flush=True)
    if isinstance(made, TuneSummary):
        print(
            f"seed {seed}: tuned in {made.seconds:.0f} s, out-of-fold mAP {made.oof_map or 0:.3f}, "
            f"peak {made.peak_mib:,.0f} MiB",
            flush=True,
        )
    for part in PARTS:
        compare({way: [one] for way, one in said[part].items()}, f"seed {seed}, {part}")
    return asdict(made), said


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this program."""
    parser.add_argument("movies", type=Path, help="folder with catalogue.csv")
    parser.add_argument("--backbone", default="mobilenet-075")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--cache", default=".hybrid-cache")
    parser.add_argument("--input-size", type=int, help="of posters, in pixels; also of the frozen")
    for name in CHOSEN:
        default = getattr(DEFAULTS, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--folder", type=Path, help="for encoders, which are kept; again: goes on")
    parser.add_argument("--json", type=Path, help="where to write what was measured")


def main() -> None:
    """Print the figures of each split, and their means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--fused-C", type=float, default=0.1, help="of the SVM on all blocks")
    asked = parser.parse_args()
    asked.size = (asked.input_size,) * 2 if asked.input_size else None
    films = load_catalogue(asked.movies / "catalogue.csv")
    made = extract_embeddings(
        *(films, asked.backbone),
        weights=asked.weights,
        options=EmbeddingOptions(input_size=asked.size),
        context=Context(cache=asked.cache, progress=Progress(quiet=False)),
    )
    asked.frozen = made.fingerprint
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        found = [measure(films, seed, asked, folder) for seed in asked.seeds]
    together = {
        part: compare(
            {way: [said[part][way] for _, said in found] for way in WAYS},
            f"mean of {len(found)}, {part}",
        )
        for part in PARTS
    }
    if asked.json:
        said = {"seeds": asked.seeds, "tuning": [made for made, _ in found], **together}
        asked.json.write_text(json.dumps(said, indent=2) + "\n")


if __name__ == "__main__":
    main()
