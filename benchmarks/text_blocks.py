"""What a text encoder adds to posters, TF-IDF and metadata, and what it adds when it has learnt the labels.

    python benchmarks/text_blocks.py films/catalogue.csv --cache films/.hybrid-cache --embeddings 942e \
        --text-encoder all-MiniLM-L6-v2 --work text-blocks --out text-blocks.json

The posters have been extracted into the cache: `--embeddings` has the first digits of their fingerprint. Each
split is made by `hybrid split --seed`; of each, the encoder is tuned by `hybrid tune` on train and validation
items, and each model is fitted by a command of its own. What is in `--work` is not made again. Without
`--tune` there are no tuned encoders.

A difference is that of a metric on the test items of all splits together; its interval is a paired bootstrap
by item, whichever tests the item is in.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

METRICS = ("f1_weighted", "map_macro")
SVM, STACKING = ("fit-svm",), ("fit-ovr", "--estimator", "stacking")
WITHOUT = ("--blocks", "poster,text,metadata")
FROZEN, TUNED = ("--text-encoder", "{encoder}"), ("--text-encoder", "tuned-{seed}")


@dataclass(frozen=True)
class Variant:
    """A command, and the variant that it is compared with."""

    name: str
    arguments: tuple[str, ...]
    against: str | None = None
    tuned: bool = False


VARIANTS = (
    Variant("svm", (*SVM, *WITHOUT)),
    Variant("stacking", (*STACKING, *WITHOUT), "svm"),
    Variant("svm, frozen", (*SVM, *FROZEN), "svm"),
    Variant("stacking, frozen", (*STACKING, *FROZEN), "stacking"),
    Variant("tuned alone", (*SVM, "--blocks", "text-embedding", *TUNED), "svm", tuned=True),
    Variant("svm, frozen and tuned", (*SVM, *FROZEN, *TUNED), "svm, frozen", tuned=True),
    Variant("stacking, frozen and tuned", (*STACKING, *FROZEN, *TUNED), "stacking", tuned=True),
)


@dataclass(frozen=True)
class Project:
    """Where the catalogue is, and what is made of it."""

    catalogue: Path
    cache: Path
    work: Path
    embeddings: str
    encoder: str

    def hybrid(self, command: Sequence[str], seed: int, *more: object) -> None:
        """Run one command in the folder of the work."""
        words = [word.format(encoder=self.encoder, seed=seed) for word in command]
        places = [
            "--catalogue",
            self.catalogue,
            "--cache",
            self.cache,
            "--seed",
            seed,
            *more,
            "--quiet",
        ]
        places += [] if words[0] == "extract" else ["--splits", f"splits-{seed}.csv"]
        call = [sys.executable, "-m", "hybrid", *words, *map(str, places)]
        subprocess.run(call, cwd=self.work, stdout=subprocess.DEVNULL, check=True)

    def prepare(self, seed: int, tune: bool) -> None:
        """A split, the embeddings of the texts, and a tuned encoder."""
        if not (self.work / f"splits-{seed}.csv").exists():
            self.hybrid(["split"], seed)
        if tune and not (self.work / "encoders" / f"tuned-{seed}").exists():
            self.hybrid(["tune", "--text-encoder", self.encoder, "--name", "tuned-{seed}"], seed)

    def run(self, variant: Variant, seed: int) -> Any:
        """The run of one variant on one split."""
        from hybrid.runs.folder import read_run

        name = f"{variant.name.replace(', ', '-').replace(' ', '-')}-{seed}"
        if not (self.work / "runs" / name).exists():
            posters = (
                [] if "text-embedding" in variant.arguments else ["--embeddings", self.embeddings]
            )
            self.hybrid(variant.arguments, seed, *posters, "--name", name)
        return read_run(self.work / "runs" / name)


def main() -> None:
    """Parse, fit, print a row for each variant, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(".hybrid-cache"))
    parser.add_argument(
        "--embeddings", required=True, help="first digits of the posters' fingerprint"
    )
    parser.add_argument("--text-encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--work", type=Path, default=Path("text-blocks"))
    parser.add_argument("--out", type=Path, default=Path("text-blocks.json"))
    options = parser.parse_args()
    from hybrid.catalogue import load_catalogue

    encoder = Path(options.text_encoder)
    project = Project(
        options.catalogue.absolute(),
        options.cache.absolute(),
        options.work,
        options.embeddings,
        str(encoder.absolute()) if encoder.is_dir() else options.text_encoder,
    )
    project.work.mkdir(parents=True, exist_ok=True)
    catalogue = load_catalogue(project.catalogue)
    for seed in options.seeds:
        project.prepare(seed, options.tune)
    project.hybrid(["extract", "--text-encoder", "{encoder}"], options.seeds[0])
    found: dict[str, list[Any]] = {}
    summary: dict[str, Any] = {
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "seeds": options.seeds,
    }
    print(f"| | {' | '.join(f'{metric} | difference' for metric in METRICS)} | to |")
    for variant in VARIANTS:
        if variant.tuned and not options.tune:
            continue
        found[variant.name] = [project.run(variant, seed) for seed in options.seeds]
        result = measure(catalogue, found[variant.name], found.get(variant.against or ""))
        summary[variant.name] = result
        cells = " | ".join(cell for metric in METRICS for cell in cells_of(result[metric]))
        print(f"| {variant.name} | {cells} | {variant.against or ''} |", flush=True)
    options.out.write_text(json.dumps(summary, indent=2) + "\n")


def measure(catalogue: Any, runs: list[Any], others: list[Any] | None) -> dict[str, Any]:
    """Each metric of each split, its mean, and the paired difference of all together."""
    from hybrid.evaluation import paired_difference

    truth, outputs, ids = together(catalogue, runs)
    result: dict[str, Any] = {}
    for metric in METRICS:
        values = [run.record.metrics[metric].value for run in runs]
        result[metric] = {"values": values, "mean": float(np.mean(values))}
        if others is not None:
            _, theirs, same = together(catalogue, others)
            if ids.tolist() != same.tolist():
                raise SystemExit("expected both sides on the same test items")
            difference = paired_difference(truth, outputs, theirs, metric, groups=ids)
            result[metric]["difference"] = [difference.value, difference.low, difference.high]
    return result


def together(catalogue: Any, runs: list[Any]) -> tuple[Any, Any, Any]:
    """Labels, outputs and ids of the test items of several runs, one below the other."""
    from hybrid.evaluation import Outputs

    row = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    parts = []
    for run in runs:
        test, found = run.predictions.splits == "test", run.predictions
        ids = found.ids[test]
        truth = catalogue.labels[[row[name] for name in ids.tolist()]]
        parts.append((truth, found.labels[test], found.probabilities[test], ids))
    truth, labels, probabilities, ids = map(np.concatenate, zip(*parts, strict=True))
    return truth, Outputs(labels, probabilities), ids


def cells_of(found: dict[str, Any]) -> list[str]:
    """Two cells of a row: mean and range, difference and interval."""
    low, high = min(found["values"]), max(found["values"])
    difference = found.get("difference")
    told = "" if difference is None else "{:+.3f} ({:+.3f} to {:+.3f})".format(*difference)
    return [f"{found['mean']:.3f} ({low:.3f} to {high:.3f})", told]


if __name__ == "__main__":
    main()
