"""Runs with text embeddings: their contribution, the nearest texts, and which texts a channel looks for."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from hybrid.catalogue import load_catalogue
from hybrid.cli.main import _run
from hybrid.explain.contributions import EMBEDDING
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.inspection.feature_visualisation import visualise_features
from hybrid.inspection.item import explain_item, explain_run
from hybrid.inspection.loaded_run import WORDLESS, LoadedHead, load_run
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.splitting.methods import split_catalogue
from hybrid.utils.context import Context

DIMENSION = 16
BLOCKS = {"both": ["text-embedding", "text", "metadata"], "alone": ["text-embedding"]}


def draw_rows(n: int, labels: np.ndarray) -> np.ndarray:
    """Embeddings whose first dimensions tell the labels; the last two rows are nearly one."""
    rows = np.random.default_rng(0).normal(size=(n, DIMENSION)).astype(np.float32)
    rows[:, : labels.shape[1]] += 2 * labels
    rows[-1] = rows[-2] + 0.01
    return rows


@pytest.fixture(scope="module")
def studio(
    tmp_path_factory: pytest.TempPathFactory, films: Path, keep_texts: Callable[..., None]
) -> Path:
    """Small films, rows that stand for text embeddings, and a run with words and one without."""
    folder = tmp_path_factory.mktemp("studio")
    shutil.copytree(films.parent, folder, dirs_exist_ok=True)
    catalogue, context = load_catalogue(folder / "catalogue.csv"), Context(cache=str(folder / "c"))
    keep_texts(folder / "c", catalogue, draw_rows(len(catalogue), catalogue.labels))
    split = split_catalogue(catalogue, context=context)
    for name, blocks in BLOCKS.items():
        model = make_hybrid(catalogue, blocks=blocks, grid={"C": [0.3]}, folds=2, context=context)
        fit_head(Experiment(catalogue, split, folder / "runs" / name, context=context), model, {})
    return folder


def load(studio: Path, name: str) -> LoadedHead:
    context = Context(cache=str(studio / "c"))
    run = load_run(studio / "runs" / name, studio / "catalogue.csv", context=context)
    assert isinstance(run, LoadedHead)
    return run


def test_the_embedding_of_a_text_is_one_part_of_the_score(studio: Path) -> None:
    run = load(studio, "both")
    item = run.frame.iloc[[4]]
    expected = run.model.decision_function(item)[0]
    names, start = run.model.fusion_.names, 0
    matrix = run.model.fusion_.transform(item)
    for score in run.predict_item(4):
        j = run.genres.index(score.genre)
        (part,) = [p for p in score.parts if p.block == "text-embedding"]
        values = np.asarray(dict(matrix.blocks)["text-embedding"])[0]
        width = len(values)
        weight = (run.model.fusion_.weights or {}).get("text-embedding", 1.0)
        assert names[0] == "text-embedding"  # so its columns are the first
        by_hand = weight * float(run.model.head_.coef_[j, start : start + width] @ values)
        assert part.name == EMBEDDING
        assert part.contribution == pytest.approx(by_hand, abs=1e-6)
        assert score.blocks["text-embedding"] == pytest.approx(by_hand, abs=1e-6)
        assert score.score == pytest.approx(expected[j], abs=1e-5)
        assert {p.block for p in score.parts} == {"text-embedding", "text", "metadata"}


def test_the_nearest_texts_are_those_of_the_greatest_cosine(studio: Path) -> None:
    run = load(studio, "both")
    rows = draw_rows(len(run.catalogue), run.catalogue.labels)
    fitted = run.training_rows
    mean, scale = rows[fitted].mean(axis=0), rows[fitted].std(axis=0)
    alike = cosine_similarity((rows - mean) / scale)
    for row in (0, len(rows) - 1):
        others = fitted[fitted != row]
        order = others[np.argsort(-alike[row, others], kind="stable")][:3]
        card = explain_item(run, str(run.catalogue.ids[row]), top=3)
        assert [near.id for near in card.nearest_texts] == run.catalogue.ids[order].tolist()
        cosines = [near.cosine for near in card.nearest_texts]
        assert cosines == pytest.approx(alike[row, order].tolist(), abs=1e-5)
        assert card.nearest_texts[0].title == f"Film {order[0]}"
        assert card.nearest_texts[0].labels
        assert card.neighbours == ()


def test_a_run_shows_its_items_by_text_embedding_and_its_words(studio: Path) -> None:
    table = explain_run(load(studio, "both"), ["Horror"], top=4)
    (view,) = table.genres
    assert view.posters == {}
    assert list(view.embeddings) == ["text-embedding"]
    assert all(part.contribution > 0 for part in view.embeddings["text-embedding"]["for"])
    # No dimension of the embedding is shown as if it were a word.
    shown = [part.name for part in view.features["text-embedding"]["for"]]
    assert not [name for name in shown if name.isdigit()]
    assert {part.name for part in view.features["text"]["for"]} & {
        "ghost",
        "blood",
        "scream",
        "night",
    }
    assert WORDLESS not in table.notes
    assert WORDLESS in explain_run(load(studio, "alone"), ["Horror"]).notes


def test_the_record_has_words_and_no_dimensions(studio: Path) -> None:
    record = json.loads((studio / "runs/both/run.json").read_text())
    assert set(record["why"]["Horror"]) == {"text", "metadata"}
    assert not record["channels"]


def test_a_channel_is_shown_by_the_texts_that_activate_it_most(studio: Path) -> None:
    run = load(studio, "both")
    found = visualise_features(run, ["Horror"], top=2)
    rows = draw_rows(len(run.catalogue), run.catalogue.labels)[run.training_rows]
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    assert found.channels
    for channel in found.channels:
        order = np.argsort(-rows[:, channel.number], kind="stable")[:2]
        ids = run.catalogue.ids[run.training_rows[order]].tolist()
        assert channel.block == "text-embedding"
        assert channel.posters == ()
        assert [text.id for text in channel.items] == ids
        assert [t.activation for t in channel.items] == pytest.approx(
            rows[order, channel.number].tolist(), abs=1e-4
        )
    assert found.items == len(rows)


def explain(
    studio: Path, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0
) -> str:
    project = [
        "--catalogue",
        studio / "catalogue.csv",
        "--runs",
        studio / "runs",
        "--cache",
        studio / "c",
    ]
    assert _run(["explain", *arguments, *map(str, project)]) == code
    out, error = capsys.readouterr()
    return error if code else out


def test_text_json_and_page_show_the_same(
    studio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = explain(
        studio, capsys, "both", "f007", "--top", "2", "--html", str(tmp_path / "card.html")
    )
    data = json.loads(explain(studio, capsys, "both", "f007", "--top", "2", "--json"))
    near = data["nearest_texts"][0]
    assert f"{near['cosine']:.2f}  {near['title']} ({near['id']})" in text
    assert "nearest texts by cosine similarity" in text
    assert "nearest posters" not in text
    assert " text-embedding " in re.search(r"score .*intercept.*", text)[0]  # type: ignore[index]
    page = (tmp_path / "card.html").read_text()
    assert "<h2>Nearest texts</h2>" in page
    assert near["title"] in page
    assert "<dt>text-embedding</dt>" in page
    alone = explain(studio, capsys, "alone", "f007")
    assert WORDLESS in alone
    assert "nearest texts" in alone
    features = explain(studio, capsys, "both", "--features", "--html", str(tmp_path / "page.html"))
    assert "texts of" in features
    assert "text-embedding, channel" in features
    page = (tmp_path / "page.html").read_text()
    assert "<h2>text-embedding: most important channels</h2>" in page
    assert "first convolution" not in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("both", "f007", "--map"), "expected a run with a poster block, found text-embedding"),
        (
            ("both", "--features", "--html", "x.html", "--weights", "w.h5"),
            "--weights: expected none, since both has no block of posters",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    studio: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert said in explain(studio, capsys, *arguments, code=2)
