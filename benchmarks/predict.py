"""Predicting from a warm process: many items, and one, with the embeddings in the cache.

    python benchmarks/predict.py films --run runs/svm --items 60000 --out predict.json

The run's own catalogue is repeated until it has so many items. `read` is what each block does to make its
columns of them (the poster's embeddings come from the cache, whose keys are hashed already), `score` the
head, sigmoids and thresholds. `one` is a single item, median of 50.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def timed(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median seconds, and what the last call gave."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path, default=Path("runs/svm"))
    parser.add_argument("--items", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("predict.json"))
    options = parser.parse_args()
    out = options.out.absolute()
    os.chdir(options.folder)
    from hybrid.catalogue import load_catalogue
    from hybrid.runs.predict import load_head
    from hybrid.runs.record import RunRecord

    model = load_head(
        options.run,
        RunRecord.read(options.run),
    )
    frame = load_catalogue("catalogue.csv").frame
    many = pd.concat([frame] * -(-options.items // len(frame))).iloc[: options.items]
    one = frame.iloc[:1]

    def answer(matrix: Any) -> Any:
        return model.label(model.decision_.probabilities(model.score_matrix(matrix)))

    model.predict(frame[:8])  # the first call loads what the others find
    blocks = model.fusion_.fitted_
    reading = {name: timed(lambda b=b: b.transform(many), options.repeats)[0] for name, b in blocks}
    matrix = model.fusion_.transform(many)
    scoring, labels = timed(lambda: answer(matrix), options.repeats)
    chunks = [answer(matrix[start : start + 1000]) for start in range(0, options.items, 1000)]
    single = {name: timed(lambda b=b: b.transform(one), 50)[0] for name, b in blocks}
    matrix = model.fusion_.transform(one)
    single["score"] = timed(lambda: answer(matrix), 50)[0]
    found = {
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "items": options.items,
        "seconds": {**reading, "score": scoring},
        "seconds_in_all": timed(lambda: model.predict(many), options.repeats)[0],
        "one_ms": {name: 1000 * seconds for name, seconds in single.items()},
        "one_ms_in_all": 1000 * timed(lambda: model.predict(one), 50)[0],
        "labels_that_batches_of_1000_change": int((np.concatenate(chunks) != labels).sum()),
    }
    out.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
