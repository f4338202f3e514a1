"""A catalogue whose texts have no spaces is fitted and explained like any other."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hybrid.catalogue import load_catalogue
from hybrid.explain.importance import explain_genres
from hybrid.explain.stop_words import is_piece
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.predict import load_head
from hybrid.splitting.methods import split_catalogue

CASES = Path(os.environ.get("HYBRID_SHARED", Path(__file__).parents[3] / "shared")) / "cases"

KEYS = {"Horror": ("鬼魂", "诅咒"), "Comedy": ("婚礼", "恶作剧")}
NOISE = "学老旅市争钱路村声桥轻早里船花火长他对密河场房找山器道森机夜且晚音林工流朋国岛"


def write_chinese(folder: Path, items: int = 160) -> Path:
    """Texts of noise with a word for each of their genres somewhere in it."""
    random = np.random.default_rng(0)
    lines = ["id,title,overview,genres"]
    for i in range(items):
        genres = [g for bit, g in enumerate(KEYS) if (i + 1) >> bit & 1] or ["Horror", "Comedy"]
        words = random.choice(list(NOISE), 40).tolist()
        places = random.choice(len(words), len(genres), replace=False)
        for place, genre in zip(places, genres, strict=True):
            words[place] = KEYS[genre][random.integers(2)]
        lines.append(f"z{i},片{i},{''.join(words)}。,{'|'.join(genres)}")
    path = folder / "catalogue.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("shared", [False, True])
def test_texts_without_spaces_are_fitted_and_explained(tmp_path: Path, shared: bool) -> None:
    path = CASES / "catalogues/30-chinese/catalogue.csv"
    if not shared:
        path = write_chinese(tmp_path)
    elif not path.is_file():
        pytest.skip("no shared/cases")
    films = load_catalogue(path)
    experiment = Experiment(films, split_catalogue(films), tmp_path / "runs/text")
    run = fit_head(experiment, make_hybrid(films, blocks=["text"], folds=2), {})
    assert run.record.metrics["f1_weighted"].value > 0.95
    model = load_head(run.folder, run.record)
    if shared:
        return
    matrix = model.fusion_.transform(films.frame)
    for view in explain_genres(model, matrix, films.ids.tolist(), films.genres, top=4):
        shown = [feature.name for feature in view.features["text"]["for"]]
        assert shown
        assert not any(map(is_piece, shown))
        assert all(name in "".join(KEYS[view.genre]) for name in shown)
