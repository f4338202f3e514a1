"""Tuned text encoders: cross-fitted, reproducible, resumable, relocatable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file
from sklearn.metrics import roc_auc_score

from hybrid.backbones.engines import choose_engine
from hybrid.backbones.tuned_folder import is_tuned
from hybrid.cache import EmbeddingCache
from hybrid.catalogue import load_catalogue
from hybrid.cli.main import hybrid
from hybrid.deep.options import DeepOptions
from hybrid.deep.saved import load_baseline
from hybrid.errors import CacheError, RunError, SettingError, WeightsError
from hybrid.extraction.provenance import store_provenance
from hybrid.extraction.text_lookup import text_stores
from hybrid.extraction.text_plan import configured_encoder
from hybrid.extraction.texts import item_texts, text_keys
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_deep import fit_deep
from hybrid.runs.fit_head import fit_head
from hybrid.runs.predict import predict_catalogue
from hybrid.runs.predictions_file import read_predictions
from hybrid.runs.tune import plan_tuning, tune_text_encoder
from hybrid.runs.tune_texts import TextJob, plan_text_job
from hybrid.splitting.split_file import write_split
from hybrid.splitting.tasks import Task
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.text_encoders.registry import resolve_text_encoder
from hybrid.text_encoders.tokens import Tokenizer
from hybrid.text_encoders.tuned import TunedSpec, text_numbers
from hybrid.tuning.batches import TrainingBatches
from hybrid.tuning.options import TuneOptions, TuneSummary
from hybrid.types import ColumnOptions, Split, TextEmbeddingOptions, TextSelector
from hybrid.utils.context import Context
from tests.tuning.audits import check_audits_of_runs, leaking_items

OPTIONS = TuneOptions(
    epochs=8, layers=1, learning_rate=5e-3, head_rate=5e-2, batch_size=8, precision="float32"
)
EXACTLY = choose_engine("openvino", "float32")  # starts faster than Keras
WORDS = ("ghost space horse", "funny the a")  # of items with and without the label


def write_catalogue(path: Path, n: int = 72, *, shuffled: bool = False, same: int = 0) -> Path:
    """Films whose words tell the label; or, `shuffled`, do not. `same` have the same text."""
    random = np.random.default_rng(3)
    truth = (np.arange(n) + np.arange(n) // 10) % 2
    words = [random.permutation([*WORDS[label].split(), "film", "about"]) for label in truth]
    lines = [f"{' '.join(each)} {i:03}" for i, each in enumerate(words)]
    lines[: 2 * same : 2] = lines[:1] * same
    labels = random.permutation(truth) if shuffled else truth
    rows = [
        f"{i},{'Horror' if label == 0 else 'Comedy'},{line}"
        for i, (label, line) in enumerate(zip(labels, lines, strict=True))
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["id,genres,overview", *rows]) + "\n")
    return path


def make_experiment(
    folder: Path, name: str = "tuned", groups: Any = None, **catalogue: Any
) -> Experiment:
    films = load_catalogue(write_catalogue(folder / "films.csv", **catalogue))
    parts = np.array(["train"] * 8 + ["validation", "test"])[np.arange(len(films)) % 10]
    split = Split(films.ids, parts, films.ids if groups is None else groups, "")
    return Experiment(films, split, folder / "encoders" / name)


def tune(experiment: Experiment, encoder: Path, **changes: Any) -> TuneSummary:
    options = TuneOptions(**{**vars(OPTIONS), **changes})
    return tune_text_encoder(experiment, str(encoder), options)


def stored(experiment: Experiment, fingerprint: str, *parts: str) -> tuple[Any, Any]:
    """Scores in the cache, and labels, of the items of some parts."""
    rows = experiment.rows(*parts)
    films = experiment.catalogue
    keys = text_keys(item_texts(films.frame.iloc[rows], films.columns.text))
    store = EmbeddingCache(experiment.context.cache).find(fingerprint)
    return store.read(keys), films.labels[rows]


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, text_encoder: Path
) -> tuple[Experiment, TuneSummary, list[tuple[int, set[int]]]]:
    """A tuned encoder, and what each of its K encoders was fed: numbers of texts."""
    folder = tmp_path_factory.mktemp("tuned")
    fed: list[tuple[int, set[int]]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        get, make = TrainingBatches.__getitem__, TrainingBatches.__init__

        def begin(self: Any, *args: Any) -> None:
            fed.append((len(fed), set()))
            make(self, *args)

        def record(self: Any, number: int) -> Any:
            fed[-1][1].update(self.batches[number].tolist())
            return get(self, number)

        patch.setattr(TrainingBatches, "__init__", begin)
        patch.setattr(TrainingBatches, "__getitem__", record)
        experiment = make_experiment(folder, same=5)
        return experiment, tune(experiment, text_encoder), fed


@pytest.fixture
def there(made: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same, in its folder."""
    monkeypatch.chdir(made[0].folder.parents[1])
    return made


def test_a_planted_signal_is_learnt(there: Any) -> None:
    experiment, summary, _ = there
    for parts in (("train", "validation"), ("test",)):
        scores, labels = stored(experiment, summary.fingerprint, *parts)
        assert roc_auc_score(labels, scores) > 0.9
    assert summary.oof_map > 0.9
    assert summary.embedded == len(experiment.catalogue)


def test_no_encoder_is_fed_what_it_scores(there: Any, text_encoder: Path) -> None:
    experiment, summary, fed = there
    job = plan_text_job(experiment, str(text_encoder), OPTIONS)
    numbers = text_numbers(job.tokens)
    assert len(fed) == summary.folds == 3
    spec = resolve_text_encoder(str(experiment.folder))
    assert isinstance(spec, TunedSpec)
    for fold, items in fed:
        own = {number for number, k in spec.learnt.items() if k == fold}
        assert own
        assert own.isdisjoint(numbers[list(items)].tolist())
        # It learnt from all others.
        assert own | set(numbers[list(items)].tolist()) == set(numbers.tolist())


def scores_of(file: Path, text_encoder: Path, texts: list[str]) -> Any:
    """Scores of one encoder alone, computed by the base network with the arrays of its file."""
    arrays, copy = load_file(file), Path(f"alone-{file.stem}")
    shutil.copytree(text_encoder, copy)
    weights = load_file(copy / "model.safetensors")
    place = "encoder.layer.1."
    dense = {"output": "attention.output.dense", "up": "intermediate.dense"}
    dense["down"] = "output.dense"
    for ours, theirs in dense.items():
        weights[f"{place}{theirs}.weight"] = arrays[f"layer_1_{ours}.kernel"].T.copy()
        weights[f"{place}{theirs}.bias"] = arrays[f"layer_1_{ours}.bias"]
    for i, theirs in enumerate(("query", "key", "value")):
        part = slice(16 * i, 16 * i + 16)
        kernel = arrays["layer_1_attention.kernel"][:, part].T.copy()
        weights[f"{place}attention.self.{theirs}.weight"] = kernel
        weights[f"{place}attention.self.{theirs}.bias"] = arrays["layer_1_attention.bias"][part]
    for ours, theirs in (("attention_norm", "attention.output"), ("norm", "output")):
        weights[f"{place}{theirs}.LayerNorm.weight"] = arrays[f"layer_1_{ours}.kernel"]
        weights[f"{place}{theirs}.LayerNorm.bias"] = arrays[f"layer_1_{ours}.bias"]
    save_file(weights, copy / "model.safetensors")
    modules = json.loads((copy / "modules.json").read_text())[:2]  # not scaled to unit length
    (copy / "modules.json").write_text(json.dumps(modules))
    pooled = TextEncoder(resolve_text_encoder(str(copy)), EXACTLY)(texts).astype(np.float64)
    shutil.rmtree(copy)
    return pooled @ arrays["head.kernel"] + arrays["head.bias"]


def some_texts(experiment: Experiment) -> list[str]:
    """Three that were learnt from, and a new one."""
    films, rows = experiment.catalogue, experiment.rows("train")[:3]
    return [*item_texts(films.frame.iloc[rows], ["overview"]), "an alien film about a ghost"]


def test_scores_are_those_of_the_fold_or_the_means(there: Any, text_encoder: Path) -> None:
    experiment, _, _ = there
    texts, spec = some_texts(experiment), resolve_text_encoder(str(experiment.folder))
    numbers = text_numbers(Tokenizer(spec)(texts)).tolist()
    files = [experiment.folder / f"fold-{fold}.safetensors" for fold in range(3)]
    alone = [scores_of(file, text_encoder, texts) for file in files]
    expected = np.stack([alone[spec.learnt[number]][i] for i, number in enumerate(numbers[:3])])
    expected = np.concatenate([expected, np.mean(alone, axis=0)[3:]])
    for engine in ("keras", "openvino"):
        found = TextEncoder(spec, choose_engine(engine, "float32"))(texts)
        np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.usefixtures("eager_network")
def test_one_encoder_for_new_texts_low_rank_and_stopped(
    tmp_path: Path, text_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped by validation items that are not learnt from; that of all items learns from all."""
    monkeypatch.chdir(tmp_path)
    experiment, fed = make_experiment(tmp_path), []
    begin = TrainingBatches.__init__
    with monkeypatch.context() as patch:
        patch.setattr(TrainingBatches, "__init__", recording(begin, fed))
        changes: dict[str, Any] = {
            "folds": 2,
            "epochs": 4,
            "batch_size": 64,  # of all items, as each size of a batch is compiled
            "lora_rank": 2,
            "patience": 1,
            "refit": True,
        }
        summary = tune(experiment, text_encoder, **changes)
    job = plan_text_job(experiment, str(text_encoder), TuneOptions(**{**vars(OPTIONS), **changes}))
    for fold, learnt in enumerate(fed[:2]):
        assert learnt == set(np.flatnonzero((job.fold != fold) & ~job.validation).tolist())
    assert fed[2] == set(range(len(job.rows)))
    assert (summary.refit, summary.carved, len(summary.kept_epochs)) == (True, False, 3)
    assert summary.watched == job.validation.sum() // 2
    assert summary.kept_epochs[2] == round(np.median(summary.kept_epochs[:2]))
    assert max(summary.kept_epochs) <= 4
    said = json.loads((experiment.folder / "tuned.json").read_text())
    assert said["options"]["kept_epochs"] == list(summary.kept_epochs)
    texts, spec = some_texts(experiment), resolve_text_encoder(str(experiment.folder))
    number = text_numbers(Tokenizer(spec)(texts)).tolist()[0]
    found = TextEncoder(spec, EXACTLY)(texts)
    for text, name in ((0, spec.learnt[number]), (3, "all")):
        file = experiment.folder / f"fold-{name}.safetensors"
        alone = scores_of(file, text_encoder, texts)
        np.testing.assert_allclose(found[text], alone[text], atol=2e-4)


def recording(begin: Callable[..., None], fed: list[set[int]]) -> Callable[..., None]:
    def begin_and_record(self: Any, states: Any, labels: Any, texts: Any, *args: Any) -> None:
        fed.append(set(texts.tolist()))
        begin(self, states, labels, texts, *args)

    return begin_and_record


def test_permuted_labels_give_chance_out_of_fold_and_not_in_sample(
    tmp_path: Path, text_encoder: Path
) -> None:
    experiment = make_experiment(tmp_path, shuffled=True)
    summary = tune(experiment, text_encoder, folds=2, epochs=25, learning_rate=2e-2, dropout=0.0)
    scores, labels = stored(experiment, summary.fingerprint, "train", "validation")
    assert 0.25 < roc_auc_score(labels, scores) < 0.72
    # The same encoders on texts that each has seen: a text that no fold knows gets the mean of all.
    spec = resolve_text_encoder(str(experiment.folder))
    everywhere = TunedSpec(**{**vars(spec), "learnt": {}})
    films, rows = experiment.catalogue, experiment.rows("train", "validation")
    seen = TextEncoder(everywhere, EXACTLY)(item_texts(films.frame.iloc[rows], ["overview"]))
    assert roc_auc_score(labels, seen) > 0.8


def test_equal_texts_and_groups_are_in_one_fold(there: Any, text_encoder: Path) -> None:
    experiment, _, _ = there
    job = plan_text_job(experiment, str(text_encoder), OPTIONS)
    assert job.texts[0:9:2] == job.texts[:1] * 5
    assert len(set(job.fold[0:9:2].tolist())) == 1
    groups = np.array([str(i // 6) for i in range(len(experiment.catalogue))])
    split = Split(experiment.split.ids, experiment.split.parts, groups, "")
    grouped = Experiment(experiment.catalogue, split, experiment.folder)
    job = plan_text_job(grouped, str(text_encoder), OPTIONS)
    of_group = grouped.groups("train", "validation")
    for group in set(of_group.tolist()):
        assert len(set(job.fold[of_group == group].tolist())) == 1


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {p.name: p.read_bytes() for p in files if p.name != "provenance.json"}


def test_a_killed_tuning_continues_to_the_same_bytes(
    there: Any, tmp_path: Path, text_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, summary, _ = there
    again = make_experiment(tmp_path, same=5)
    begin, trained = TrainingBatches.__init__, []

    def stop(self: Any, *args: Any) -> None:
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(1)
        begin(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingBatches, "__init__", stop)
        with pytest.raises(KeyboardInterrupt):
            tune(again, text_encoder)
    assert not again.folder.exists()
    with pytest.raises(RunError, match="epochs: expected 8, found 2"):
        tune(again, text_encoder, epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingBatches, "__init__", count(begin, trained))
        patch.setattr(TextJob, "embed", refuse)  # when the encoder has its name
        with pytest.raises(CacheError, match="no room"):
            tune(again, text_encoder)
        assert len(trained) == 3
        assert is_tuned(again.folder)
        with pytest.raises(
            RunError, match="found a tuned encoder"
        ):  # other options are another tuning
            tune(again, text_encoder, epochs=2)
    plan = plan_tuning(again, str(text_encoder), OPTIONS)
    assert (plan.done, plan.seconds) == (3, 0)  # the scores are left
    with monkeypatch.context() as patch:
        patch.setattr(TrainingBatches, "__init__", stop)
        found = tune(again, text_encoder)
    assert (len(trained), found.resumed) == (3, 3)
    assert (found.kept_epochs, found.oof_map) == (summary.kept_epochs, summary.oof_map)
    assert found.seconds > 0
    with pytest.raises(RunError, match="found a tuned encoder"):  # it is whole
        tune(again, text_encoder)
    assert contents(again.folder) == contents(experiment.folder)
    assert found.fingerprint == summary.fingerprint
    assert sorted(path.name for path in again.folder.parent.iterdir()) == ["tuned"]


def refuse(job: TextJob) -> None:
    raise CacheError("no room")


def count(begin: Callable[..., None], trained: list[int]) -> Callable[..., None]:
    def counting(self: Any, *args: Any) -> None:
        trained.append(1)
        begin(self, *args)

    return counting


def test_a_moved_folder_still_works_and_a_damaged_file_is_named(there: Any, tmp_path: Path) -> None:
    experiment, _, _ = there
    text = ["a film about space"]
    before = TextEncoder(resolve_text_encoder("tuned"), EXACTLY)(text)  # in encoders/
    moved = tmp_path / "elsewhere" / "tuned"
    shutil.copytree(experiment.folder, moved)
    assert np.array_equal(TextEncoder(resolve_text_encoder(str(moved)), EXACTLY)(text), before)
    for name in ("fold-1.safetensors", "base/model.safetensors", "tuned.json"):
        whole = (moved / name).read_bytes()
        (moved / name).write_bytes(whole[:-9] + b"123456789")
        with pytest.raises(WeightsError, match=name):
            resolve_text_encoder(str(moved))
        (moved / name).write_bytes(whole)
    (moved / "fold-2.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"fold-2.safetensors.*No such file"):
        resolve_text_encoder(str(moved))


def test_the_audit_knows_what_was_learnt_from(there: Any) -> None:
    experiment, summary, _ = there
    # The tenth item was a test item then, too.
    wanted = set(experiment.catalogue.ids[:9].tolist())
    assert leaking_items(experiment, summary.fingerprint) == wanted


def test_a_run_on_the_scores_counts_the_tuning_and_tells_its_leaks(there: Any) -> None:
    experiment, summary, _ = there
    films, select = experiment.catalogue, [TextSelector("tuned")]

    def fit(split: Split, name: str) -> Any:
        model = make_hybrid(films, blocks=["text-embedding"], select_text=select, grid={"C": [1.0]})
        return fit_head(Experiment(films, split, Path("runs") / name), model).record

    record = fit(experiment.split, "svm")
    (ancestor,) = record.cost.ancestors
    # Another test may have tuned the same encoder again since, in other seconds.
    store = EmbeddingCache(experiment.context.cache).find(summary.fingerprint)
    (tuned,) = store_provenance(store).ancestors
    assert (ancestor.name, ancestor.seconds) == ("tuned", tuned.seconds)
    assert record.cost.total_seconds > tuned.seconds > 0
    check_audits_of_runs(record, fit, films.ids)


def test_a_network_reads_the_scores_of_a_tuned_encoder(there: Any) -> None:
    experiment = there[0]
    films, split = experiment.catalogue, experiment.split
    options = DeepOptions(
        blocks=("text-embedding",),
        text_encoder=("tuned",),
        head_units="",
        dropout=0,
        learning_rate=0.1,
    )
    run = fit_deep(Experiment(films, split, Path("runs/net")), "fused", options)
    assert [each.name for each in run.record.ancestors] == ["tuned"]
    assert run.record.text_encoders["text-embedding"].name == "tuned"
    assert run.record.metrics["map_macro"].value > 0.9
    (layer,) = (each for each in load_baseline(run.folder).network_.head.layers if each.weights)
    kernel, bias = layer.get_weights()
    fingerprint = run.record.text_encoders["text-embedding"].fingerprint
    (learnt, _), (tested, _) = (stored(experiment, fingerprint, part) for part in ("train", "test"))
    rows = (tested - np.nanmean(learnt, axis=0)) / np.nanstd(learnt, axis=0)
    by_hand = np.nan_to_num(rows) @ kernel[:-1] + np.isnan(rows[:, :1]) * kernel[-1] + bias
    order = np.argsort(by_hand, axis=0)
    # New texts are encoded by the folder of the encoder, as those of the run were.
    out = Path("answers.csv")
    predict_catalogue(run.folder, films.path, out, context=Context(cache="fresh"))
    answers = read_predictions(out)
    names = films.ids[experiment.rows("test")].tolist()
    found = answers.probabilities[[answers.ids.tolist().index(name) for name in names]]
    assert (np.diff(np.take_along_axis(found, order, axis=0), axis=0) >= -1e-6).all()


def test_a_stack_takes_the_scores_of_its_genres_as_they_are(there: Any) -> None:
    experiment = there[0]
    films, select = experiment.catalogue, [TextSelector("tuned")]
    made = make_hybrid(films, head="stacking", blocks=["text-embedding"], select_text=select)
    assert made.estimator.scores == ("text-embedding",)
    ((_, block),) = made.fusion.blocks
    assert block.unit_length is False
    learn = experiment.split.parts != "test"
    made.set_params(folds=2).fit(films.frame[learn], films.labels[learn])
    assert made.head_.heads_ == {}
    rows = block.fit(films.frame[learn]).read(films.frame)
    # One column a genre: the order of items by a genre is that by its scores.
    for genre, weight in enumerate(made.head_.combiner_.coef_[:, 0]):
        found = made.decision_function(films.frame)[:, genre]
        assert (np.argsort(found) == np.argsort(np.sign(weight) * rows[:, genre])).all()


def test_scores_of_an_unknown_origin_are_told_as_such(there: Any) -> None:
    """Other text encoders are given, and have learnt from nothing; a tuned one never counts as such."""
    experiment, summary, _ = there
    store = EmbeddingCache(experiment.context.cache).find(summary.fingerprint)
    whole = (store.folder / "provenance.json").read_bytes()
    (store.folder / "provenance.json").unlink()
    assert store_provenance(store).unknown
    (store.folder / "provenance.json").write_bytes(whole)


def test_of_two_tuned_ones_of_a_name_that_in_the_folder_is_meant(there: Any) -> None:
    experiment, summary, _ = there
    cache = EmbeddingCache(experiment.context.cache)
    store = cache.find(summary.fingerprint)
    earlier = cache.make({**store.stands_for, "weights": "earlier"}, store.recorded)
    assert {each.fingerprint for each in text_stores(experiment.context)} >= {earlier.fingerprint}
    for name in ("tuned", "encoders/tuned", str(experiment.folder)):
        (found,) = text_stores(experiment.context, TextSelector(name))
        assert found.fingerprint == summary.fingerprint
    shutil.rmtree(earlier.folder)


def test_other_lengths_and_prefixes_are_refused(there: Any) -> None:
    with pytest.raises(SettingError, match=r"--max-length: expected 16, .*\n--prefix: expected ''"):
        configured_encoder("encoders/tuned", TextEmbeddingOptions(max_length=8, prefix="q: "))
    with pytest.raises(
        SettingError, match="--last-layers: expected 1, as tuned is a tuned encoder: its"
    ):
        configured_encoder("encoders/tuned", TextEmbeddingOptions(last_layers=2))


def test_an_encoder_is_not_replaced_unasked(there: Any, text_encoder: Path) -> None:
    experiment, _, _ = there
    with pytest.raises(RunError, match="found a tuned encoder"):
        tune(experiment, text_encoder)


def test_a_plan_writes_nothing(tmp_path: Path, text_encoder: Path) -> None:
    experiment = make_experiment(tmp_path)
    plan = plan_tuning(experiment, str(text_encoder), OPTIONS)
    assert plan.seconds > 0
    # One layer of width 16 and 24, two normalisations, and a head of two labels.
    layer = 3 * 16 * 17 + 16 * 17 + 2 * 2 * 16 + 16 * 24 + 24 + 24 * 16 + 16
    assert plan.parameters == layer + 17 * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["films.csv"]


@pytest.mark.usefixtures("eager_network")
def test_one_label_an_item_and_unknown_labels(tmp_path: Path, text_encoder: Path) -> None:
    experiment = make_experiment(tmp_path, n=40)
    films = experiment.catalogue
    rows = (tmp_path / "films.csv").read_text().splitlines()
    (tmp_path / "films.csv").write_text(
        "\n".join([f"{rows[0]},unknown", *(f"{r}," for r in rows[1:])])
    )
    text = (tmp_path / "films.csv").read_text().replace("about 001,", "about 001,Horror")
    (tmp_path / "films.csv").write_text(text)
    multiclass = Experiment(films, experiment.split, tmp_path / "encoders" / "one")
    task = Task("dominant", (), None, 0, "multiclass")
    quick: dict[str, Any] = {"epochs": 1, "folds": 2, "batch_size": 64, "layers": 0}
    summary = tune(multiclass.narrowed(task), text_encoder, **quick)
    assert summary.labels == ("Comedy", "Horror")
    masked = load_catalogue(tmp_path / "films.csv", ColumnOptions(unknown="unknown"))
    some = Experiment(masked, experiment.split, tmp_path / "encoders" / "some")
    assert np.isfinite(tune(some, text_encoder, **quick).oof_map)


def test_all_wrong_options_are_told_at_once(tmp_path: Path, text_encoder: Path) -> None:
    experiment = make_experiment(tmp_path)
    with pytest.raises(SettingError, match=r"(?s)--folds.*--epochs.*--precision.*--lora-alpha"):
        tune(experiment, text_encoder, folds=1, epochs=0, precision="float8", lora_alpha=1)


@pytest.mark.usefixtures("eager_network")
def test_the_command_says_what_it_did(tmp_path: Path, text_encoder: Path) -> None:
    """A head alone: nothing of the encoder itself is trained."""
    films = write_catalogue(tmp_path / "catalogue.csv", n=40)
    write_split(make_experiment(tmp_path / "split", n=40).split, tmp_path / "splits.csv")
    asked = ["tune", "--catalogue", str(films), "--splits", str(tmp_path / "splits.csv"), "--json"]
    asked += ["--text-encoder", str(text_encoder), "--name", "mine", "--layers", "0"]
    asked += ["--epochs", "1", "--folds", "2"]
    planned = CliRunner().invoke(hybrid, [*asked, "--dry-run"])
    assert planned.exit_code == 0, planned.output
    assert json.loads(planned.stdout)["parameters"] == 17 * 2
    done = CliRunner().invoke(hybrid, asked)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["name"], found["items"], found["embedded"]) == ("mine", 36, 40)
    assert is_tuned(tmp_path / "encoders" / "mine")
