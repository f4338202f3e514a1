"""The cost of a run, against sums by hand: its own items, all backbones, their training; or unknown."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.audit.item_hashes import hash_items
from hybrid.backbones import Weights, get_backbone, resolve_weights
from hybrid.backbones.devices import processor_name
from hybrid.backbones.provenance import Ancestor, ItemHashes, Provenance
from hybrid.cache import EmbeddingStore, RowCosts, compact
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.datasets.sample import write_sample
from hybrid.extraction.lookup import hash_catalogue, make_store
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.report.alignment import align_runs
from hybrid.report.comparison import compare
from hybrid.runs.cost import Spending, TrainingCost, describe_cost, extraction_costs, training_cost
from hybrid.runs.cost_records import CostRecord
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.folder import Run
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import AncestorRecord, BackboneRecord, StoreRecord
from hybrid.splitting.methods import split_catalogue
from hybrid.types import EmbeddingSelector
from hybrid.utils.context import Context
from hybrid.utils.resources import CostRecorder

CACHE, GPU = ".hybrid-cache", "NVIDIA L4"
OTHERS = 500  # images of another catalogue in the same store


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    monkeypatch.chdir(tmp_path)
    write_sample(tmp_path, n_items=60)
    return load_catalogue("catalogue.csv")


def fill(store: EmbeddingStore, films: Catalogue, each: float | None, device: str) -> None:
    """Embeddings of the films, at so many seconds each; and much dearer ones of other images."""
    keys = list(dict.fromkeys(k for k in hash_catalogue(films) if isinstance(k, bytes)))
    rows = np.random.default_rng(0).normal(size=(len(keys), store.dimension))
    costs = None if each is None else RowCosts.even(each * len(keys), len(keys), device)
    store.append(keys, rows, costs)
    others = [bytes([i % 256, i // 256]) * 16 for i in range(OTHERS)]
    store.append(others, np.ones((OTHERS, store.dimension)), RowCosts.even(9e4, OTHERS, device))


def imagenet_like(films: Catalogue, each: float | None = 0.25) -> EmbeddingStore:
    spec = get_backbone("mobilenet-075")
    store = make_store(CACHE, spec, resolve_weights(spec, "random"))
    fill(store, films, each, GPU)
    return store


def trained(films: Catalogue, seconds: float | None = 220.0) -> EmbeddingStore:
    """Embeddings of a net that a run trained, itself from weights of an earlier run."""
    runs = (
        Ancestor("9f2c", "scratch", "c", "s", ItemHashes(), seconds, "a processor"),
        Ancestor("77aa", "earlier", "c", "s", ItemHashes(), 30.0, "a processor"),
    )
    weights = Weights("file", "ab" * 32, Path("net.h5").absolute(), provenance=Provenance(runs))
    store = make_store(CACHE, get_backbone("scratch"), weights)
    fill(store, films, 0.5, "a processor")
    return store


def fit(films: Catalogue, name: str, *stores: EmbeddingStore) -> Run:
    context = Context(cache=CACHE)
    experiment = Experiment(films, split_catalogue(films), Path("runs") / name, context=context)
    blocks = ["poster", "text"] if stores else ["text"]
    select = [EmbeddingSelector(fingerprint=store.fingerprint) for store in stores]
    grid: dict[str, list[Any]] = {"C": [0.3]}  # what it costs to choose is measured, not compared
    model = make_hybrid(films, blocks=blocks, select=select, grid=grid, folds=2, context=context)
    return fit_head(experiment, model)


def own(run: Run) -> float:
    """Seconds of fit and prediction, from the stages."""
    stages = {stage.name: stage.seconds or 0.0 for stage in run.record.stages}
    return stages["fit"] + stages["predict"]


def images_of(run: Run, films: Catalogue) -> int:
    """Different images of the items of the split."""
    parts = {str(name) for name in run.predictions.ids.tolist()}
    keys = hash_catalogue(films)
    return len({k for k, name in zip(keys, films.ids.tolist(), strict=True)
                if isinstance(k, bytes) and name in parts})  # fmt: skip


def test_three_runs_cost_what_the_sums_by_hand_say(films: Catalogue) -> None:
    one, other = imagenet_like(films), trained(films)
    compact(one)
    text, single, double = (
        fit(films, name, *stores)
        for name, stores in (("text", ()), ("one", (one,)), ("two", (one, other)))
    )
    n = images_of(single, films)
    assert 40 < n <= 60
    assert text.record.cost.total_seconds == own(text)
    assert single.record.cost.total_seconds == pytest.approx(own(single) + n * 0.25)
    by_hand = own(double) + n * 0.25 + n * 0.5 + 220.0 + 30.0
    assert double.record.cost.total_seconds == pytest.approx(by_hand)
    cost = double.record.cost
    assert [each.backbone for each in cost.extraction.values()] == ["mobilenet-075", "scratch"]
    assert [(each.name, each.seconds) for each in cost.ancestors] == [
        ("scratch", 220.0),
        ("earlier", 30.0),
    ]
    assert set(cost.devices) == {"a processor", GPU, processor_name()}
    assert cost.unknown == ()
    assert text.record.cost.devices == (processor_name(),)
    compared = compare(align_runs(films, [text, single, double]), draws=20)
    costs = [run.total_seconds for run in compared.runs]
    assert sorted(costs) == [run.record.cost.total_seconds for run in (text, single, double)]
    assert compared.runs[compared.front[0]].name == "text"


def test_embeddings_that_an_ancestor_learnt_from_count_once(films: Catalogue) -> None:
    one = imagenet_like(films)
    split, hashes = split_catalogue(films), hash_items(films, hash_catalogue(films))
    part = dict(zip(split.ids.tolist(), split.parts.tolist(), strict=True))
    learnt = np.array([part[name] in ("train", "validation") for name in films.ids.tolist()])
    scratch = Ancestor(
        "9f2c", "tuned", "c", "s", hashes.take(learnt), 220.0, GPU, stores=(one.fingerprint,)
    )
    weights = Weights(
        "file", "ab" * 32, Path("net.h5").absolute(), provenance=Provenance((scratch,))
    )
    other = make_store(CACHE, get_backbone("scratch"), weights)
    fill(other, films, 0.5, GPU)
    run = fit(films, "two", one, other)
    cost, n = run.record.cost, images_of(run, films)
    keys = np.array([key if isinstance(key, bytes) else b"" for key in hash_catalogue(films)])
    before = len(set(keys[learnt].tolist()) - {b""})
    alone, again = cost.extraction.values()
    assert (alone.posters, alone.shared, again.shared) == (n, before, 0)
    assert 0 < before < n
    by_hand = own(run) + (n - before) * 0.25 + n * 0.5 + 220.0
    assert cost.total_seconds == pytest.approx(by_hand)
    # A run that is trained on these hands on what it learnt from: no test items, nothing twice.
    handed_on = run.provenance.run
    assert handed_on.stores == (one.fingerprint, other.fingerprint)
    assert handed_on.seconds == pytest.approx((cost.fit_seconds or 0.0) + before * 0.5)
    kept = Provenance.from_bytes(run.provenance.model.to_bytes())
    assert [each.stores for each in kept.ancestors] == [handed_on.stores, (one.fingerprint,)]


def test_two_blocks_of_one_store_pay_once(films: Catalogue) -> None:
    store = imagenet_like(films)
    keys = [key for key in hash_catalogue(films) if isinstance(key, bytes)]
    first, second = extraction_costs({"a": store, "b": store}, {"a": keys, "b": keys}).values()
    assert first.seconds == pytest.approx(0.25 * first.posters)
    assert (second.seconds, second.posters, second.shared) == (0.0, first.posters, first.posters)


def test_items_of_the_split_alone_count(films: Catalogue) -> None:
    store = imagenet_like(films)
    few = films.only(films.ids[:40].tolist())
    run = fit(few, "few", store)
    found = run.record.cost.extraction["poster"]
    assert found.posters == images_of(run, few) < 41
    assert found.seconds == pytest.approx(0.25 * found.posters)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (
            lambda films: imagenet_like(films, None),
            r"what \d\d of \d\d embeddings of mobilenet-075 cost",
        ),
        (lambda films: trained(films, None), "what the training of scratch cost"),
    ],
)
def test_what_nobody_measured_makes_the_total_unknown(
    make: Callable[[Catalogue], EmbeddingStore], why: str, films: Catalogue
) -> None:
    text, run = fit(films, "text"), fit(films, "unknown", make(films))
    assert run.record.cost.total_seconds is None
    (said,) = run.record.cost.unknown
    assert re.fullmatch(f"{why} is not recorded", said)
    compared = compare(align_runs(films, [text, run]), draws=20)
    (unknown,) = (each for each in compared.runs if each.name == "unknown")
    assert unknown.cost_unknown_because == said
    assert [compared.runs[i].name for i in compared.front] == ["text"]


def test_the_training_of_weights_made_elsewhere_is_not_counted_and_that_is_said(
    films: Catalogue,
) -> None:
    unknown = Provenance(unknown=("net.h5 (SHA-256 abab…)",))
    weights = Weights("file", "ab" * 32, Path("net.h5").absolute(), provenance=unknown)
    store = make_store(CACHE, get_backbone("scratch"), weights)
    fill(store, films, 0.5, "a processor")
    run = fit(films, "foreign", store)
    cost = run.record.cost
    (named,) = cost.not_counted
    assert named.startswith("net.h5 (SHA-256 abab")
    assert (cost.ancestors, cost.unknown) == ((), ())
    parts = 0.5 * images_of(run, films) + cost.fit_seconds + cost.predict_seconds
    assert cost.total_seconds == pytest.approx(parts)
    notes = compare(align_runs(films, [run]), draws=20).notes
    assert f"The cost of foreign does not count the training of {named}, made elsewhere." in notes


def recorder(**seconds: float) -> CostRecorder:
    costs = CostRecorder()
    for name in seconds:
        with costs.stage(name):
            pass
    costs.stages = [replace(each, seconds=seconds[each.name]) for each in costs.stages]
    return costs


def test_a_cost_is_described(tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"x" * 100)
    (tmp_path / "other").write_bytes(b"x" * 5)
    store = StoreRecord(path="cache", embeddings=200, bytes=7)
    record = RunRecord(backbone=BackboneRecord(name="mobilenet-075", cache=store))
    costs = recorder(fit=3.0, predict=0.5, ablation=99.0)
    found = describe_cost(costs, Spending(40, "a processor"), record, tmp_path)
    assert found.total_seconds == 3.5
    assert found.items_per_second == 80.0
    assert (found.disk_bytes.model, found.disk_bytes.embeddings) == (100, 7)
    assert (found.parameters.backbone or 0) > 1_000_000
    bare = describe_cost(costs, Spending(40, "a processor"), RunRecord(), tmp_path)
    assert bare.parameters.backbone is None
    assert bare.parameters.head is None


def test_a_resumed_training_costs_its_earlier_epochs_too(tmp_path: Path) -> None:
    costs, spending = recorder(fit=3.0, predict=0.5), Spending(1, "a GPU", earlier_seconds=40.0)
    assert describe_cost(costs, spending, RunRecord(), tmp_path).total_seconds == 43.5
    assert training_cost(costs, spending, {}) == TrainingCost(43.0)


def test_an_ancestor_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    one = AncestorRecord("9f2c", "scratch", "c", "s", 5, 220.0, "a GPU")
    record = RunRecord(ancestors=(one, replace(one, name="renamed")))
    costs = recorder(fit=3.0, predict=0.5)
    found = describe_cost(costs, Spending(1, "a processor"), record, tmp_path)
    assert found.total_seconds == 223.5


def test_a_cost_is_written_and_read(films: Catalogue) -> None:
    run = fit(films, "kept", imagenet_like(films))
    again: Any = RunRecord.read(run.folder).cost
    assert isinstance(again, CostRecord)
    assert again == run.record.cost
