"""What each choice adds on a catalogue: text, a second poster block, C, weights, thresholds, other heads.

    python benchmarks/choice.py films --embeddings 942e 89ce --out choice.json

`films` is a project folder that has been extracted with two layers (or backbones), whose fingerprints start
with these digits (`hybrid cache ls` shows them). Each split is made by `hybrid split --seed`, each model by a
command of its own that learns from train and validation alone. Runs stay in `films/choice`, and those that
are there are not made again.

A difference is that of weighted F1 on the test items of all splits together, each model's own labels; its
interval is a paired bootstrap by item, whichever tests the item is in.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

SVM = ("fit-svm",)


@dataclass(frozen=True)
class Variant:
    """A command, and the variant that it is compared with; `layers` asks for the second poster block."""

    name: str
    arguments: tuple[str, ...]
    against: str | None
    layers: bool = True


VARIANTS = (
    Variant("words", (*SVM, "--max-chars", "0"), None, layers=False),
    Variant("and characters", SVM, "words", layers=False),
    Variant("and a second layer", SVM, "and characters"),
    Variant("C fixed at 1", (*SVM, "--C", "1"), "and a second layer"),
    Variant("weights fixed at 1", SVM, "and a second layer"),
    Variant("wider search", (*SVM, "--search"), "and a second layer"),
    Variant("stacking", ("fit-ovr", "--estimator", "stacking"), "and a second layer"),
    Variant("rbf", ("fit-ovr", "--estimator", "rbf"), "and a second layer"),
)
HALF = Variant("thresholds of 0.5", (), "and a second layer")


def hybrid(folder: Path, *arguments: object) -> None:
    """Run one command in the project folder."""
    code = "from hybrid.cli.main import main; main()"
    call = [sys.executable, "-c", code, *map(str, arguments), "--quiet"]
    subprocess.run(call, cwd=folder, stdout=subprocess.DEVNULL, check=True)


def fit(folder: Path, seed: int, variant: Variant, embeddings: list[str]) -> Any:
    """The run of one variant on one split."""
    from hybrid.runs.folder import read_run

    runs = Path("choice") / str(seed)
    name = variant.name.replace(" ", "-")
    if not (folder / runs / name).exists():
        chosen = embeddings if variant.layers else embeddings[:1]
        posters = [word for digits in chosen for word in ("--embeddings", digits)]
        weights = []
        if variant.name.startswith("weights"):
            blocks = json.loads(
                (folder / runs / "and-a-second-layer" / "run.json").read_text("utf-8")
            )["blocks"]
            weights = [word for block in blocks for word in ("--block-weight", f"{block}=1")]
        places = ["--splits", runs / "splits.csv", "--runs", runs, "--name", name]
        hybrid(folder, *variant.arguments, *posters, *weights, *places, "--seed", seed)
    return read_run(folder / runs / name)


@dataclass(frozen=True)
class Tested:
    """The test items of one run: ids, labels, probabilities."""

    ids: Any
    labels: Any
    probabilities: Any


def tested(run: Any) -> Tested:
    rows = run.predictions.splits == "test"
    found = run.predictions
    return Tested(found.ids[rows], found.labels[rows], found.probabilities[rows])


def compare(catalogue: Any, ours: list[Tested], other: list[Tested] | None) -> dict[str, Any]:
    """Weighted F1 of each split, its mean, and the paired difference of all together."""
    from sklearn.metrics import f1_score

    from hybrid.evaluation import Outputs, paired_difference

    row = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    truths = [catalogue.labels[[row[name] for name in each.ids.tolist()]] for each in ours]
    f1 = [
        float(f1_score(truth, each.labels, average="weighted", zero_division=0))
        for truth, each in zip(truths, ours, strict=True)
    ]
    found: dict[str, Any] = {"f1": f1, "mean": float(np.mean(f1)), "range": [min(f1), max(f1)]}
    if other is not None:
        sides = [
            Outputs(
                np.concatenate([each.labels for each in side]),
                np.concatenate([each.probabilities for each in side]),
            )
            for side in (ours, other)
        ]
        ids = np.concatenate([each.ids for each in ours])
        if any((a.ids != b.ids).any() for a, b in zip(ours, other, strict=True)):
            raise SystemExit("expected both sides on the same test items")
        difference = paired_difference(np.concatenate(truths), *sides, groups=ids)
        found["difference"] = [difference.value, difference.low, difference.high]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--embeddings", nargs=2, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--only", nargs="+", help="names of variants, and what they need")
    parser.add_argument("--out", type=Path, default=Path("choice.json"))
    options = parser.parse_args()
    from hybrid.catalogue import load_catalogue

    catalogue = load_catalogue(options.folder / "catalogue.csv")
    for seed in options.seeds:
        place = Path("choice") / str(seed)
        if not (options.folder / place / "splits.csv").exists():
            (options.folder / place).mkdir(parents=True, exist_ok=True)
            hybrid(options.folder, "split", "--seed", seed, "--splits", place / "splits.csv")
    found: dict[str, list[Tested]] = {}
    summary: dict[str, Any] = {
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "seeds": options.seeds,
    }
    for variant in VARIANTS:
        if options.only and variant.name not in options.only:
            continue
        runs = [fit(options.folder, seed, variant, options.embeddings) for seed in options.seeds]
        found[variant.name] = [tested(run) for run in runs]
        summary[variant.name] = {
            **show(catalogue, found, variant),
            "chosen": [run.record.head.chosen for run in runs],
        }
    if HALF.against in found:
        found[HALF.name] = [
            replace(each, labels=(each.probabilities >= 0.5).astype(np.uint8))
            for each in found[HALF.against]
        ]
        summary[HALF.name] = show(catalogue, found, HALF)
    options.out.write_text(json.dumps(summary, indent=2) + "\n")


def show(catalogue: Any, found: dict[str, list[Tested]], variant: Variant) -> dict[str, Any]:
    """Compare one variant and print its row."""
    against = None if variant.against is None else found.get(variant.against)
    result = compare(catalogue, found[variant.name], against)
    low, high = result["range"]
    row = f"| {variant.name} | {result['mean']:.3f} ({low:.3f} to {high:.3f}) |"
    if against is not None:
        value, low, high = result["difference"]
        row += f" {value:+.4f} ({low:+.4f} to {high:+.4f}) over {variant.against} |"
    print(row, flush=True)
    return result


if __name__ == "__main__":
    main()
