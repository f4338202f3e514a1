"""A race of small encoders: what it costs, what it touches, what it refuses, and what the command prints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid import (
    Context,
    EmbeddingSelector,
    RaceOptions,
    extract_embeddings,
    extract_texts,
    load_catalogue,
    make_hybrid,
    race_encoders,
)
from hybrid.audit.item_hashes import hash_items
from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.provenance import Ancestor, Provenance
from hybrid.catalogue import Catalogue
from hybrid.errors import HybridError, SettingError
from hybrid.evaluation import Outputs, measure_all
from hybrid.extraction import text_plan
from hybrid.extraction.lookup import hash_catalogue
from hybrid.extraction.texts import item_texts
from hybrid.split_types import Split
from hybrid.splitting.tasks import TRAINING
from hybrid.studies.race import entries
from hybrid.studies.race.race import plan_race
from hybrid.studies.race.records import Race
from hybrid.studies.race.rounds import Scores
from hybrid.studies.race.shared import Shared
from hybrid.text_encoders.tokens import Tokenizer
from hybrid.types import EmbeddingOptions, TextEmbeddingOptions
from tests.backbones.onnx_files import cnn
from tests.conftest import write_films, write_text_encoder

TEST = 20  # of 120 items


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films, a split in which some belong together, a backbone and a text encoder."""
    folder = tmp_path_factory.mktemp("race")
    write_films(folder, 120)
    ids = load_catalogue(folder / "catalogue.csv").ids
    parts = np.array(["train"] * 80 + ["validation"] * 20 + ["test"] * TEST)
    groups = np.array([f"g{k // 2 if k < 40 else k}" for k in range(120)])
    lines = [",".join(each) for each in zip(ids, parts, groups, strict=True)]
    (folder / "splits.csv").write_text("\n".join(["id,split,group", *lines]) + "\n")
    cnn(folder / "seeing.onnx")
    (folder / "seeing.json").write_text('{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}')
    write_text_encoder(folder / "small", size=16)
    return folder


@pytest.fixture
def films(place: Path) -> Catalogue:
    return load_catalogue(place / "catalogue.csv")


@pytest.fixture
def split(place: Path) -> Split:
    from hybrid import read_split

    return read_split(place / "splits.csv")


# So sure that no encoder is stopped.
QUICK = RaceOptions(blocks=(), start=40, folds=2, metric="map", confidence=0.999999)


def raced(place: Path, films: Catalogue, split: Split, **how: Any) -> Race:
    named: dict[str, Any] = {
        "backbones": [str(place / "seeing.onnx")],
        "text_encoders": [str(place / "small")],
        "options": QUICK,
        "context": Context(cache="cache", workers=1),
    }
    return race_encoders(films, split, **{**named, **how})


def train_texts(films: Catalogue, split: Split) -> set[str]:
    rows = np.isin(films.ids, split.ids[np.isin(split.parts, TRAINING)])
    return {text for text in np.array(item_texts(films.frame, films.columns.text))[rows] if text}


def test_nothing_is_paid_twice(
    place: Path, films: Catalogue, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    tokenize = Tokenizer.__call__

    def counted(self: Tokenizer, texts: Any, chunks: str = "first") -> Any:
        seen.extend(texts)
        return tokenize(self, texts, chunks)

    def settled(spec: Any, choice: EngineChoice, *_: Any) -> EngineChoice:
        return replace(choice, precision="float32")  # without the check, which reads some twice

    monkeypatch.setattr(text_plan, "known_precision", settled)
    monkeypatch.setattr(Tokenizer, "__call__", counted)
    race = raced(place, films, split)
    wanted = train_texts(films, split)
    assert race.sizes == (40, 100)
    assert sorted(seen) == sorted(wanted)  # each once, and no text of the test items
    small = [one.results for one in race.rounds]
    assert [sum(result.computed for result in results) for results in zip(*small, strict=True)] == [
        100,
        len(wanted),
    ]
    seen.clear()
    again = raced(place, films, split)
    assert seen == []
    assert [[r.computed for r in one.results] for one in again.rounds] == [[0, 0], [0, 0]]
    assert [figures(one) for one in again.rounds] == [figures(one) for one in race.rounds]
    context = Context(cache="cache", workers=1)
    later = extract_texts(films, str(place / "small"), context=context)
    assert later.hits == len(wanted)
    posters = extract_embeddings(films, str(place / "seeing.onnx"), context=context)
    assert (posters.hits, posters.computed) == (100, TEST)
    found = {each.encoder: each for each in raced(place, films, split).encoders}
    assert [each.price.left for each in found.values()] == [0, 0]
    assert all(each.price.left_seconds == 0 for each in found.values())


def figures(one: Any) -> Any:
    return [(r.encoder, r.alone, r.with_blocks, r.behind, r.gain, r.stopped) for r in one.results]


def test_the_figures_are_those_of_a_classifier_on_the_sample(
    place: Path, films: Catalogue, split: Split
) -> None:
    options = replace(QUICK, blocks=("metadata",), start=100)
    race = raced(place, films, split, options=options)
    (one,) = race.rounds
    seeing = one.results[0]
    some = films.only(split.ids[np.isin(split.parts, TRAINING)].tolist())
    groups = dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True))
    group = np.array([groups[name] for name in some.ids.tolist()])
    select = EmbeddingSelector(fingerprint=race.encoders[0].fingerprint)
    context = Context(cache="cache", workers=1)
    for blocks, value in (
        (["poster"], seeing.alone),
        (["poster", "metadata"], seeing.with_blocks),
        (["metadata"], one.blocks),
    ):
        chosen = {"select": select} if "poster" in blocks else {}
        how: dict[str, Any] = {"metric": "map", "folds": 2, "context": context, **chosen}
        model = make_hybrid(some, blocks=blocks, **how)
        model.fit(some.frame, some.labels, groups=group)
        outputs = Outputs(model.oof_labels_, model.oof_probabilities_)
        assert measure_all(some.labels, outputs)["map_macro"] == value
    assert seeing.gain is not None
    assert one.blocks is not None
    assert seeing.with_blocks is not None
    assert seeing.gain.value == pytest.approx(seeing.with_blocks - one.blocks)


def test_the_test_items_take_no_part(place: Path, films: Catalogue, split: Split) -> None:
    """Other labels, texts and posters of the test items: the same race."""
    folder = Path("other")
    shutil.copytree(place, folder)
    lines = (folder / "catalogue.csv").read_text().splitlines()
    tested = [line.split(",") for line in lines[-TEST:]]
    at = lines[0].split(",").index("genres")
    genres = [cells[at] for cells in tested]
    for cells, other in zip(tested, genres[1:] + genres[:1], strict=True):
        cells[at] = other
        cells[4] = "a film about nothing"
    (folder / "catalogue.csv").write_text(
        "\n".join([*lines[:-TEST], *(",".join(cells) for cells in tested)]) + "\n"
    )
    changed = load_catalogue(folder / "catalogue.csv")
    assert not np.array_equal(changed.labels, films.labels)
    first = raced(place, films, split)
    second = raced(place, changed, split, context=Context(cache="another", workers=1))
    assert [figures(one) for one in second.rounds] == [figures(one) for one in first.rounds]
    assert second.leader == first.leader


def test_prices_stand_beside_each(place: Path, films: Catalogue, split: Split) -> None:
    race = raced(place, films, split, options=replace(QUICK, start=40, budget=1e6))
    seeing, small = race.encoders
    assert (seeing.of, small.of) == ("poster", "text")
    assert seeing.price.embeddings == 120
    assert seeing.price.left == TEST
    assert seeing.price.bytes == 120 * (12 * 2 + 32)
    assert small.price.bytes == small.price.embeddings * (16 * 2 + 32)
    for each in race.encoders:
        price = each.price
        assert price.seconds is not None
        assert price.left_seconds is not None
        assert 0 < price.left_seconds < price.seconds
        assert each.licence == "unknown"
    assert race.cheapest in (seeing.encoder, small.encoder)


def test_an_encoder_that_sees_nothing_stops(
    place: Path, films: Catalogue, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its embeddings are noise: made so after the engine."""
    fit = Shared.fit_encoder

    def blind(self: Any, name: str, block: str, sample: int, **select: Any) -> Scores:
        found = fit(self, name, block, sample, **select).judged
        if "select_text" not in select:
            return Scores(found)
        order = np.random.default_rng(0).permutation(len(found.labels))
        return Scores(Outputs(found.labels[order], found.scores[order]))

    monkeypatch.setattr(Shared, "fit_encoder", blind)
    race = raced(place, films, split, options=replace(QUICK, confidence=0.95))
    assert race.leader == "seeing.onnx"
    standing = {each.encoder: each.standing for each in race.encoders}
    assert standing == {"seeing.onnx": "leader", "small": "stopped"}
    assert race.ended == "one encoder is left"
    assert len(race.rounds) == 1
    assert race.rounds[0].results[1].stopped


def test_all_encoders_that_cannot_take_part_are_told_before_the_work(
    place: Path, films: Catalogue, split: Split
) -> None:
    with pytest.raises(HybridError, match=r"gone\.onnx: expected an ONNX file") as found:
        raced(
            place,
            films,
            split,
            backbones=["gone.onnx", str(place / "seeing.onnx")],
            text_encoders=[str(place / "absent")],
            options=replace(QUICK, licence="commercial"),
        )
    assert "absent" in str(found.value)
    assert "seeing.onnx (unknown)" in str(found.value)
    assert not Path("cache").exists()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"backbones": []}, "expected two encoders or more for a race, found 1"),
        ({"weights": ["a", "b"]}, "--weights: expected one, or one for"),
        (
            {"backbones": [], "text_encoders": ["a", "b"], "weights": ["x"]},
            "expected --backbone with",
        ),
        (
            {"options": replace(QUICK, licence="commercial")},
            r"found seeing\.onnx \(unknown\), small",
        ),
        ({"options": replace(QUICK, blocks=("poster",))}, "which is what each encoder makes"),
        ({"options": replace(QUICK, blocks=("txt",))}, "--with-blocks: unknown block 'txt'"),
    ],
)
def test_what_is_wrong_is_refused(
    place: Path, films: Catalogue, split: Split, how: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        raced(place, films, split, **how)
    assert not Path("cache").exists()


def test_an_encoder_is_named_once(place: Path, films: Catalogue, split: Split) -> None:
    twice = [str(place / "small"), str(place / "small")]
    with pytest.raises(
        SettingError, match="expected each encoder once, with a name of its own, found"
    ):
        raced(place, films, split, text_encoders=twice)


def test_one_that_has_learnt_the_labels_is_refused(
    place: Path, films: Catalogue, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = hash_catalogue(films, Context(cache="hashes"))
    hashes = hash_items(films, keys)
    resolve = entries.resolve_entries

    def learnt_from(rows: Any) -> None:
        run = Ancestor("d", "scratch", "c", "s", hashes.take(np.asarray(rows)))

        def resolved(*names: Any, **how: Any) -> Any:
            first, *others = resolve(*names, **how)
            return [first._replace(learnt=Provenance((run,))), *others]

        monkeypatch.setattr("hybrid.studies.race.prepare.resolve_entries", resolved)

    learnt_from([3, 4])
    with pytest.raises(SettingError, match=r"have learnt no labels .* found seeing\.onnx \(from"):
        raced(place, films, split)
    assert not Path("cache/stores").exists()
    learnt_from([118])  # a test item: no matter here, and the audit of a run tells it
    assert raced(place, films, split, options=replace(QUICK, budget=1e-9)).rounds == ()


def test_what_cannot_be_told_is_told(place: Path, films: Catalogue, split: Split) -> None:
    (told,) = raced(place, films, split, options=replace(QUICK, budget=1e-9)).findings
    assert told.message.startswith("it cannot be told what seeing.onnx learnt from")


def test_a_plan_writes_nothing(place: Path, films: Catalogue, split: Split) -> None:
    named = {"backbones": [str(place / "seeing.onnx")], "text_encoders": [str(place / "small")]}
    plan = plan_race(films, split, **named, options=QUICK, context=Context(cache="cache"))
    assert plan.sizes == (40, 100)
    assert plan.round_level == 1 - (1 - 0.999999) / 2
    assert [(each.embeddings, each.cached) for each in plan.encoders] == [
        (100, 0),
        (len(train_texts(films, split)), 0),
    ]
    assert not Path("cache").exists()


def test_options_of_an_extraction_are_those_of_the_next_command(
    place: Path, films: Catalogue, split: Split
) -> None:
    posters = EmbeddingOptions(fit="pad", precision="float32")
    texts = TextEmbeddingOptions(max_length=5, prefix="a film: ", precision="float32")
    options = replace(QUICK, posters=posters, texts=texts, start=100, confidence=0.95)
    race = raced(place, films, split, options=options)
    seeing, small = race.encoders
    onnx = place / "seeing.onnx"
    assert seeing.option == f"--backbone {onnx} --fit pad --precision float32"
    said = "--max-length 5 --prefix 'a film: ' --precision float32"
    assert small.option == f"--text-encoder {place / 'small'} {said}"
    context = Context(cache="cache", workers=1)
    later = extract_texts(films, str(place / "small"), options=texts, context=context)
    assert (later.fingerprint, later.hits) == (small.fingerprint, len(train_texts(films, split)))
    done = extract_embeddings(films, str(onnx), options=posters, context=context)
    assert (done.fingerprint, done.hits) == (seeing.fingerprint, 100)
    with pytest.raises(SettingError, match="--layer: expected one backbone with it, found 2"):
        raced(
            place,
            films,
            split,
            backbones=[str(onnx), "vgg16"],
            options=replace(QUICK, posters=EmbeddingOptions(layer="pooled")),
        )


def test_the_plan_tells_what_each_round_takes(place: Path, films: Catalogue, split: Split) -> None:
    named = {"backbones": [str(place / "seeing.onnx")], "text_encoders": [str(place / "small")]}
    options = replace(QUICK, blocks=("metadata",), budget=1e6)
    context = Context(cache="cache", workers=1)
    plan = plan_race(films, split, **named, options=options, context=context)
    first, second = plan.rounds
    assert (first.items, second.items) == plan.sizes
    total = sum(each.seconds for each in plan.encoders)
    assert first.embed_seconds == pytest.approx(0.4 * total)
    assert second.embed_seconds == pytest.approx(0.6 * total)
    assert first.fit_seconds is not None
    assert first.fit_seconds > 0
    assert (first.affordable, second.affordable) == (True, True)
    short = replace(options, budget=first.embed_seconds)
    assert not plan_race(films, split, **named, options=short, context=context).rounds[0].affordable
    alone = plan_race(films, split, **named, options=QUICK, context=context)
    assert [each.fit_seconds for each in alone.rounds] == [None, None]
    assert not Path("cache").exists()


def test_the_command(place: Path, hybrid_here: Callable[..., Any], tmp_path: Path) -> None:
    shutil.copytree(place, tmp_path / "films")
    folder = tmp_path / "films"
    words = ["race", "--backbone", "seeing.onnx", "--text-encoder", "small", "--folds", "2"]
    words += ["--metric", "map", "--budget", "10min", "--confidence", "0.999999"]
    planned = hybrid_here(*words, "--start", "40", "--dry-run", cwd=folder)
    assert planned.returncode == 0, planned.stderr
    assert "sizes of the samples: 40, 100; within 10 min" in planned.stdout
    assert "within the budget" in planned.stdout
    assert not (folder / ".hybrid-cache").exists()
    some = ["--start", "1000", "--with-blocks", "metadata"]
    done = hybrid_here(*words, *some, "--out", "race.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    written = json.loads((folder / "race.json").read_text())
    assert written["blocks"] == ["metadata"]
    (one,) = written["rounds"]
    spent = [each["fit_seconds"] for each in one["results"]]
    fits = sum(spent) + one["blocks_seconds"] + one["compare_seconds"]
    assert written["fit_seconds"] == pytest.approx(fits)
    assert min(spent) > 0
    embedding = sum(each["embed_seconds"] for each in one["results"])
    assert written["embed_seconds"] == pytest.approx(embedding)
    assert 0 < written["embed_seconds"] + fits <= one["seconds"] <= written["seconds"]
    assert "(embedding " in done.stdout
    assert f"{written['leader']} leads" in done.stdout
    assert "the whole catalogue, 120 items:" in done.stdout
    assert "the blocks alone" in done.stdout
    assert f"the rest of the catalogue: hybrid extract {option_of(written)}" in done.stdout
    assert "it cannot be told what seeing.onnx learnt from" in done.stderr
    short = hybrid_here(*words, "--budget", "0.000001s", "--json", "--quiet", cwd=folder)
    found = json.loads(short.stdout)
    assert (found["leader"], found["rounds"], found["blocks"]) == (None, [], ["text", "metadata"])
    assert {one["kind"] for one in found["findings"]} >= {"origin of weights"}
    short = hybrid_here(*words, "--budget", "0.000001s", cwd=folder)
    assert short.returncode == 0
    assert "no round was completed: allow more time with --budget" in short.stdout


def option_of(written: Any) -> str:
    options = {each["encoder"]: each["option"] for each in written["encoders"]}
    return str(options[written["leader"]])


def test_without_a_split_the_command_says_how_to_make_one(
    place: Path, hybrid_here: Callable[..., Any], tmp_path: Path
) -> None:
    shutil.copytree(place, tmp_path / "films")
    (tmp_path / "films/splits.csv").unlink()
    words = ["race", "--text-encoder", "small", "--backbone", "seeing.onnx"]
    done = hybrid_here(*words, cwd=tmp_path / "films")
    assert done.returncode == 1
    assert "hybrid split" in done.stderr
