"""What a poster's shape, the input's size and the precision are worth, on a catalogue of real films.

    python benchmarks/embeddings.py CATALOGUE --weights mobilenet_7_5_224_notop.weights.h5

Each variant of the embeddings differs from the default in one thing. For each, `hybrid fit-svm` on the
posters alone and on all blocks, on the test items of several splits: weighted F1, and the difference to
the default on the same items with its paired bootstrap interval.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hybrid import extract_embeddings, fit_head, load_catalogue, make_hybrid
from hybrid.backbones.engines import choose_engine
from hybrid.catalogue import Catalogue
from hybrid.evaluation import Outputs, paired_difference
from hybrid.runs.experiment import Experiment
from hybrid.splitting.methods import split_catalogue
from hybrid.types import EmbeddingOptions, EmbeddingSelector, Split
from hybrid.utils.context import Context

BACKBONE = "mobilenet-075"
DEFAULT = EmbeddingOptions(precision="float32")
VARIANTS = {
    "squash, 224 x 224": DEFAULT,
    "pad, 224 x 224": replace(DEFAULT, fit="pad"),
    "crop, 224 x 224": replace(DEFAULT, fit="crop"),
    # As many pixels, in the shape of a poster; then more of them.
    "squash, 272 x 184": replace(DEFAULT, input_size=(272, 184)),
    "squash, 320 x 224": replace(DEFAULT, input_size=(320, 224)),
    "bfloat16": replace(DEFAULT, precision="bfloat16"),
}
BLOCKS = {"poster": ["poster"], "fused": None}


def main() -> None:
    os.environ["HYBRID_FOLLOW_LINKS"] = "1"  # to the films, from a folder beside them
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("embeddings.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, source = Path(name), options.catalogue.resolve()
        (folder / "catalogue.csv").symlink_to(source)
        (folder / "posters").symlink_to(source.parent / "posters")
        catalogue = load_catalogue(folder / "catalogue.csv")
        splits = {
            seed: split_catalogue(catalogue, context=Context(seed=seed)) for seed in options.seeds
        }
        found = {}
        for variant, embedding in VARIANTS.items():
            found[variant] = measure(catalogue, splits, folder, str(options.weights), embedding)
            print(
                f"{variant}: {found[variant]['posters a second']:.0f} posters a second", flush=True
            )
        result = summarise(catalogue, splits, found)
    result["device"] = choose_engine().device
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(table(result))


def measure(
    catalogue: Catalogue,
    splits: dict[int, Split],
    folder: Path,
    weights: str,
    embedding: EmbeddingOptions,
) -> dict[str, Any]:
    """Extract, and fit on each split: the rate, and each model's answers on the test items."""
    cache = str(folder / "cache")
    summary = extract_embeddings(
        catalogue, BACKBONE, weights=weights, options=embedding, context=Context(cache=cache)
    )
    answers = {}
    for seed, split in splits.items():
        for name, blocks in BLOCKS.items():
            model = make_hybrid(
                catalogue,
                blocks=blocks,
                select=EmbeddingSelector(fingerprint=summary.fingerprint),
                context=Context(cache=cache, seed=seed),
            )
            place = folder / "runs" / f"{summary.fingerprint}-{seed}-{name}"
            run = fit_head(
                Experiment(catalogue, split, place, context=Context(seed=seed, cache=cache)),
                model,
                {},
            )
            test = run.predictions.splits == "test"
            said = Outputs(run.predictions.labels[test], run.predictions.probabilities[test])
            answers[seed, name] = run.predictions.ids[test], said
    return {"posters a second": summary.rate, "answers": answers}


def summarise(
    catalogue: Catalogue, splits: dict[int, Split], found: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Weighted F1 of each variant on each split, and the paired difference to the first variant."""
    row = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    first = next(iter(found.values()))["answers"]
    result: dict[str, Any] = {}
    for variant, each in found.items():
        result[variant] = {"posters a second": each["posters a second"]}
        for name in BLOCKS:
            scores, differences = [], []
            for seed in splits:
                ids, said = each["answers"][seed, name]
                truth = catalogue.labels[[row[i] for i in ids.tolist()]]
                split = splits[seed]
                group = dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True))
                groups = [group[name] for name in ids.tolist()]
                scores.append(paired_difference(truth, said, nothing(said)).value)
                against = first[seed, name][1]
                differences.append(paired_difference(truth, said, against, groups=groups))
            result[variant][name] = {
                "f1": scores,
                "difference": [[d.value, d.low, d.high] for d in differences],
            }
    return result


def nothing(said: Outputs) -> Outputs:
    """Outputs that name no label, whose F1 is 0."""
    return Outputs(np.zeros_like(said.labels), np.zeros_like(said.scores))


def table(result: dict[str, Any]) -> str:
    """Markdown: means over the splits, and how often a difference's interval excludes 0."""
    lines = [
        "| variant | posters a second | poster alone | difference | fused | difference |",
        "|---|---|---|---|---|---|",
    ]
    for variant, each in result.items():
        if variant == "device":
            continue
        cells = [f"| {variant} | {each['posters a second']:.0f} "]
        for name in BLOCKS:
            differences = each[name]["difference"]
            sure = sum(low > 0 or high < 0 for _, low, high in differences)
            mean = statistics.mean(value for value, _, _ in differences)
            cells.append(
                f"| {statistics.mean(each[name]['f1']):.3f} "
                f"| {mean:+.3f} (sure in {sure} of {len(differences)}) "
            )
        lines.append("".join(cells) + "|")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
