"""Simulation of what the report claims about its figures.

    python benchmarks/claims.py --rounds 1000 --out claims.json

Made models whose true figures are known: each gives a label where its own noisy score is high, and models
share half of the noise, as models on the same items do. Each claim is tried on many test sets:

- of equal models, the chance that any pair is found to differ (family-wise error) is 5 % at most;
- of unequal ones, all intervals of differences hold at once, and none contradicts its p-value;
- intervals hold the true value, also where each item has copies in its group, and not without the groups;
- the winner's corrected figure has no bias, and its interval holds the true value;
- the winner's chance of being best is how often it is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr

from hybrid.evaluation import Outputs, compare_pairs, evaluate, paired_difference, select_best

MAIN = "f1_weighted"
CUT = 1.0  # scores above get the label
RATES = np.linspace(0.05, 0.4, 8)
SHARED = 0.5  # of the variance of the noise
MODELS = (2, 5, 10, 20)
# Of skills: 0, 0.8, 1.6 and 4.5 standard errors of the figure.
SPREADS = (0.0, 0.05, 0.1, 0.3)
UNEQUAL = (0.4, 0.9, 1.0, 1.0, 1.6)
COPIES = 4


def make_models(items: int, skills: Any, seed: int) -> tuple[Any, list[Outputs]]:
    """Truth and the outputs of a model for each skill."""
    random = np.random.default_rng(seed)
    truth = (random.random((items, len(RATES))) < RATES).astype(np.uint8)
    shared, models = random.normal(size=truth.shape), []
    for skill in skills:
        own = random.normal(size=truth.shape)
        scores = skill * truth + SHARED**0.5 * shared + (1 - SHARED) ** 0.5 * own
        models.append(Outputs((scores > CUT).astype(np.uint8), scores))
    return truth, models


def true_figures(skills: Any) -> Any:
    """Weighted F1 of the whole population."""
    hit, alarm = ndtr(np.reshape(skills, (-1, 1)) - CUT), ndtr(-CUT)
    f1 = 2 * RATES * hit / (RATES * hit + (1 - RATES) * alarm + RATES)
    return f1 @ RATES / RATES.sum()


def holds(interval: Any, value: float) -> bool:
    return bool(interval.low <= value <= interval.high)


def equal_models(rounds: int, items: int, draws: int) -> dict[str, float]:
    """Family-wise error of equal models, by their number."""
    found = {}
    for count in MODELS:
        wrong = 0
        for seed in range(rounds):
            truth, models = make_models(items, np.ones(count), seed)
            p_value = compare_pairs(truth, models, draws=draws, seed=seed).p_value
            wrong += bool((p_value <= 0.05).any())
        found[str(count)] = wrong / rounds
    return found


def unequal_models(rounds: int, items: int, draws: int) -> dict[str, float]:
    """Coverage of the intervals of differences: each alone, all at once; and contradictions."""
    true = true_figures(UNEQUAL)
    differences, off = true[:, None] - true, ~np.eye(len(true), dtype=bool)
    each, at_once, contradicted = 0.0, 0, 0
    for seed in range(rounds):
        truth, models = make_models(items, UNEQUAL, seed)
        found = compare_pairs(truth, models, draws=draws, seed=seed)
        held = (found.low <= differences) & (differences <= found.high)
        each += held[off].mean()
        at_once += held.all()
        excluded = (found.low > 0) | (found.high < 0)
        contradicted += (excluded != (found.p_value <= 0.05))[off].any()
    return {
        "each": each / rounds,
        "at once": at_once / rounds,
        "contradictions": contradicted / rounds,
    }


def copied_items(rounds: int, items: int, draws: int) -> dict[str, dict[str, float]]:
    """Coverage and width of intervals where each item has copies, with groups and without."""
    skills = (1.0, 1.3)
    true = true_figures(skills)
    held: dict[str, list[bool]] = {}
    width: dict[str, list[float]] = {}
    group = np.repeat(np.arange(items), COPIES)
    for seed in range(rounds):
        truth, models = make_models(items, skills, seed)
        truth = np.repeat(truth, COPIES, axis=0)
        one, other = (
            Outputs(np.repeat(m.labels, COPIES, axis=0), np.repeat(m.scores, COPIES, axis=0))
            for m in models
        )
        for name, groups in (("groups", group), ("no groups", None)):
            options: Any = {"groups": groups, "draws": draws, "seed": seed}
            figure = evaluate(truth, one, [str(j) for j in range(len(RATES))], **options)
            gap = paired_difference(truth, one, other, **options)
            for kind, interval, value in (
                ("figure", figure.metrics[MAIN], true[0]),
                ("difference", gap, true[0] - true[1]),
            ):
                held.setdefault(f"{kind}, {name}", []).append(holds(interval, value))
                width.setdefault(f"{kind}, {name}", []).append(interval.high - interval.low)
    return {
        name: {"coverage": float(np.mean(held[name])), "width": float(np.mean(width[name]))}
        for name in held
    }


def winners(rounds: int, items: int, draws: int) -> dict[str, dict[str, float]]:
    """Bias and coverage of the winner's figure, and its chance of being best, by the spread of skills."""
    found = {}
    names = [str(j) for j in range(len(RATES))]
    for spread in SPREADS:
        rows = []
        for seed in range(rounds):
            skills = 1 + spread * np.random.default_rng([seed, 1]).normal(size=5)
            true = true_figures(skills)
            truth, models = make_models(items, skills, seed)
            chosen = select_best(truth, models, draws=draws, seed=seed)
            best, corrected = chosen.best, chosen.corrected
            options: Any = {"draws": draws, "seed": seed}
            raw = evaluate(truth, models[best], names, **options).metrics[MAIN]
            rows.append(
                (
                    raw.value - true[best],
                    corrected.value - true[best],
                    holds(raw, true[best]),
                    holds(corrected, true[best]),
                    chosen.best_probability[best],
                    true[best] == true.max() if spread else 1 / len(models),
                )
            )
        titles = ("bias", "corrected bias", "coverage", "corrected coverage", "chance", "is best")
        found[str(spread)] = dict(zip(titles, np.mean(rows, axis=0).tolist(), strict=True))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("claims.json"))
    options = parser.parse_args()
    fewer = max(options.rounds * 2 // 5, 1)  # they take longer
    claims: dict[str, tuple[Callable[..., Any], int]] = {
        "family-wise error": (equal_models, options.rounds),
        "intervals of differences": (unequal_models, options.rounds),
        "groups": (copied_items, fewer),
        "winner": (winners, fewer),
    }
    summary: dict[str, Any] = {
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "items": options.items,
        "draws": options.draws,
    }
    for name, (simulate, rounds) in claims.items():
        start = time.perf_counter()
        found = simulate(rounds, options.items, options.draws)
        seconds = time.perf_counter() - start
        summary[name] = {"rounds": rounds, "seconds": seconds, "found": found}
        print(f"{name}, {rounds} rounds, {seconds:.0f} s: {json.dumps(found)}", flush=True)
        options.out.write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
