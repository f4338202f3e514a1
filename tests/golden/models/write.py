"""Writes the golden models of the present format; those beside it are of format 1.

Run it with the oldest supported scikit-learn, from the root of the checkout.

python -m venv old && old/bin/pip install . "scikit-learn==1.6.*"
PYTHONPATH=. old/bin/python tests/golden/models/write.py
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn

from hybrid.features import MetadataFeatures, TextFeatures
from hybrid.features.fusion import Fusion
from hybrid.heads import HybridClassifier
from hybrid.heads.registry import HEADS
from hybrid.model_file import save_model
from hybrid.model_file.files import FORMAT

HERE = Path(__file__).parent / f"format-{FORMAT}"
WORDS = ["ghost", "house", "sheriff", "rides", "west", "love", "paris", "war", "alien", "ship"]
SMALL: dict[str, dict[str, Any]] = {
    "forest": {"n_estimators": 3},
    "boosting": {"estimator__max_iter": 3},
}


def films(n: int = 40) -> pd.DataFrame:
    """Films that are the same on each machine."""
    return pd.DataFrame(
        {
            "overview": [" ".join(WORDS[(i * k + k) % 10] for k in (1, 3, 7)) for i in range(n)],
            "year": [1950.0 + (7 * i) % 60 for i in range(n)],
            "language": ["en" if i % 3 else "fr" for i in range(n)],
        }
    )


def fit(name: str, chain: bool = False) -> HybridClassifier:
    """A head on the films."""
    spec, frame = HEADS[name], films()
    labels = np.stack([frame.overview.str.contains(word) for word in ("ghost", "west")], axis=1)
    blocks = [
        ("text", TextFeatures(["overview"], max_chars=0)),
        ("metadata", MetadataFeatures(["year"], ["language"])),
    ]
    head = spec.build(0).set_params(**SMALL.get(name, {}))
    how = {"folds": 2, "tuned": spec.tuned, "chain": chain}
    return HybridClassifier(Fusion(blocks), head, {}, (), **how).fit(frame, labels.astype(int))


def main() -> None:
    """Write all heads, a chain, and what they answer."""
    answers = {}
    HERE.mkdir(exist_ok=True)
    for name, chain in [*((name, False) for name in HEADS), ("svm", True)]:
        called = "chain" if chain else name
        model = fit(name, chain)
        save_model(model, HERE / f"{called}.json")
        answers[called] = model.decision_function(films()).tolist()
    found = {"scikit-learn": sklearn.__version__, "scores": answers}
    (HERE / "expected.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
