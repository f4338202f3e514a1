"""Does tuning a backbone pay? One of the K encoders, on the posters of the fold that it has not seen.

    python benchmarks/tune_fold.py MOVIES --backbone mobilenet-075 --weights FILE --folder KEPT

It takes a K-th of the time of `tune_posters.py`, and no test item is read. Compared are a linear SVM on the
frozen embeddings of the posters that the encoder learns from, the scores of the encoder itself, and the means
of both, standardised label by label. As a control, the SVM is averaged with a logistic regression on the same
frozen embeddings. Thresholds are cross-fitted on the items of the fold. What is done is kept: a tuning
that `tune_posters.py --folder KEPT` began goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from tune_posters import CHOSEN, METRICS, add_options

from hybrid.backbones.tuned_network import HEAD, read_arrays
from hybrid.catalogue import load_catalogue
from hybrid.evaluation import Outputs, paired_difference
from hybrid.evaluation.evaluate import measure_all
from hybrid.features import PosterFeatures
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.cross_fitting import assign_folds, out_of_fold
from hybrid.heads.decision_rule import DecisionOptions, crossfit_decision
from hybrid.heads.fitting import fit_head, head_scores
from hybrid.heads.registry import get_head
from hybrid.heads.scoring import mean_average_precision
from hybrid.runs.experiment import Experiment
from hybrid.runs.tune_posters import PosterJob, plan_poster_job
from hybrid.splitting.methods import SplitOptions, split_catalogue
from hybrid.tuning.options import TuneOptions
from hybrid.utils.context import Context
from hybrid.utils.progress import Progress

FOLD = 0


def train(job: PosterJob) -> Path:
    """The file of the encoder, trained unless it is there; what the frozen layers compute is kept."""
    file = job.fold_file.format(FOLD)
    if job.work.record(file) is None:
        start = time.perf_counter()
        with closing(job.train([FOLD])) as trained:
            content, epochs = next(trained)
        job.work.save(file, content, time.perf_counter() - start, epochs)
    return job.work.encoder / file


def compute(job: PosterJob, file: Path) -> tuple[Any, Any]:
    """Frozen embeddings (m, D) and scores of the encoder (m, L) of all posters that are learnt from."""
    import keras

    from hybrid.backbones.networks import layers_by_name
    from hybrid.tuning.poster_encoder import TunedNetwork, make_source

    context = job.experiment.context
    how = (job.labels.shape[1], job.options, job.precision, context.seed)
    network = TunedNetwork(job.spec, job.weights, *how)
    part = network.learner.layers[-2]  # without the head
    paths, states = job.posters.paths, job.work.states
    source = make_source(network, paths, states, context.workers, context.progress)
    read = keras.Input(network.learner.input_shape[1:])
    body = keras.Model(read, part(read))

    def embed() -> Any:
        rows = np.array_split(np.arange(len(paths)), len(paths) // 64 + 1)
        return np.vstack([body.predict_on_batch(source.read(some)) for some in rows])

    frozen, arrays = embed().astype(np.float32), read_arrays(file)
    for name, layer in layers_by_name(network.network.application).items():
        if f"{name}.0" in arrays:
            layer.set_weights([arrays[f"{name}.{i}"] for i in range(len(layer.weights))])
    kernel, bias = (arrays[name] for name in HEAD)
    return frozen, embed().astype(np.float64) @ kernel + bias


def linear_scores(name: str, embeddings: Any, labels: Any, learn: Any, seed: int) -> Any:
    """Scores of a linear head for all posters; C is chosen by cross-fitting on those it learns from."""
    block = PosterFeatures().fit(embeddings[learn])
    matrix = FusionMatrix.from_blocks([block.transform(embeddings)], ["poster"])
    spec, some, truth = get_head(name), matrix[learn], labels[learn]
    fold = assign_folds(truth, 4, seed=seed)

    def judged(c: float) -> float:
        found = out_of_fold(spec.build(seed).set_params(C=c), some, truth, fold)
        return mean_average_precision(truth, found, "weighted")

    best = max(spec.grid["C"], key=judged)
    return head_scores(fit_head(spec.build(seed), some, truth, {"C": best}), matrix)


def standardise(scores: Any) -> Any:
    """Mean 0 and deviation 1 of each label."""
    return (scores - scores.mean(axis=0)) / scores.std(axis=0)


def main() -> None:
    """Print the figures of each way, and the paired differences to the frozen embeddings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    films = load_catalogue(asked.movies / "catalogue.csv")
    context = Context(cache=asked.cache, seed=asked.seed, progress=Progress(quiet=False))
    split = split_catalogue(films, SplitOptions(), context=context)
    folder = asked.folder / "encoders" / f"tuned-{asked.seed}"
    experiment = Experiment(films, split, folder, context=context)
    options = TuneOptions(**{name: getattr(asked, name) for name in CHOSEN})
    size = (asked.input_size,) * 2 if asked.input_size else None
    job = plan_poster_job(experiment, asked.backbone, asked.weights, size, options)
    job.work.begin()
    frozen, tuned = compute(job, train(job))
    item_fold = job.fold[job.posters.owners]
    learn, held = np.flatnonzero(item_fold != FOLD), np.flatnonzero(item_fold == FOLD)
    heads = [
        linear_scores(name, frozen, job.examples, learn, asked.seed) for name in ("svm", "logistic")
    ]
    truth, groups = job.examples[held], job.groups[job.posters.owners[held]]
    svm, logistic, scores = (each[held] for each in (*heads, tuned))
    ways = {
        "frozen": svm,
        "tuned": scores,
        "both": standardise(svm) + standardise(scores),
        "control": standardise(svm) + standardise(logistic),
    }
    fold = assign_folds(truth, 4, groups, asked.seed)
    answers = {
        way: Outputs(*reversed(crossfit_decision(truth, scores, fold, DecisionOptions())))
        for way, scores in ways.items()
    }
    ranked = {way: Outputs(answers[way].labels, scores) for way, scores in ways.items()}
    found: dict[str, Any] = {
        "learnt": len(learn),
        "held_out": len(held),
        "precision": job.precision,
    }
    for way, outputs in ranked.items():
        for name, key in METRICS.items():
            value = measure_all(truth, outputs)[key]
            gap = paired_difference(
                truth, outputs, ranked["frozen"], key, groups=groups, seed=asked.seed
            )
            found[f"{way} {name}"] = [value, gap.value, gap.low, gap.high]
            print(
                f"{way}: {name} {value:.3f}, less frozen {gap.value:+.3f} "
                f"({gap.low:+.3f} to {gap.high:+.3f})"
            )
    done = job.work.record(job.fold_file.format(FOLD))
    found["seconds"] = done.seconds if done else None
    print(f"{len(learn):,} posters learnt from, {len(held):,} held out; {job.precision}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
