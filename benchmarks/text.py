"""How long the text features take, beside scikit-learn's vectorizers: fit and transform, by script.

    python benchmarks/text.py --out text.json
    python benchmarks/text.py --catalogue films/catalogue.csv --out text.json

Texts are made, 20,000 of 60 words each, unless a catalogue is named. Seconds are of the processor, the least
of the rounds. In scripts without spaces scikit-learn counts n-grams of 1 and 2 characters.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion

from hybrid.catalogue import load_catalogue
from hybrid.features import TextFeatures
from hybrid.utils.scripts import has_unspaced_script

# First letter and number of letters of an alphabet, and what stands between words.
SCRIPTS = {
    "Latin": ("a", 26, " "),
    "Cyrillic": ("а", 32, " "),
    "Devanagari": ("क", 37, " "),
    "Hangul": ("가", 2000, " "),
    "Thai": ("ก", 46, ""),
    "Han": ("一", 3000, ""),
}


def make_texts(script: str, texts: int, words: int = 60) -> list[str]:
    """Texts of words whose frequencies follow Zipf's law."""
    first, letters, space = SCRIPTS[script]
    random = np.random.default_rng(0)
    lengths = random.integers(2, 9 if space else 4, 20_000)
    codes = random.integers(ord(first), ord(first) + letters, (len(lengths), 8))
    known = ["".join(map(chr, row[:n])) for row, n in zip(codes, lengths, strict=True)]
    chosen = (random.zipf(1.3, (texts, words)) - 1) % len(known)
    return [space.join(known[i] for i in row) for row in chosen.tolist()]


def measure(make: Callable[[], Any], texts: Any, rounds: int) -> dict[str, float]:
    """Least seconds of fit and transform, and the number of terms."""
    fits, transforms = [], []
    for _ in range(rounds):
        start = time.process_time()
        fitted = make().fit(texts)
        middle = time.process_time()
        terms = fitted.transform(texts).shape[1]
        fits.append(middle - start)
        transforms.append(time.process_time() - middle)
    return {"fit": round(min(fits), 3), "transform": round(min(transforms), 3), "terms": terms}


def plain(unspaced: bool) -> FeatureUnion:
    """The same with scikit-learn alone."""
    given = {"strip_accents": "unicode", "sublinear_tf": True, "min_df": 2, "dtype": np.float32}
    if unspaced:
        kinds = [("n-grams", {"analyzer": "char", "ngram_range": (1, 2)})]
    else:
        kinds = [
            ("words", {"ngram_range": (1, 2)}),
            ("characters", {"analyzer": "char_wb", "ngram_range": (3, 5)}),
        ]
    return FeatureUnion([(name, TfidfVectorizer(**given, **kind)) for name, kind in kinds])


def compare(texts: list[str], rounds: int) -> dict[str, Any]:
    """Ours and scikit-learn's, in turn."""
    frame = pd.DataFrame({"text": texts})
    block = TextFeatures(["text"], n_jobs=1)
    block.fit(frame[:50]).transform(frame[:50])  # compiles
    unspaced = has_unspaced_script(texts[0])
    return {
        "hybrid": measure(lambda: TextFeatures(["text"], n_jobs=1), frame, rounds),
        "scikit-learn": measure(lambda: plain(unspaced), texts, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--catalogue", type=Path)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("text.json"))
    given = parser.parse_args()
    found = {}
    if given.catalogue:
        catalogue = load_catalogue(given.catalogue)
        columns = [catalogue.frame[name].tolist() for name in catalogue.columns.text]
        found["catalogue"] = compare(
            ["\n".join(row) for row in zip(*columns, strict=True)], given.rounds
        )
    else:
        for script in SCRIPTS:
            found[script] = compare(make_texts(script, given.texts), given.rounds)
            print(script, json.dumps(found[script]), flush=True)
    given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
