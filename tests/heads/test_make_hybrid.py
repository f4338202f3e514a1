"""From a catalogue and a few names to a classifier."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import ExtractionError, SettingError
from hybrid.features import PosterFeatures
from hybrid.heads import HybridClassifier
from hybrid.heads.make_hybrid import FeatureOptions, choose_blocks, make_hybrid, use_context
from hybrid.types import EmbeddingSelector
from hybrid.utils.context import Context

WORDS = {"Comedy": "laugh joke", "Horror": "ghost blood"}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Catalogue]:
    """A catalogue of 40 films: id, genres, and the columns asked for."""

    def make(*columns: str) -> Catalogue:
        lines = [",".join(["id", "genres", *columns])]
        for i in range(40):
            genres = [g for j, g in enumerate(WORDS) if (i >> j) % 2] or ["Comedy"]
            cells = {
                "overview": " ".join(["film", *(WORDS[g] for g in genres)]),
                "year": str(1950 + i),
                "language": "en" if i % 3 else "fr",
                "cast": f"Ann|{genres[0]} Bob",
                "poster": f"posters/{i}.png",
            }
            lines.append(",".join([f"f{i}", "|".join(genres), *(cells[c] for c in columns)]))
        path = tmp_path / "catalogue.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return load_catalogue(path)

    return make


@pytest.fixture
def catalogue(write: Callable[..., Catalogue]) -> Catalogue:
    """Text and metadata, no posters."""
    return write("overview", "year", "language", "cast")


# Blocks


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["overview", "year", "poster"], ("poster", "text", "metadata")),  # no embeddings of texts
        (["overview"], ("text",)),
        (["cast", "poster"], ("poster", "metadata")),
        (["year", "overview"], ("text", "metadata")),
    ],
)
def test_by_default_all_blocks_of_the_catalogue(
    write: Any, columns: list[str], expected: tuple[str, ...]
) -> None:
    assert choose_blocks(write(*columns), None) == expected


def test_blocks_come_in_the_usual_order(catalogue: Catalogue) -> None:
    assert choose_blocks(catalogue, ["metadata", "text"]) == ("text", "metadata")
    assert choose_blocks(catalogue, ["metadata"]) == ("metadata",)


def test_all_wrong_blocks_are_listed(catalogue: Catalogue) -> None:
    with pytest.raises(
        SettingError,
        match=r"(?s)--blocks: unknown block 'txt'\. Did you mean text\?.*"
        r"block poster: .*catalogue\.csv has no column for it",
    ):
        choose_blocks(catalogue, ["txt", "poster"])


def test_no_block_is_an_error(write: Any) -> None:
    with pytest.raises(SettingError, match="expected at least one block, found none"):
        choose_blocks(write("overview"), [])
    with pytest.raises(SettingError, match="expected a poster, text or metadata column"):
        choose_blocks(write(), None)


# Classifier


def test_it_fits_and_predicts(catalogue: Catalogue) -> None:
    model = make_hybrid(catalogue, folds=2)
    assert isinstance(model, HybridClassifier)
    model.fit(catalogue.frame, catalogue.labels)
    probabilities, labels = (
        method(catalogue.frame) for method in (model.predict_proba, model.predict)
    )
    assert probabilities.shape == labels.shape == (40, 2)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    np.testing.assert_array_equal(labels, catalogue.labels)  # the words give the genres away


def test_columns_go_to_their_blocks(catalogue: Catalogue) -> None:
    blocks = dict(make_hybrid(catalogue).fusion.blocks)
    assert list(blocks) == ["text", "metadata"]
    assert tuple(blocks["text"].columns) == ("overview",)
    assert tuple(blocks["metadata"].numeric) == ("year",)
    assert tuple(blocks["metadata"].categorical) == ("language",)
    assert tuple(blocks["metadata"].lists) == ("cast",)


def test_options_arrive(catalogue: Catalogue) -> None:
    features = FeatureOptions(
        max_ngram=3, max_chars=4, min_df=4, max_features=5, min_count=6, year_bin=7
    )
    model = make_hybrid(
        catalogue,
        head="logistic",
        features=features,
        grid={"C": (1.0,)},
        block_weights={"text": 2.0},
        metric="micro-f1",
        folds=3,
        context=Context(seed=9, workers=2),
    )
    found = model.get_params()
    for name, value in [
        ("fusion__text__max_ngram", 3),
        ("fusion__text__max_chars", 4),
        ("fusion__text__min_df", 4),
        ("fusion__text__max_features", 5),
        ("fusion__metadata__min_count", 6),
        ("fusion__metadata__year_bin", 7),
        ("fusion__weights", {"text": 2.0}),
        ("estimator__class_weight", "balanced"),
        ("grid", {"C": (1.0,)}),
        ("block_weights", ()),  # weights that were given are not chosen again
        ("metric", "micro-f1"),
        ("search", "auto"),
        ("folds", 3),
        ("random_state", 9),
        ("n_jobs", 2),
    ]:
        assert found[name] == value, name


def test_an_unknown_search_is_an_error(catalogue: Catalogue) -> None:
    with pytest.raises(SettingError, match=r"unknown search 'ful'\. Did you mean full"):
        make_hybrid(catalogue, search="ful")


def test_a_search_has_a_wider_grid(catalogue: Catalogue) -> None:
    usual, wide = (make_hybrid(catalogue, search=search) for search in ("full", "grid"))
    assert wide.search == "grid"
    assert set(usual.grid["C"]) < set(wide.grid["C"])
    assert make_hybrid(catalogue, search="grid", grid={"C": (1.0,)}).grid == {"C": (1.0,)}


@pytest.mark.parametrize(("head", "tuned"), [("svm", True), ("dummy-most-frequent", False)])
def test_the_head_says_whether_it_is_tuned(catalogue: Catalogue, head: str, tuned: bool) -> None:
    assert make_hybrid(catalogue, head=head).tuned is tuned


def test_a_backbone_without_the_block_poster_is_an_error(catalogue: Catalogue) -> None:
    with pytest.raises(
        SettingError,
        match="--backbone: expected none, since the block poster is not among text, metadata",
    ):
        make_hybrid(catalogue, select=EmbeddingSelector(backbone="vgg16"))


def test_an_unknown_head_is_an_error(catalogue: Catalogue) -> None:
    with pytest.raises(SettingError, match=r"unknown estimator 'svn'\. Did you mean svm"):
        make_hybrid(catalogue, head="svn")


def test_posters_that_were_not_extracted_are_an_error(write: Any, tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match=r"found none.*hybrid extract --backbone"):
        make_hybrid(write("overview", "poster"), context=Context(cache=str(tmp_path / "cache")))


def test_a_moved_cache_is_used(catalogue: Catalogue) -> None:
    model = make_hybrid(catalogue).fit(catalogue.frame, catalogue.labels)
    model.fusion_.fitted_.append(("poster", PosterFeatures("old", "0" * 64)))
    use_context(model, Context(cache="new", workers=3))
    assert model.fusion_.fitted_[-1][1].get_params() == {
        "cache": "new",
        "fingerprint": "0" * 64,
        "workers": 3,
        "pooling": "mean",
        "unit_length": True,
    }


@pytest.mark.parametrize(
    ("head", "expected"), [("svm", 2), ("logistic", 2), ("boosting", 1), ("forest", 2)]
)
def test_workers_fit_the_genres_where_threads_change_nothing(
    catalogue: Catalogue, head: str, expected: int
) -> None:
    assert (
        make_hybrid(catalogue, head=head, blocks=["text"], context=Context(workers=2)).n_jobs
        == expected
    )
