"""Why a head says what it says: the parts are the score, and the page does nothing but show them."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from hybrid.backbones import get_backbone, resolve_weights
from hybrid.catalogue import load_catalogue
from hybrid.cli.main import _run
from hybrid.datasets.sample import write_sample
from hybrid.errors import SettingError
from hybrid.explain import importance
from hybrid.explain.contributions import (
    EMBEDDING,
    Contribution,
    ScoreDecomposition,
    top_contributions,
)
from hybrid.explain.importance import explain_genres
from hybrid.explain.linear import decompose_scores, is_linear, read_linear_head
from hybrid.explain.similar_posters import Neighbour, block_embeddings, top_k_cosine
from hybrid.explain.stop_words import STOP_WORDS, is_telling
from hybrid.extraction.lookup import hash_catalogue, make_store
from hybrid.features import TextFeatures
from hybrid.features.fusion import Fusion
from hybrid.heads import HEADS, HybridClassifier, MultilabelLinearSVC
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.images.decode import BadPoster, decode_poster
from hybrid.images.files import load_poster, read_poster
from hybrid.report import make_report
from hybrid.report.item_card import ItemCard, render_card
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.predict import load_head
from hybrid.runs.record import RunRecord
from hybrid.splitting.methods import split_catalogue
from hybrid.utils.context import Context

NET = "mobilenet-075"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with a cache and a fused run; what stands for embeddings are small posters."""
    folder = tmp_path_factory.mktemp("studio")
    write_sample(folder, n_items=160, seed=1)
    catalogue, cache = load_catalogue(folder / "catalogue.csv"), str(folder / "cache")
    spec = get_backbone(NET)
    store = make_store(cache, spec, resolve_weights(spec, "random", 0))
    pixels = {}
    for key, path in zip(
        hash_catalogue(catalogue, context=Context(cache=cache)), catalogue.poster_paths, strict=True
    ):
        if isinstance(key, bytes):
            found = decode_poster(read_poster(path), (16, 16))  # 16 x 16 x 3 = 768, as the net's
            if isinstance(found, BadPoster):
                store.append_failures({key: found.reason})
            else:
                pixels[key] = found.ravel() / 255
    store.append(list(pixels), np.array(list(pixels.values()), dtype=np.float32))
    split = split_catalogue(catalogue, context=Context(cache=cache))
    model = make_hybrid(catalogue, grid={"C": [0.3]}, folds=2, context=Context(cache=cache))
    fit_head(
        Experiment(catalogue, split, folder / "runs/svm", context=Context(cache=cache)), model, {}
    )
    return folder


@pytest.fixture(scope="module")
def model(studio: Path) -> HybridClassifier:
    run = studio / "runs/svm"
    return load_head(run, RunRecord.read(run), context=Context(cache=str(studio / "cache")))


@pytest.fixture(scope="module")
def frame(studio: Path) -> pd.DataFrame:
    return load_catalogue(studio / "catalogue.csv").frame


@pytest.fixture(scope="module")
def genres(studio: Path) -> tuple[str, ...]:
    return load_catalogue(studio / "catalogue.csv").genres


def check_sums(model: HybridClassifier, X: pd.DataFrame, genres: tuple[str, ...]) -> None:
    """The parts of each item's scores add up to what the model itself says."""
    decision, proba, labels = model.decision_function(X), model.predict_proba(X), model.predict(X)
    for i in range(len(X)):
        scores = decompose_scores(model, model.fusion_.transform(X.iloc[[i]]), genres)
        assert [s.genre for s in scores] == list(genres)
        sums = [s.intercept + sum(p.contribution for p in s.parts) for s in scores]
        blocks = [s.intercept + sum(s.blocks.values()) for s in scores]
        np.testing.assert_allclose(sums, decision[i], rtol=0, atol=1e-12)
        np.testing.assert_allclose(blocks, decision[i], rtol=0, atol=1e-12)
        np.testing.assert_allclose([s.score for s in scores], decision[i], rtol=0, atol=1e-12)
        np.testing.assert_allclose([s.probability for s in scores], proba[i], atol=1e-12)
        assert [s.given for s in scores] == labels[i].astype(bool).tolist()


def blanked(frame: pd.DataFrame) -> pd.DataFrame:
    """Items without poster, without text, without metadata, without anything."""
    bare = frame.iloc[:4].copy()
    text = ["title", "overview"]
    metadata = [c for c in frame.columns if c not in ("poster", *text)]
    for row, columns in enumerate((["poster"], text, metadata, list(frame.columns))):
        for column in columns:
            empty = np.nan if frame[column].dtype == np.float64 else ""
            bare.iloc[row, bare.columns.get_loc(column)] = empty
    return bare


def test_the_parts_add_up_to_the_score(
    model: HybridClassifier, frame: pd.DataFrame, genres: tuple[str, ...]
) -> None:
    check_sums(model, pd.concat([frame.iloc[::8], blanked(frame)]), genres)


@pytest.mark.parametrize("head", sorted(HEADS))
def test_a_head_is_explained_exactly_or_refused(studio: Path, head: str) -> None:
    catalogue = load_catalogue(studio / "catalogue.csv")
    X, y = catalogue.frame.iloc[:80], catalogue.labels[:80, :3]
    model = make_hybrid(catalogue, head=head, blocks=["text", "metadata"], grid={}, folds=2)
    trees = ("n_estimators", "max_iter") if head in ("forest", "boosting") else ()
    few = {name: 2 for name in model.get_params() if name.endswith(trees)}  # refused in any case
    model.set_params(block_weights=(), **few).fit(X, y)
    if is_linear(model):
        check_sums(model, catalogue.frame.iloc[80:90], catalogue.genres[:3])
        return
    with pytest.raises(SettingError, match=r"linear head.*svm, logistic, sgd, ridge.*found"):
        decompose_scores(model, model.fusion_.transform(X.iloc[:1]), catalogue.genres)


def test_linear_heads_are_known() -> None:
    assert {"svm", "logistic", "sgd", "ridge"} <= set(HEADS)


def test_a_part_is_weight_times_coefficient_times_value(
    model: HybridClassifier, frame: pd.DataFrame, genres: tuple[str, ...]
) -> None:
    names = model.fusion_.get_feature_names_out().tolist()
    weighted = model.fusion_.transform(frame.iloc[[3]]).tocsr().toarray()[0]
    scores = decompose_scores(model, model.fusion_.transform(frame.iloc[[3]]), genres)
    for j, score in enumerate(scores):
        expected = {
            name: float(value * coefficient)
            for name, value, coefficient in zip(names, weighted, model.head_.coef_[j], strict=True)
            if value * coefficient and not name.startswith("poster:")
        }
        found = {f"{p.block}:{p.name}": p.contribution for p in score.parts if p.name != EMBEDDING}
        assert found == pytest.approx(expected, rel=1e-6)
        sizes = [abs(part.contribution) for part in score.parts]
        assert sizes == sorted(sizes, reverse=True)


def test_where_a_block_is_missing_its_indicator_speaks(
    model: HybridClassifier, frame: pd.DataFrame, genres: tuple[str, ...]
) -> None:
    nothing = blanked(frame).iloc[[3]]
    for score in decompose_scores(model, model.fusion_.transform(nothing), genres):
        numbers = {"runtime missing"}
        assert {(p.block, p.name) for p in score.parts} <= {
            ("poster", "(poster missing)"),
            ("text", "(text missing)"),
            ("metadata", "(metadata missing)"),
            *(("metadata", name) for name in numbers),
        }


def test_the_score_needed_is_where_the_label_begins(
    model: HybridClassifier, frame: pd.DataFrame, genres: tuple[str, ...]
) -> None:
    for score in decompose_scores(model, model.fusion_.transform(frame.iloc[[5]]), genres):
        if np.isfinite(score.needed):
            j = genres.index(score.genre)
            at = np.full((1, len(genres)), score.needed)
            assert model.calibration_ is not None
            assert model.calibration_.apply(at)[0, j] == pytest.approx(score.threshold)
            assert score.given == (score.score >= score.needed)


WORDS = ["missing person embedding", "missing cat", "embedding spy", "spy cat person"] * 10


def test_words_that_sound_like_ours_are_words() -> None:
    X = pd.DataFrame({"overview": WORDS}, index=[f"i{k}" for k in range(40)])
    y = np.array([[1, 0], [1, 1], [0, 0], [0, 1]] * 10)
    fusion = Fusion([("text", TextFeatures(["overview"], max_ngram=1, max_chars=0))])
    model = HybridClassifier(fusion, MultilabelLinearSVC(), folds=2).fit(X, y)
    score = decompose_scores(model, model.fusion_.transform(X.iloc[:1]), ("a", "b"))[0]
    towards, _, _ = top_contributions(score, 5)
    assert towards[0].name == "missing"
    named = {part.name for part in score.parts}
    assert {"missing", "person", "embedding"} == named
    check_sums(model, X.iloc[:4], ("a", "b"))


def test_a_genre_that_was_not_learnt_says_so() -> None:
    X = pd.DataFrame({"overview": WORDS}, index=[f"i{k}" for k in range(40)])
    y = np.array([[1, 0], [0, 0]] * 20)
    fusion = Fusion([("text", TextFeatures(["overview"], max_ngram=1, max_chars=0))])
    model = HybridClassifier(fusion, MultilabelLinearSVC(), folds=2).fit(X, y)
    score = decompose_scores(model, model.fusion_.transform(X.iloc[:1]), ("a", "b"))[1]
    assert np.isnan(score.score)
    assert (score.probability, score.threshold, score.given) == (0.0, np.inf, False)
    views = explain_genres(model, model.fusion_.transform(X), X.index.tolist(), ("a", "b"))
    assert [view.learnt for view in views] == [True, False]


def test_genres_of_one_column_are_explained() -> None:
    X = pd.DataFrame({"overview": WORDS}, index=[f"i{k}" for k in range(40)])
    fusion = Fusion([("text", TextFeatures(["overview"], max_ngram=1, max_chars=0))])
    y = np.array([[1], [1], [0], [0]] * 10)
    check_sums(HybridClassifier(fusion, MultilabelLinearSVC(), folds=2).fit(X, y), X[:3], ("a",))


def test_the_others_make_the_sum_whole() -> None:
    parts = [Contribution("text", f"w{k}", (-1) ** k / (k + 1)) for k in range(9)]
    parts.append(Contribution("poster", EMBEDDING, 5.0))
    score = ScoreDecomposition("a", 0.0, 0.0, {}, tuple(parts), 0.5, 0.5, 0.0, True)
    towards, away, others = top_contributions(score, 2)
    assert [part.name for part in towards] == ["w0", "w2"]
    assert [part.name for part in away] == ["w1", "w3"]
    assert others.name == "5 others"
    assert others.contribution == pytest.approx(1 / 5 - 1 / 6 + 1 / 7 - 1 / 8 + 1 / 9)


@pytest.mark.parametrize(
    ("term", "telling"),
    [
        ("ghost", True), ("war of worlds", True), ("haunted house", True), ("Fire", True), ("幽霊", True),
        ("the", False), ("Her", False), ("of the", False), ("the ghost", False), ("embarks on", False),
        ("'gho'", False), ("'er '", False), ("ll", False), ("", False),
        ("鬼", True), ("鬼魂", True), ("和平", True), ("的", False), ("的是", False), ("в", False),
        ("призрак", True), ("из дома", False), ("भूत", True), ("में", False), ("हिन्दी", True), ("귀신", True),
        ("그리고", False), ("شبح", True), ("في", False), ("ผี", True), ("ที่", False), ("φάντασμα", True),
        ("και", False), ("nba 的", False), ("die", True), ("son", True),
    ],
)  # fmt: skip
def test_words_that_tell_a_reader_something(term: str, telling: bool) -> None:
    assert is_telling(term) is telling


def test_no_stop_word_has_a_meaning() -> None:
    # Words that scikit-learn leaves out although they are about something.
    about = {
        "fire",
        "cry",
        "bill",
        "system",
        "mill",
        "interest",
        "sincere",
        "serious",
        "amount",
        "computer",
    }
    about |= {
        "die",
        "war",
        "son",
        "love",
        "man",
        "woman",
        "world",
        "life",
        "death",
        "home",
        "night",
        "day",
    }
    assert not about & STOP_WORDS
    assert all(word == word.lower() and word.isalpha() for word in STOP_WORDS)
    assert {"the", "and", "of", "her", "was", "with"} <= STOP_WORDS


@pytest.mark.parametrize("texts", [("鬼魂鬼屋", "笑话婚礼"), ("ผีดุ", "ตลก"), ("a鬼", "b笑")])
def test_a_character_is_one_part_of_a_score(texts: tuple[str, str]) -> None:
    X = pd.DataFrame({"overview": [*texts] * 10}, index=list(map(str, range(20))))
    model = HybridClassifier(
        Fusion([("text", TextFeatures(["overview"]))]), MultilabelLinearSVC(), folds=2
    ).fit(X, np.array([[1, 0], [0, 1]] * 10))
    matrix = model.fusion_.transform(X.iloc[[0]])
    score = decompose_scores(model, matrix, ("Horror", "Comedy"))[0]
    names = [part.name for part in score.parts]
    assert not {f"'{name}'" for name in names} & set(names)
    assert score.score == pytest.approx(model.decision_function(X.iloc[[0]])[0, 0])
    total = score.intercept + sum(part.contribution for part in score.parts)
    assert total == pytest.approx(score.score)


def test_texts_of_pieces_alone_are_explained_by_them() -> None:
    X = pd.DataFrame(
        {"overview": ["幽霊屋敷の話", "喜劇の話"] * 10}, index=list(map(str, range(20)))
    )
    block = TextFeatures(["overview"], max_ngram=1, max_chars=3)
    model = HybridClassifier(Fusion([("text", block)]), MultilabelLinearSVC(), folds=2)
    model = model.fit(X, np.array([[1, 0], [0, 1]] * 10))
    coefficients = read_linear_head(model).blocks[0]
    matrix = model.fusion_.transform(X)
    ids = X.index.tolist()
    words = [name for name in coefficients.columns if not name.startswith("'")][:-1]
    assert words  # whole texts count as words here
    found = explain_genres(model, matrix, ids, ["Horror", "Comedy"])[0].features["text"]["for"]
    assert {feature.name for feature in found} <= set(words)
    pieces = replace(coefficients, columns=np.array(["'a'", "'b'", "(text missing)"], object))
    assert importance._telling_columns(pieces).tolist() == [True] * 3


@pytest.mark.parametrize("rank", ["mean", "unit"])
def test_what_speaks_for_a_genre_is_found_by_looking_at_every_column(
    model: HybridClassifier, frame: pd.DataFrame, genres: tuple[str, ...], rank: str
) -> None:
    X = frame.iloc[:100]
    matrix = model.fusion_.transform(X)
    views = explain_genres(model, matrix, X.index.tolist(), genres, top=5, rank=rank)
    dense = matrix.tocsr().toarray()
    names = model.fusion_.get_feature_names_out()
    weights = np.repeat(matrix.weights, [values.shape[1] for _, values in matrix.blocks])
    counts = (dense != 0).sum(axis=0)
    for j, view in enumerate(views):
        coefficient = model.head_.coef_[j]
        unit = coefficient * weights
        mean = coefficient * np.abs(dense).sum(axis=0) / np.maximum(counts, 1)
        value = {"mean": mean, "unit": unit}[rank]
        for block in ("text", "metadata"):
            own = [c for c in range(len(names)) if names[c].startswith(f"{block}:") and counts[c]]
            if block == "text":
                own = [c for c in own if is_telling(names[c].removeprefix("text:"))]
            for side, sign in (("for", 1), ("against", -1)):
                best = sorted(
                    (c for c in own if sign * value[c] > 0), key=lambda c: -sign * value[c]
                )
                found = view.features[block][side]
                assert [getattr(f, rank) for f in found] == pytest.approx(value[best[:5]].tolist())
                for feature in found:
                    where = feature.name.replace(f"({block} missing)", "missing")
                    c = names.tolist().index(f"{block}:{where}")
                    assert feature.items == counts[c]
                    assert feature.mean == pytest.approx(mean[c])
        poster = [c for c in range(len(names)) if names[c].startswith("poster:")][:-1]
        looks = dense[:, poster] @ coefficient[poster]
        order = np.argsort(-looks)[:5]
        assert [p.id for p in view.posters["poster"]["for"]] == X.index[order].tolist()
        assert [p.contribution for p in view.posters["poster"]["for"]] == pytest.approx(
            looks[order].tolist(), rel=1e-5
        )


def test_settings_are_all_checked(model: HybridClassifier, frame: pd.DataFrame) -> None:
    matrix = model.fusion_.transform(frame.iloc[:2])
    with pytest.raises(SettingError, match=r"top: expected 1 or more, found 0\.\nrank: expected"):
        explain_genres(model, matrix, ["a", "b"], ["x"], top=0, rank="size")


def test_neighbours_are_those_of_scikit_learn(model: HybridClassifier, frame: pd.DataFrame) -> None:
    rows = block_embeddings(model, frame)
    known = np.flatnonzero(~np.isnan(rows[:, 0]))
    assert len(known) < len(rows)
    (name, block), *_ = model.fusion_.fitted_
    cosines = cosine_similarity(block.transform(frame)[known])
    item = known[7]
    found, cosine = top_k_cosine(rows[item], rows, 6)
    expected = known[np.argsort(-cosines[7])[:6]]
    assert (name, found.tolist()) == ("poster", expected.tolist())
    np.testing.assert_allclose(cosine, np.sort(cosines[7])[::-1][:6], atol=1e-6)
    nobody = np.flatnonzero(np.isnan(rows[:, 0]))[0]
    assert len(top_k_cosine(rows[nobody], rows, 6)[0]) == 0
    assert len(top_k_cosine(np.empty(0), np.empty((5, 0)), 6)[0]) == 0


def test_the_record_holds_the_channels_and_the_report_their_posters(
    studio: Path, model: HybridClassifier, genres: tuple[str, ...]
) -> None:
    catalogue = load_catalogue(studio / "catalogue.csv")
    channels = RunRecord.read(studio / "runs/svm").head.channels
    known = pd.read_csv(studio / "runs/svm/predictions.csv")
    learnt = catalogue.frame.loc[known["id"][known["split"] != "test"]]
    block = dict(model.fusion_.fitted_)["poster"]
    rows = pd.DataFrame(block.read(learnt), index=learnt.index)
    coef = next(b for b in read_linear_head(model).blocks if b.name == "poster").coef[:, :-1]
    assert {channel.number for channel in channels} <= {int(j) for j in coef.argmax(axis=1)}
    for channel in channels:
        column, speaks = rows[channel.number], coef[:, channel.number]
        assert next(iter(channel.posters)) == column.idxmax()
        most = (column.max() - column.mean()) / column.std(ddof=0)
        assert max(channel.posters.values()) == pytest.approx(most, abs=0.006)
        assert next(iter(channel.towards)) == genres[int(speaks.argmax())]
    make_report(catalogue, [studio / "runs/svm"], studio / "channels.html", draws=5)
    page = (studio / "channels.html").read_text()
    plate = page[page.index('id="channels"') :]
    shown = sum(len(channel.posters) for channel in channels[:12])
    assert plate[: plate.index("</section>")].count("<img") == shown


def test_the_record_holds_what_the_function_says(
    studio: Path, model: HybridClassifier, genres: tuple[str, ...]
) -> None:
    catalogue = load_catalogue(studio / "catalogue.csv")
    why = RunRecord.read(studio / "runs/svm").head.importance
    known = pd.read_csv(studio / "runs/svm/predictions.csv")
    learnt = catalogue.frame.loc[known["id"][known["split"] != "test"]]
    views = explain_genres(model, model.fusion_.transform(learnt), learnt.index.tolist(), genres)
    assert list(why) == [view.genre for view in views if view.learnt]
    for view in views:
        for block in ("text", "metadata"):
            sides = why[view.genre][block]
            for side, found in (("for", sides.positive), ("against", sides.negative)):
                expected = {
                    f.name: pytest.approx(f.mean, abs=5e-5) for f in view.features[block][side]
                }
                assert found == expected
                assert len(expected) <= 8
        assert "poster" not in why[view.genre]
    make_report(catalogue, [studio / "runs/svm"], studio / "report.html", draws=5)
    page = (studio / "report.html").read_text()
    word, value = next(iter(why["Drama"]["metadata"].positive.items()))
    assert "Feature importance" in page
    assert f"{word} <small>{value:+.2f}</small>" in page


@pytest.fixture
def home(studio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, from which the run can be explained."""
    monkeypatch.setenv("HYBRID_CACHE", str(studio / "cache"))
    shutil.copy(studio / "catalogue.csv", tmp_path)
    for name in ("posters", "runs"):
        shutil.copytree(studio / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def explain(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert _run(["explain", "runs/svm", *arguments]) == code
    said = capsys.readouterr()
    return said.err if code else said.out


def items(home: Path, part: str) -> pd.DataFrame:
    known = pd.read_csv(home / "runs/svm/predictions.csv", keep_default_na=False)
    return known[known["split"] == part]


def pictured(home: Path) -> pd.DataFrame:
    """The test items whose poster can be decoded."""
    catalogue = load_catalogue(home / "catalogue.csv")
    found = [load_poster(path, (16, 16)) for path in catalogue.poster_paths]
    bad = {
        i for i, poster in zip(catalogue.ids, found, strict=True) if isinstance(poster, BadPoster)
    }
    test = items(home, "test")
    return test[~test["id"].isin(bad)]


def test_the_command_shows_each_genre(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = explain(capsys, "--genre", "Horror", "--genre", "Western", "--top", "3")
    assert re.findall(r"^(\w+)$", text, re.M) == ["Horror", "Western"]
    assert len(re.findall(r"^  (for|against), (text|metadata|posters of) ", text, re.M)) == 12
    data = json.loads(explain(capsys, "--json"))
    assert len(data["genres"]) == len(RunRecord.read(home / "runs/svm").genres)
    assert data["items"] == len(items(home, "train")) + len(items(home, "validation"))


def test_a_test_item_is_explained_as_it_was_predicted(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = pictured(home).iloc[0]
    card = json.loads(explain(capsys, row["id"], "--json"))
    assert (card["part"], card["out_of_fold"]) == ("test", {})
    for score in card["scores"]:
        assert score["probability"] == pytest.approx(row[f"p:{score['genre']}"], abs=1e-6)
        total = score["intercept"] + sum(part["contribution"] for part in score["parts"])
        assert total == pytest.approx(score["score"], abs=1e-9)
    given = [score["genre"] for score in card["scores"] if score["given"]]
    assert sorted(given) == sorted(filter(None, row["genres"].split("|")))
    learnt = {*items(home, "train")["id"], *items(home, "validation")["id"]}
    assert card["neighbours"]
    assert {neighbour["id"] for neighbour in card["neighbours"]} <= learnt


def test_of_a_learnt_item_the_out_of_fold_answer_is_told(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = items(home, "train").iloc[0]
    text = explain(capsys, row["id"], "--genre", "Drama")
    assert "used to fit the run, so its scores are optimistic" in text
    assert f"(out-of-fold {row['p:Drama']:.3f})" in text
    card = json.loads(explain(capsys, row["id"], "--json"))
    assert row["id"] not in {neighbour["id"] for neighbour in card["neighbours"]}


def test_an_item_without_poster(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_csv(home / "catalogue.csv", dtype=str, keep_default_na=False)
    name = table["film_id"][table["poster"] == ""].iloc[0]
    text = explain(capsys, name, "--html", "card.html")
    assert "no poster: no poster named" in text
    assert "nearest posters" not in text
    assert "(poster missing)" in text
    page = (home / "card.html").read_text()
    assert '<div class="blank">no poster: no poster named</div>' in page
    assert "<img" not in page


def test_an_item_that_the_run_has_never_seen(
    home: Path, studio: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(studio / "posters", other / "posters")
    table = pd.read_csv(studio / "catalogue.csv", dtype=str, keep_default_na=False).head(3)
    table["film_id"] = ["new1", "new2", "new3"]
    table.drop(columns="genres").to_csv(other / "catalogue.csv", index=False)
    text = explain(capsys, "new1", "--catalogue", "other/catalogue.csv")
    assert "not in the split" in text
    assert "true:" not in text
    assert "items that the run was fitted on are not in the catalogue" in text
    said = explain(capsys, "--catalogue", "other/catalogue.csv", code=1)
    assert "expected items that the run was fitted on, found none" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["f0007x"], 2, "Did you mean f0007"),
        (["--html", "card.html"], 2, "--html: expected an ID"),
        (["--top", "0"], 2, "0 is not in the range"),
        (["--catalogue", "none.csv"], 1, "expected a catalogue at none.csv"),
    ],
)
def test_errors_say_what_to_do(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert said in explain(capsys, *arguments, code=code)


def test_all_unknown_genres_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = explain(capsys, "--genre", "Westren", "--genre", "Dramma", code=2)
    assert "Did you mean Western" in said
    assert "Did you mean Drama" in said


def test_a_page_goes_to_a_page(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = items(home, "test")["id"].iloc[0]
    assert "expected the name of a page" in explain(capsys, name, "--html", "splits.csv", code=2)
    assert "expected a file in a folder that exists, found none/" in explain(
        capsys, name, "--html", "none/card.html", code=1
    )


def test_runs_that_cannot_be_explained(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for record, said in (
        ({"kind": "deep", "model": "text"}, "found the deep baseline text"),
        ({"kind": "head"}, "found no column roles"),
    ):
        (home / "other").mkdir(exist_ok=True)
        (home / "other/run.json").write_text(json.dumps({"format": 1, **record}))
        assert _run(["explain", "other"]) in (1, 2)
        assert said in capsys.readouterr().err


class Elements(html.parser.HTMLParser):
    """Collects elements, attributes, and what an image or link names."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs


def parse(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    return elements


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "</style><script>alert(2)</script>",
    "'><svg onload=alert(3)>",
    "{{ 7 * 7 }}",
]


@pytest.mark.parametrize("bad", HOSTILE)
def test_hostile_words_are_inert_on_the_card(bad: str) -> None:
    parts = (Contribution(bad, bad, 1.0), Contribution("text", bad, -0.5))
    score = ScoreDecomposition(bad, 0.6, 0.1, {bad: 0.5}, parts, 0.7, 0.5, 0.2, True)
    other = ScoreDecomposition(
        "b", float("nan"), float("nan"), {}, (), 0.0, np.inf, float("nan"), False
    )
    neighbour = Neighbour(bad, bad, (bad,), 0.5)
    card = ItemCard(
        bad,
        bad,
        bad,
        "train",
        (bad,),
        (score, other),
        (bad,),
        {bad: 0.3},
        bad,
        (neighbour,),
        (bad,),
    )
    for images in ({}, {"": b"jpeg", bad: b"jpeg"}):
        page = render_card(card, images)
        elements = parse(page)
        tame = parse(render_card(tame_card(), {"": b"jpeg", "x": b"jpeg"} if images else {}))
        assert elements.names == tame.names
        assert [name for name, _ in elements.attributes] == [name for name, _ in tame.attributes]
        assert page.count("</style>") == 1
        assert bad not in page or not set(bad) & set("<>\"'&")
        assert "{{ 7 * 7 }}" in page or "7 * 7" not in bad


def tame_card() -> ItemCard:
    """The card of the test above with harmless words."""
    parts = (Contribution("x", "x", 1.0), Contribution("text", "x", -0.5))
    score = ScoreDecomposition("x", 0.6, 0.1, {"x": 0.5}, parts, 0.7, 0.5, 0.2, True)
    other = ScoreDecomposition(
        "b", float("nan"), float("nan"), {}, (), 0.0, np.inf, float("nan"), False
    )
    near = (Neighbour("x", "x", ("x",), 0.5),)
    return ItemCard(
        "x", "x", "x", "train", ("x",), (score, other), ("x",), {"x": 0.3}, "x", near, ("x",)
    )


def test_the_card_loads_nothing_and_runs_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = pictured(home)["id"].iloc[0]
    assert str((home / "card.html").resolve()) in explain(capsys, name, "--html", "card.html")
    page = (home / "card.html").read_text()
    elements = parse(page)
    assert not set(elements.names) & {"script", "link", "iframe", "object", "a", "form", "base"}
    names = {name for name, _ in elements.attributes}
    assert "style" not in names
    assert not {name for name in names if name.startswith("on")}
    sources = [value or "" for name, value in elements.attributes if name in ("src", "href")]
    assert len(sources) > 3
    for source in sources:
        kind, _, data = source.partition(",")
        assert kind == "data:image/jpeg;base64"
        assert base64.b64decode(data, validate=True).startswith(b"\xff\xd8")
    alternatives = [value for name, value in elements.attributes if name == "alt"]
    assert len(alternatives) == len(sources)
    assert all(alternatives)
    style = re.search(r"<style>(.*)</style>", page, re.S)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    (policy,) = re.findall(r'Security-Policy" content="([^"]*)"', page)
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert "prefers-color-scheme: dark" in style[1]
    assert len(page) < 400_000


def test_real_films_are_explained_exactly(movies: Path) -> None:
    catalogue = load_catalogue(movies / "catalogue.csv")
    model = make_hybrid(catalogue, blocks=["text", "metadata"], grid={"C": [0.3]}, folds=2)
    model.set_params(block_weights=())
    model.fit(catalogue.frame.iloc[:600], catalogue.labels[:600, :8])
    check_sums(model, catalogue.frame.iloc[600:620], catalogue.genres[:8])
