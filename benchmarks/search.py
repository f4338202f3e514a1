"""Successive halving beside the full search, on a catalogue that comes again with noise up to so many items.

    python benchmarks/search.py films/catalogue.csv --cache films/.hybrid-cache --embeddings 942e \
      --items 60000 --seeds 0 1 2 3 4 --folder search --out search.json

Items come again with a fifth of the words left out and embeddings with noise of half their length, mapped
to 2,048 numbers. The copies of an item are one group of the split. With 0 items the catalogue is as it is.
Each fit is a command of its own; its processor time is that of its process. Runs stay in the folder, and
those that are there are not made again.

The difference is that of weighted F1 on the test items of all splits together, by a paired bootstrap over
items of the catalogue, whichever copies and splits they are in.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
from films import command

WIDTH = 2048
SIDES = ("full", "halving")
DROPPED = ("--drop", "film")


def write_project(options: argparse.Namespace) -> None:
    """The catalogue again and again, and its embeddings, as a block `image` of the item."""
    import pandas as pd

    from hybrid.catalogue import load_catalogue
    from hybrid.extraction.lookup import find_store
    from hybrid.features import PosterFeatures
    from hybrid.types import EmbeddingSelector
    from hybrid.utils.context import Context

    catalogue = load_catalogue(options.catalogue)
    context = Context(cache=str(options.cache))
    store = find_store(catalogue, EmbeddingSelector(fingerprint=options.embeddings), context)
    found = PosterFeatures(context.cache, store.fingerprint).read(catalogue.frame)
    films, count = len(catalogue), options.items or len(catalogue)
    random = np.random.default_rng(0)
    rows, copy = np.arange(count) % films, np.arange(count) // films
    table = pd.read_csv(options.catalogue, dtype=str, keep_default_na=False).iloc[rows]
    table.insert(
        0, "id", [f"{name}-{k}" for name, k in zip(catalogue.ids[rows], copy, strict=True)]
    )
    table["film"] = catalogue.ids[rows]
    for column in catalogue.columns.text:
        table[column] = [
            text if k == 0 else leave_out(text, random)
            for text, k in zip(table[column], copy, strict=True)
        ]
    table.drop(columns=["poster", "movie_id"]).to_csv(options.folder / "catalogue.csv", index=False)
    there = np.flatnonzero(np.isfinite(found[rows]).all(axis=1))
    vectors = found[rows[there]].astype(np.float32)
    vectors -= np.nanmean(found, axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    noise = random.standard_normal(vectors.shape, dtype=np.float32) / (2 * vectors.shape[1] ** 0.5)
    vectors += noise * (copy[there] > 0)[:, None]
    mixed = random.standard_normal((vectors.shape[1], WIDTH), dtype=np.float32)
    np.savez(
        options.folder / "image.npz",
        ids=table["id"].to_numpy()[there].astype(str),
        embeddings=(vectors @ mixed / WIDTH**0.5).astype(np.float32),
    )


def leave_out(text: str, random: Any) -> str:
    """The text without a fifth of its words."""
    words = text.split()
    kept = random.random(len(words)) > 0.2
    return " ".join(word for word, keep in zip(words, kept, strict=True) if keep)


def fit(options: argparse.Namespace, seed: int, side: str) -> dict[str, Any]:
    """One run, or what is left of it: what it took, and what it chose."""
    runs = options.folder / "runs" / str(seed)
    runs.mkdir(parents=True, exist_ok=True)
    splits = runs / "splits.csv"
    if not splits.exists():
        group = ("--group-column", "film", "--no-near-duplicates")
        command(options.folder, "split", "--seed", seed, "--splits", splits, *group)
    measured = runs / f"{side}.json"
    if not measured.exists():
        took = command(
            options.folder,
            *("fit-svm", "--splits", splits, "--runs", runs, "--name", side, "--seed", seed),
            *("--blocks", "text,metadata,image", "--search", side, *DROPPED),
        )
        measured.write_text(json.dumps(took))
    record = json.loads((runs / side / "run.json").read_text("utf-8"))
    return {
        **json.loads(measured.read_text()),
        "chosen": record["chosen"],
        "stages": record["stages"],
    }


def tested(options: argparse.Namespace, seed: int, side: str) -> tuple[Any, Any, Any]:
    """Ids, labels and probabilities of the test items."""
    from hybrid.runs.folder import read_run

    found = read_run(options.folder / "runs" / str(seed) / side).predictions
    rows = found.splits == "test"
    return found.ids[rows], found.labels[rows], found.probabilities[rows]


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """The paired difference on the test items of all splits together."""
    from hybrid.catalogue import load_catalogue
    from hybrid.evaluation import Outputs, measure_all, paired_difference
    from hybrid.types import ColumnOptions

    catalogue = load_catalogue(options.folder / "catalogue.csv", ColumnOptions(drop=("film",)))
    row = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    each: dict[str, list[Any]] = {
        side: [tested(options, s, side) for s in options.seeds] for side in SIDES
    }
    ids = np.concatenate([found[0] for found in each["full"]])
    truth = catalogue.labels[[row[name] for name in ids.tolist()]]
    both = {
        side: Outputs(*(np.concatenate([found[k] for found in each[side]]) for k in (1, 2)))
        for side in SIDES
    }
    films = np.array([name.rpartition("-")[0] for name in ids.tolist()])
    found = paired_difference(truth, both["halving"], both["full"], groups=films)
    splits = []
    for one, other in zip(each["halving"], each["full"], strict=True):
        labels = catalogue.labels[[row[name] for name in one[0].tolist()]]
        splits.append(
            [measure_all(labels, Outputs(*side[1:]))["f1_weighted"] for side in (one, other)]
        )
    means = dict(zip(("halving", "full"), np.mean(splits, axis=0).tolist(), strict=True))
    return {"f1": means, "difference": [found.value, found.low, found.high], "splits": splits}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--embeddings", required=True)
    parser.add_argument("--items", type=int, default=60_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--folder", type=Path, default=Path("search"))
    parser.add_argument("--only", choices=SIDES, help="fit this side alone, and compare nothing")
    parser.add_argument("--out", type=Path, default=Path("search.json"))
    options = parser.parse_args()
    options.folder = options.folder.absolute()
    options.folder.mkdir(parents=True, exist_ok=True)
    if not (options.folder / "catalogue.csv").exists():
        write_project(options)
        name = ("image.npz", "--block", "image", "--of", "item", *DROPPED)
        command(options.folder, "import-embeddings", *name)
    sides = SIDES if options.only is None else (options.only,)
    found: dict[str, Any] = {
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "items": options.items,
    }
    for seed in options.seeds:
        found[str(seed)] = {side: fit(options, seed, side) for side in sides}
        for side, run in found[str(seed)].items():
            print(seed, side, f"{run['processor']:.0f} s", run["chosen"], flush=True)
    if options.only is None:
        found["compared"] = compare(options)
        print(json.dumps(found["compared"], indent=2))
    options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
