"""How far the maps of posters agree with what covering parts of a poster does.

    python benchmarks/occlusion.py RUN --catalogue CATALOGUE --cache CACHE --out occlusion.json

For test items drawn with the seed and the three genres that their posters speak most for: Spearman's rank
correlation of the map, summed to patches, with the drops, for several sizes of patches.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones import BackboneSpec
from hybrid.backbones.feature_maps import load_feature_map_model
from hybrid.explain.saliency import check_by_occlusion, cover, direct, exact_cells, gradient_cells
from hybrid.images.decode import BadPoster, load_poster
from hybrid.inspection.loaded_run import OpenedHead, OpenedNetwork, only_linear, open_run
from hybrid.inspection.poster_maps import find_nets, poster_blocks
from hybrid.utils.environment import hardware

SIDES = (2, 3, 4, 5, 7)
GENRES = 3

Pixels = NDArray[np.uint8]
Floats = NDArray[Any]
Score = Callable[[Pixels], Floats]  # posters (n, height, width, 3) → scores (n, L)
Look = Callable[[int, Pixels], tuple[Floats, Score]]  # row, its poster → maps (L, h, w)


def look_at_head(opened: OpenedHead) -> tuple[BackboneSpec, Look]:
    """The exact maps of a poster, and how it is scored."""
    block = poster_blocks(opened.model, opened.record)[0]
    ((spec, weights),) = find_nets(opened.folder, [block])
    model = load_feature_map_model(spec, weights)
    mean, scale, per_unit = block.features.mean_, block.features.scale_, block.per_unit

    def look(row: int, poster: Pixels) -> tuple[Floats, Score]:
        embedding = block.features.read(opened.frame.iloc[[row]])[0]
        features, _ = model.predict(poster[None])
        directions = direct(per_unit, scale, embedding, mean)
        cells, _ = exact_cells(features[0], model.pooling, embedding, mean, directions)
        return cells, lambda x: block.features.transform(model.predict(x)[1]) @ per_unit.T

    return spec, look


def look_at_network(opened: OpenedNetwork) -> tuple[BackboneSpec, Look]:
    """The same of a deep baseline, by Grad-CAM."""
    # Compiled once, where what else an item has does not matter.
    fixed = None if opened.model.spec.fused else opened.feature_map_model(0)

    def look(row: int, poster: Pixels) -> tuple[Floats, Score]:
        model = fixed or opened.feature_map_model(row)
        features, log_odds = model.predict(poster[None])
        gradients = model.gradients(features[0], np.eye(log_odds.shape[1]))
        return gradient_cells(features[0], gradients), lambda x: model.predict(x)[1]

    return opened.model.spec.body, look


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--catalogue", type=Path, default=Path("catalogue.csv"))
    parser.add_argument("--cache", default=".hybrid-cache")
    parser.add_argument("--items", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    opened = open_run(given.run, given.catalogue, cache=given.cache)
    if isinstance(opened, OpenedNetwork):
        spec, look = look_at_network(opened)
    else:
        spec, look = look_at_head(only_linear(opened, "exact maps"))
    test = opened.predictions.ids[opened.predictions.splits == "test"]
    rows = np.flatnonzero(np.isin(opened.catalogue.ids, test))
    found: dict[int, list[float]] = {side: [] for side in SIDES}
    for row in np.random.default_rng(given.seed).permutation(rows)[: given.items].tolist():
        poster = load_poster(opened.catalogue.poster_paths[row], spec.input_size, spec.fit)
        if isinstance(poster, BadPoster):
            continue
        cells, score = look(row, poster)
        strongest = np.argsort(-cells.sum(axis=(1, 2)))[:GENRES]
        for side in SIDES:
            covered = cover(poster, cells.shape[1:], side)
            scores = score(np.concatenate([poster[None], covered.reshape(-1, *poster.shape)]))
            for j in strongest:
                drops = (scores[0, j] - scores[1:, j]).reshape(covered.shape[:2])
                found[side].append(check_by_occlusion(cells[j], drops).correlation)
    result = {
        f"{side} x {side}": {
            "maps": len(values),
            "quartiles": np.nanpercentile(values, [25, 50, 75]).round(3).tolist(),
            "above 0": round(float(np.mean(np.array(values) > 0)), 3),
        }
        for side, values in found.items()
    }
    for side, said in result.items():
        print(f"{side}: median {said['quartiles'][1]:.2f}, above 0 {said['above 0']:.0%}, {said}")
    given.out.write_text(json.dumps({"patches": result, "hardware": hardware()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
