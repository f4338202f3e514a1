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
from hybrid.explain.saliency import (
    class_activation_maps,
    compare_with_occlusion,
    grad_cam,
    occlude_patches,
    score_gradient,
)
from hybrid.images.decode import BadPoster
from hybrid.images.files import load_poster
from hybrid.inspection.loaded_run import LoadedHead, LoadedNetwork, load_run, require_linear
from hybrid.inspection.poster_saliency import poster_blocks, resolve_backbones
from hybrid.utils.context import Context
from hybrid.utils.environment import hardware

SIDES = (2, 3, 4, 5, 7)
GENRES = 3

Pixels = NDArray[np.uint8]
Floats = NDArray[Any]
Score = Callable[[Pixels], Floats]  # posters (n, height, width, 3) → scores (n, L)
Look = Callable[[int, Pixels], tuple[Floats, Score]]  # row, its poster → maps (L, h, w)


def look_at_head(run: LoadedHead) -> tuple[BackboneSpec, Look]:
    """The exact maps of a poster, and how it is scored."""
    block = poster_blocks(run.model, run.record)[0]
    ((spec, weights),) = resolve_backbones(run.folder, [block])
    model = load_feature_map_model(spec, weights)
    mean, scale, coef = block.features.mean_, block.features.scale_, block.coef

    def look(row: int, poster: Pixels) -> tuple[Floats, Score]:
        embedding = block.features.read(run.frame.iloc[[row]])[0]
        features, _ = model.predict(poster[None])
        directions = score_gradient(coef, scale, embedding, mean)
        cells, _ = class_activation_maps(features[0], model.pooling, embedding, mean, directions)
        return cells, lambda x: block.features.transform(model.predict(x)[1]) @ coef.T

    return spec, look


def look_at_network(run: LoadedNetwork) -> tuple[BackboneSpec, Look]:
    """The same of a deep baseline, by Grad-CAM."""
    # Compiled once, where what else an item has does not matter.
    fixed = None if run.model.spec.fused else run.feature_map_model(0)

    def look(row: int, poster: Pixels) -> tuple[Floats, Score]:
        model = fixed or run.feature_map_model(row)
        features, log_odds = model.predict(poster[None])
        gradients = model.gradients(features[0], np.eye(log_odds.shape[1]))
        return grad_cam(features[0], gradients), lambda x: model.predict(x)[1]

    return run.model.spec.body, look


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
    run = load_run(given.run, given.catalogue, context=Context(cache=given.cache))
    if isinstance(run, LoadedNetwork):
        spec, look = look_at_network(run)
    else:
        spec, look = look_at_head(require_linear(run, "exact maps"))
    test = run.predictions.ids[run.predictions.splits == "test"]
    rows = np.flatnonzero(np.isin(run.catalogue.ids, test))
    found: dict[int, list[float]] = {side: [] for side in SIDES}
    for row in np.random.default_rng(given.seed).permutation(rows)[: given.items].tolist():
        poster = load_poster(run.catalogue.poster_paths[row], spec.input_size, spec.fit)
        if isinstance(poster, BadPoster):
            continue
        cells, score = look(row, poster)
        strongest = np.argsort(-cells.sum(axis=(1, 2)))[:GENRES]
        for side in SIDES:
            covered = occlude_patches(poster, cells.shape[1:], side)
            scores = score(np.concatenate([poster[None], covered.reshape(-1, *poster.shape)]))
            for j in strongest:
                drops = (scores[0, j] - scores[1:, j]).reshape(covered.shape[:2])
                found[side].append(compare_with_occlusion(cells[j], drops).correlation)
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
