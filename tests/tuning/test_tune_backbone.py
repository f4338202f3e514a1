"""Tuned backbones: cross-fitted, against plain Keras, resumable, relocatable, a block of any head."""

from __future__ import annotations

import json
import shutil
import weakref
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image, PngImagePlugin
from sklearn.metrics import roc_auc_score

from hybrid.backbones import configure, get_backbone, resolve_weights
from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.engines import load_backbone
from hybrid.backbones.load import init_random_weights
from hybrid.backbones.tuned import pixel_numbers
from hybrid.backbones.tuned_folder import hash_numbers, is_tuned
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.cli.main import hybrid
from hybrid.deep.items import Arrays as ArraySource
from hybrid.errors import RunError, SettingError, WeightsError
from hybrid.extraction.lookup import load_embeddings
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.images.files import load_poster
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.predict import predict_catalogue
from hybrid.runs.tune import tune_backbone
from hybrid.runs.tune_posters import plan_poster_job
from hybrid.splitting.split_file import write_split
from hybrid.splitting.tasks import Task
from hybrid.text_encoders.registry import resolve_text_encoder
from hybrid.tuning import poster_encoder
from hybrid.tuning.lesson import Lesson
from hybrid.tuning.options import TuneOptions, TuneSummary
from hybrid.tuning.poster_encoder import TunedNetwork
from hybrid.types import ColumnOptions, EmbeddingSelector, Split
from hybrid.utils.context import Context
from tests.tuning.audits import check_audits_of_runs, leaking_items

SIZE = (32, 32)
OPTIONS = TuneOptions(epochs=6, layers=2, learning_rate=1e-3, head_rate=2e-2, batch_size=16)
FLOAT32 = EngineChoice("keras", "float32", "processor")
BAD, NONE, TWIN = (
    5,
    6,
    11,
)  # items with a damaged poster, without one, and with the pixels of item 1


def write_films(folder: Path, n: int = 60, *, shuffled: bool = False) -> Path:
    """Films whose posters tell the label, by their colour; or, `shuffled`, do not."""
    random = np.random.default_rng(3)
    truth = (np.arange(n) + np.arange(n) // 10) % 2
    truth[TWIN] = truth[1]
    labels = random.permutation(truth) if shuffled else truth
    posters = folder / "posters"
    posters.mkdir(parents=True)
    rows = ["id,genres,poster"]
    for i in range(n):
        colour = np.array([200, 60, 60]) if truth[i] else np.array([60, 60, 200])
        pixels = np.clip(colour + random.integers(-50, 50, (40, 28, 3)), 0, 255).astype(np.uint8)
        path = posters / f"{i:03}.png"
        Image.fromarray(pixels).save(path)
        if i == TWIN:  # another file of the same pixels
            said = PngImagePlugin.PngInfo()
            said.add_text("source", "elsewhere")
            Image.open(posters / "001.png").save(path, pnginfo=said)
        if i == BAD:
            path.write_bytes(path.read_bytes()[:200])
        cell = "" if i == NONE else f"posters/{path.name}"
        rows.append(f"f{i:03},{'Horror' if labels[i] else 'Comedy'},{cell}")
    path = folder / "catalogue.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def make_experiment(folder: Path, name: str = "tuned", **films: Any) -> Experiment:
    catalogue = load_catalogue(write_films(folder, **films))
    parts = np.array(["train"] * 8 + ["validation", "test"])[np.arange(len(catalogue)) % 10]
    split = Split(catalogue.ids, parts, catalogue.ids, "")
    context = Context(cache=str(folder / "cache"), workers=1)
    return Experiment(catalogue, split, folder / "encoders" / name, context=context)


def tune(experiment: Experiment, backbone: str = "mobilenet-075", **changes: Any) -> TuneSummary:
    options = TuneOptions(**{**vars(OPTIONS), **changes})
    return tune_backbone(experiment, backbone, options, weights="random", input_size=SIZE)


def scores_of(experiment: Experiment, summary: TuneSummary, *parts: str) -> tuple[Any, Any]:
    """Scores in the cache, and labels, of the items of some parts that have scores."""
    select = EmbeddingSelector(fingerprint=summary.fingerprint)
    films, rows = experiment.catalogue, experiment.rows(*parts)
    scores = load_embeddings(films, select, experiment.context)[rows]
    has = np.isfinite(scores).all(axis=1)
    return scores[has], films.labels[rows][has]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, TuneSummary, list[Any]]:
    """A tuned backbone, and the rows of the posters that each of its encoders was fed."""
    fed: list[Any] = []
    networks: list[weakref.ref[Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        read, begin = poster_encoder.Rows.read, poster_encoder.TunedNetwork.__init__

        def build(self: Any, *args: Any) -> None:
            assert not any(other() for other in networks)  # one in memory at a time
            networks.append(weakref.ref(self))
            begin(self, *args)
            networks.append(weakref.ref(self.learner))

        def record(self: Any, rows: Any) -> Any:
            if not fed or fed[-1][0] is not self:
                fed.append((self, set()))
            fed[-1][1].update(self.rows[rows].tolist())
            return read(self, rows)

        patch.setattr(poster_encoder.Rows, "read", record)
        patch.setattr(poster_encoder.TunedNetwork, "__init__", build)
        experiment = make_experiment(tmp_path_factory.mktemp("tuned"))
        summary = tune(experiment)
    assert len(networks) == 2 * OPTIONS.folds
    return experiment, summary, [rows for _, rows in fed]


def test_a_planted_signal_is_learnt_and_bad_posters_are_missing(made: Any) -> None:
    experiment, summary, _ = made
    for parts in (("train", "validation"), ("test",)):
        scores, labels = scores_of(experiment, summary, *parts)
        assert roc_auc_score(labels, scores) > 0.9
    assert summary.oof_map > 0.9
    assert (summary.kind, summary.items, summary.without, summary.different) == (
        "poster",
        52,
        2,
        51,
    )
    select = EmbeddingSelector(fingerprint=summary.fingerprint)
    scores = load_embeddings(experiment.catalogue, select, experiment.context)
    assert np.flatnonzero(np.isnan(scores).any(axis=1)).tolist() == [BAD, NONE]
    assert summary.embedded == 58


def plan(experiment: Experiment) -> Any:
    return plan_poster_job(experiment, "mobilenet-075", "random", SIZE, OPTIONS)


def test_no_encoder_is_fed_what_it_scores(made: Any) -> None:
    experiment, summary, fed = made
    job = plan(experiment)
    spec = configure(get_backbone(str(experiment.folder)))
    assert spec.tuned is not None
    learnt = spec.tuned.learnt
    assert len(fed) == summary.folds == 3
    for fold, rows in enumerate(fed):
        for numbers in (job.posters.pixels, job.posters.files):
            seen = set(numbers[list(rows)].tolist())
            own = {number for number in numbers.tolist() if learnt[number] == fold}
            assert own
            assert own.isdisjoint(seen)
            assert own | seen == set(numbers.tolist())


def test_the_same_pixels_in_two_files_and_groups_are_in_one_fold(made: Any) -> None:
    experiment, _, _ = made
    job = plan(experiment)
    ids = experiment.catalogue.ids[job.rows].tolist()
    assert job.fold[ids.index("f001")] == job.fold[ids.index(f"f{TWIN:03}")]
    assert len(set(job.posters.files.tolist())) == len(set(job.posters.pixels.tolist())) + 1
    groups = np.array([str(i // 6) for i in range(len(experiment.catalogue))])
    split = Split(experiment.split.ids, experiment.split.parts, groups, "")
    grouped = Experiment(experiment.catalogue, split, experiment.folder, context=experiment.context)
    job = plan(grouped)
    for group in set(groups[job.rows].tolist()):
        assert len(set(job.fold[groups[job.rows] == group].tolist())) == 1


def alone(experiment: Experiment, fold: int) -> keras.Model:
    """One encoder as plain Keras has it, with the arrays of its file."""
    network = keras.applications.MobileNet(
        include_top=False, weights=None, input_shape=(*SIZE, 3), alpha=0.75, pooling="avg"
    )
    init_random_weights(network, 0)
    with np.load(experiment.folder / f"fold-{fold}.npz") as arrays:
        own = {name.rsplit(".", 1)[0] for name in arrays.files} - {"head"}
        assert {name.rsplit("_", 1)[-1] for name in own if name.startswith("conv_pw")} >= {
            "12",
            "13",
        }
        for name in own:
            number = len(network.get_layer(name).weights)
            network.get_layer(name).set_weights([arrays[f"{name}.{i}"] for i in range(number)])
        head = keras.layers.Dense(2)
        whole = keras.Model(network.input, head(network.output))
        head.set_weights([arrays["head.kernel"], arrays["head.bias"]])
    return whole


def test_scores_are_those_of_the_fold_or_the_means_as_plain_keras_computes_them(made: Any) -> None:
    experiment, _, _ = made
    films = experiment.catalogue
    rows = [*experiment.rows("train")[:4], *experiment.rows("test")[:3]]
    posters = np.stack([load_poster(films.poster_paths[row], SIZE) for row in rows])
    spec = configure(get_backbone(str(experiment.folder)))
    assert spec.tuned is not None
    prepared = keras.applications.mobilenet.preprocess_input(posters.astype(np.float32))
    each = np.stack([np.array(alone(experiment, k)(prepared)) for k in range(3)])
    numbers = pixel_numbers(posters).tolist()
    assert all(number in spec.tuned.learnt for number in numbers[:4])
    assert not any(number in spec.tuned.learnt for number in numbers[4:])
    expected = np.concatenate(
        [
            np.stack([each[spec.tuned.learnt[n], i] for i, n in enumerate(numbers[:4])]),
            each[:, 4:].mean(axis=0),
        ]
    )
    assert np.abs(each[0] - each[1]).max() > 0.1  # they differ
    weights = resolve_weights(spec)
    for engine in ("keras", "openvino"):
        found = load_backbone(spec, weights, EngineChoice(engine, "float32", "processor"))
        np.testing.assert_allclose(found(posters), expected, atol=2e-3)


def test_a_file_is_known_where_another_decoder_makes_other_pixels_of_it(made: Any) -> None:
    experiment, _, _ = made
    spec = configure(get_backbone(str(experiment.folder)))
    assert spec.tuned is not None
    (row,) = experiment.rows("train")[:1]
    key = experiment.keys[row]
    poster = np.asarray(load_poster(experiment.catalogue.poster_paths[row], SIZE))[None]
    engine = load_backbone(spec, resolve_weights(spec), FLOAT32)
    other = poster ^ 1  # the last bit of each value
    known = engine.start_or_split(other, [key])()
    fold = spec.tuned.learnt[int(hash_numbers([key])[0])]
    own = engine.engine.start(other)().reshape(3, 2)  # type: ignore[attr-defined]
    np.testing.assert_allclose(known[0], own[fold])
    np.testing.assert_allclose(engine(other)[0], own.mean(axis=0), rtol=1e-5)


def test_permuted_labels_give_chance_out_of_fold_and_not_in_sample(tmp_path: Path) -> None:
    experiment = make_experiment(tmp_path, shuffled=True)
    summary = tune(experiment, "small", folds=2, epochs=40, learning_rate=3e-3, dropout=0.0)
    scores, labels = scores_of(experiment, summary, "train", "validation")
    assert 0.2 < roc_auc_score(labels[:, 0], scores[:, 0]) < 0.75
    # The same encoders on posters that one of the two has seen.
    spec = configure(get_backbone(str(experiment.folder)))
    job = plan(experiment)
    posters = np.stack([load_poster(path, SIZE) for path in job.posters.paths])
    engine = load_backbone(spec, resolve_weights(spec), FLOAT32)
    both = engine.engine(posters).reshape(-1, 2, 2)  # type: ignore[attr-defined]
    seen = both[np.arange(len(posters)), 1 - job_folds(spec, posters)]
    assert roc_auc_score(job.examples[:, 0], seen[:, 0]) > 0.8


def job_folds(spec: Any, posters: Any) -> Any:
    return np.array([spec.tuned.learnt[n] for n in pixel_numbers(posters).tolist()])


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {p.name: p.read_bytes() for p in files if p.name != "provenance.json"}


def test_a_killed_tuning_continues_to_the_same_bytes(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, summary, _ = made
    again = make_experiment(tmp_path)
    trained: list[int] = []
    begin = poster_encoder.FoldBatches.__init__

    def stop(self: Any, *args: Any) -> None:
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(1)
        begin(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(poster_encoder.FoldBatches, "__init__", stop)
        with pytest.raises(KeyboardInterrupt):
            tune(again)
    assert not again.folder.exists()
    states = again.folder.with_name(".tuned.tuning") / "states.npy"
    before = states.stat().st_mtime_ns
    with pytest.raises(RunError, match="epochs: expected 6, found 2"):
        tune(again, epochs=2)
    computed: list[int] = []

    def go_on(self: Any, *args: Any) -> None:
        trained.append(1)
        computed.append(states.stat().st_mtime_ns)
        begin(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(poster_encoder.FoldBatches, "__init__", go_on)
        found = tune(again)
    assert (len(trained), found.resumed) == (3, 1)
    assert set(computed) == {before}  # the lower layers were not computed again
    assert contents(again.folder) == contents(experiment.folder)
    assert sorted(path.name for path in again.folder.parent.iterdir()) == ["tuned"]
    mine, _ = scores_of(again, found, "train", "test")
    theirs, _ = scores_of(experiment, summary, "train", "test")
    np.testing.assert_array_equal(mine, theirs)


def test_a_moved_folder_still_works_and_a_damaged_file_is_named(made: Any, tmp_path: Path) -> None:
    experiment, _, _ = made
    moved = tmp_path / "elsewhere" / "mine"
    shutil.copytree(experiment.folder, moved)
    spec = configure(get_backbone(str(moved)))
    assert (spec.name, spec.dimension, spec.input_size) == ("tuned", 2, SIZE)
    for name in ("fold-1.npz", "tuned.json"):
        whole = (moved / name).read_bytes()
        (moved / name).write_bytes(whole[:-9] + b"123456789")
        with pytest.raises(WeightsError, match=name):
            configure(get_backbone(str(moved)))
        (moved / name).write_bytes(whole)
    (moved / "fold-2.npz").unlink()
    with pytest.raises(WeightsError, match=r"fold-2.npz.*No such file"):
        configure(get_backbone(str(moved)))


def test_other_layers_sizes_and_weights_are_refused(made: Any) -> None:
    spec = get_backbone(str(made[0].folder))
    with pytest.raises(SettingError, match=r"(?s)--layer.*--pooling.*--input-size"):
        configure(spec, layer="conv1", pooling="max", input_size=(64, 64))
    with pytest.raises(WeightsError, match="holds its own"):
        resolve_weights(spec, "random")


def test_what_cannot_be_tuned_is_refused(made: Any, tmp_path: Path) -> None:
    experiment, _, _ = made

    def refuse(error: type[Exception], match: str, *args: Any, **named: Any) -> None:
        with pytest.raises(error, match=match):
            tune_backbone(*args, **named)

    refuse(SettingError, "found a tuned one", experiment, str(experiment.folder))
    refuse(SettingError, "found an ONNX file", experiment, "vit.onnx")
    refuse(SettingError, "unknown backbone", experiment, "mobilnet-075")
    refuse(SettingError, "--max-length", experiment, "vgg16", TuneOptions(max_length=64))
    named = Experiment(
        experiment.catalogue, experiment.split, tmp_path / "vgg16", context=experiment.context
    )
    refuse(SettingError, "--name: expected a name that no backbone has", named, "vgg16")
    with pytest.raises(WeightsError, match="Name it with --backbone"):
        resolve_text_encoder(str(experiment.folder))


def test_a_run_on_the_scores_counts_the_tuning_tells_its_leaks_and_predicts(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, summary, _ = made
    monkeypatch.chdir(experiment.folder.parents[1])
    films, context = experiment.catalogue, experiment.context

    def fit(split: Split, name: str) -> Any:
        model = make_hybrid(
            films,
            blocks=["poster"],
            select=[EmbeddingSelector("tuned")],  # in encoders/
            grid={"C": [1.0]},
            context=context,
        )
        return fit_head(Experiment(films, split, Path("runs") / name, context=context), model)

    run = fit(experiment.split, "svm")
    (ancestor,) = run.record.cost.ancestors
    assert (ancestor.name, ancestor.seconds) == ("tuned", summary.seconds)
    assert run.record.backbone.licence == "none"  # of random weights
    check_audits_of_runs(run.record, lambda *how: fit(*how).record, films.ids)
    # New posters, and a cache that has nothing: the same answers for those that are in both.
    new = tmp_path / "new.csv"
    table = pd.read_csv(films.path, dtype=str).fillna("")
    table["poster"] = [str(films.path.parent / cell) if cell else "" for cell in table["poster"]]
    table.iloc[:12].drop(columns="genres").to_csv(new, index=False)
    found = [
        predict_catalogue(
            run.folder, new, tmp_path / f"{i}.csv", context=Context(cache=str(cache), workers=1)
        )
        for i, cache in enumerate((context.cache, tmp_path / "empty"))
    ]
    first, second = (each.predictions.probabilities for each in found)
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_a_stack_takes_the_scores_of_posters_as_they_are(made: Any) -> None:
    experiment, summary, _ = made
    films, context = experiment.catalogue, experiment.context

    def build(of: Catalogue) -> Any:
        select = EmbeddingSelector(fingerprint=summary.fingerprint)
        return make_hybrid(of, head="stacking", blocks=["poster"], select=select, context=context)

    model = build(films)
    assert model.estimator.scores == ("poster",)
    learn = experiment.split.parts != "test"
    model.set_params(folds=2).fit(films.frame[learn], films.labels[learn])
    assert model.head_.heads_ == {}
    rows = load_embeddings(films, EmbeddingSelector(fingerprint=summary.fingerprint), context)
    # By hand: standardised by the items that are learnt from, not scaled to unit length.
    mean, deviation = np.nanmean(rows[learn], axis=0), np.nanstd(rows[learn], axis=0)
    block = model.fusion_.transform(films.frame).blocks[0][1][:, :-1]
    by_hand = np.nan_to_num((rows - mean) / deviation) / np.sqrt(rows.shape[1])
    np.testing.assert_allclose(block, by_hand, atol=1e-5)
    # One column a genre: the order of items by a genre is that by its scores.
    there = np.isfinite(rows[:, 0])
    for genre, weight in enumerate(model.head_.combiner_.coef_[:, 0]):
        found = model.decision_function(films.frame)[there, genre]
        assert (np.argsort(found) == np.argsort(np.sign(weight) * rows[there, genre])).all()
    # Of other labels they are scores, too, but not those of the genres: they need a head.
    elsewhere = films.path.with_name("other.csv")
    elsewhere.write_text(films.path.read_text().replace("Horror", "War"))
    other = build(load_catalogue(elsewhere))
    assert other.estimator.scores == ()
    assert [block.unit_length for _, block in (*model.fusion.blocks, *other.fusion.blocks)] == [
        False,
        False,
    ]


def test_the_audit_knows_what_was_learnt_from(made: Any) -> None:
    experiment, summary, _ = made
    # The tenth item was a test item then, too; two had no poster to learn from.
    wanted = {f"f{i:03}" for i in range(9)} - {f"f{BAD:03}", f"f{NONE:03}"}
    assert leaking_items(experiment, summary.fingerprint) == wanted


def start_network(layers: int, x: Any, labels: Any, **changes: Any) -> TunedNetwork:
    """A small network whose head starts on a source of these arrays, or learns from them."""
    spec = configure(get_backbone("small"), input_size=SIZE)
    options = TuneOptions(**{**vars(OPTIONS), "layers": layers, "dropout": 0.0, **changes})
    weights = resolve_weights(spec, "random", 0)
    network = TunedNetwork(spec, weights, labels.shape[1], options, "float32", 0)
    source, lesson = ArraySource(x), Lesson("", 0, np.arange(len(x)))
    if changes:
        how = (source, labels, lesson, options, False, 1, Context(workers=1).progress)
        poster_encoder.tune_poster_fold(network, *how)
    else:
        network.start(source, lesson.rows, labels, 0)
    return network


def test_the_loss_starts_at_the_entropy_of_the_shares_of_the_labels() -> None:
    """Whatever the scale of the embeddings: here 64 dimensions of about 1e4."""
    random = np.random.default_rng(0)
    x = random.normal(3e3, 1e4, (40, 64)).astype(np.float32)
    labels = np.repeat([[1, 0], [0, 0], [1, 1], [0, 0]], 10, axis=0).astype(np.uint8)
    network = start_network(0, x, labels)
    log_odds = np.asarray(network.learner.predict_on_batch(x))
    np.testing.assert_allclose(log_odds, np.tile([0, np.log(1 / 3)], (40, 1)), atol=1e-6)
    loss = np.logaddexp(0, log_odds) - labels * log_odds
    entropy = np.log(2) - (0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert loss.sum(axis=1).mean() == pytest.approx(entropy)


def test_the_scale_of_embeddings_changes_nothing_that_a_head_learns() -> None:
    random = np.random.default_rng(0)
    x = random.normal(0.5, 1.0, (40, 64)).astype(np.float32)
    labels = (x[:, :2] > 0.5).astype(np.uint8)
    scores = []
    for factor in (1, 64):
        arrays = start_network(0, factor * x, labels, epochs=2).arrays()
        scores.append(factor * x @ arrays["head.kernel"] + arrays["head.bias"])
    assert np.ptp(scores[0], axis=0).min() > 0.1
    np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-4)


def test_the_arrays_of_an_encoder_read_embeddings_as_they_are() -> None:
    """Of a network whose upper layers learn: what its file says is what it said itself."""
    posters = np.random.default_rng(0).integers(0, 256, (8, *SIZE, 3), dtype=np.uint8)
    labels = np.tile([[1, 0], [0, 1]], (4, 1)).astype(np.uint8)
    network = start_network(99, posters, labels, epochs=1)
    said = np.asarray(network.learner.predict_on_batch(posters))
    embeddings = np.asarray(network._embedder().predict_on_batch(posters))
    assert float(np.asarray(network.scale.rms)) != 1
    arrays = network.arrays()
    found = embeddings @ arrays["head.kernel"] + arrays["head.bias"]
    np.testing.assert_allclose(found, said, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", [0, 99])
def test_a_head_alone_and_all_layers(tmp_path: Path, layers: int) -> None:
    """Items with one label each, and labels that nobody looked at, too."""
    experiment = make_experiment(tmp_path, n=24)
    rows = experiment.catalogue.path.read_text().splitlines()
    rows = [
        f"{rows[0]},unknown",
        *(f"{row},{'Horror' if i == 3 else ''}" for i, row in enumerate(rows[1:])),
    ]
    experiment.catalogue.path.write_text("\n".join(rows))
    columns = ColumnOptions(unknown="unknown")
    films = load_catalogue(experiment.catalogue.path, columns)
    if not layers:
        films = experiment.catalogue
    some = Experiment(films, experiment.split, experiment.folder, context=experiment.context)
    if not layers:
        some = some.narrowed(Task("dominant", (), None, 0, "multiclass"))
    summary = tune(some, "small", layers=layers, epochs=1, folds=2)
    assert np.isfinite(summary.oof_map)
    spec = configure(get_backbone(str(experiment.folder)))
    assert spec.tuned is not None
    assert spec.tuned.trains == ("all" if layers else "head")


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    experiment = make_experiment(tmp_path, n=24)
    write_split(experiment.split, tmp_path / "splits.csv")
    asked = ["tune", "--catalogue", str(experiment.catalogue.path), "--json", "--name", "mine"]
    asked += ["--splits", str(tmp_path / "splits.csv"), "--cache", experiment.context.cache]
    asked += ["--encoders", str(tmp_path / "encoders"), "--layers", "0", "--epochs", "1"]
    base = ["--backbone", "small", "--weights", "random", "--input-size", "32"]
    asked += ["--folds", "2"]
    planned = CliRunner().invoke(hybrid, [*asked, *base, "--dry-run"])
    assert planned.exit_code == 0, planned.output
    assert json.loads(planned.stdout)["parameters"] == 65 * 2
    assert not (tmp_path / "encoders").exists()
    done = CliRunner().invoke(hybrid, [*asked, *base])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["kind"] == "poster"
    assert is_tuned(tmp_path / "encoders" / "mine")
    for wrong in (
        [],
        [*base, "--text-encoder", "x"],
        ["--text-encoder", "x", "--weights", "random"],
    ):
        assert CliRunner().invoke(hybrid, [*asked, *wrong]).exit_code == 2
