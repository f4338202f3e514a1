"""The four sentences of the first screen, in each of their variants."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from hybrid.audit.leaks import BACKBONE_TRAINED_ON_TEST, RUN_TRAINED_ON_TEST
from hybrid.report.comparison import MAIN, Comparison
from hybrid.report.model_card import render_model_card
from hybrid.report.page import render
from hybrid.report.sentences import (
    certainty_sentence,
    cleanliness_sentence,
    cost_sentence,
    summarise,
    winner_sentence,
)
from hybrid.report.wording import chance, duration, fraction, listed, percent
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import LeakRecord
from hybrid.splitting.tasks import Task
from hybrid.types import Interval
from hybrid.utils.counts import counted

Make = Callable[..., Comparison]
CLEAN = {"clean": True, "checks": ["same id", "same image bytes"], "leaks": []}
OUTSIDE = {"path": "theirs.csv", "sha256": "c0ffee", "notes": []}


@dataclass
class Given:
    """A run of a comparison: its figure, and the interval of its difference to the best."""

    name: str
    value: float
    low: float = -0.09
    high: float = -0.01
    seconds: float | None = None
    peak_mib: float | None = None
    external: bool = False
    audit: dict[str, Any] | None = None
    cost: dict[str, Any] | None = None

    def record(self) -> dict[str, Any]:
        stage = {"name": "fit", "seconds": self.seconds, "peak_mib": self.peak_mib}
        found: dict[str, Any] = {"stages": [stage], "audit": self.audit or CLEAN}
        found["cost"] = {"total_seconds": self.seconds, **(self.cost or {})}
        return {"external": OUTSIDE, "audit": None} if self.external else found


def comparison(
    compared: Make, given: Sequence[Given], leaks: Sequence[LeakRecord] = (), **changes: Any
) -> Comparison:
    truth = np.array([[1, 0], [0, 1]] * 4, dtype=np.uint8)
    records = {run.name: run.record() for run in given}
    made = compared(("a", "b"), truth, {run.name: truth * 0.9 for run in given}, records)
    runs = []
    for i, run in enumerate(given):
        old = next(each for each in made.runs if each.name == run.name)
        value = Interval(run.value, run.value - 0.02, run.value + 0.02)
        evaluation = replace(old.evaluation, metrics={**old.evaluation.metrics, MAIN: value})
        difference = Interval(run.value - given[0].value, run.low, run.high) if i else None
        chance = 0.98 if i == 0 else 0.02 / len(given)
        runs.append(
            replace(old, evaluation=evaluation, difference=difference, best_probability=chance)
        )
    changes = {"winner_corrected": Interval(0.635, 0.6, 0.65), **changes}
    return replace(made, runs=tuple(runs), leaks=tuple(leaks), **changes)


BEST, SECOND, THIRD = Given("svm", 0.64), Given("knn", 0.6), Given("dummy", 0.2, -0.5, -0.4)
NEAR = Given("stack", 0.63, -0.03, 0.01)
FIGURE = "weighted F1 0.640 (0.620 to 0.660)"
CHANCE = "; its chance of being the best is 98\u00a0%; chosen from"
NOT_CERTAIN = "Its lead is not certain: it is not significantly different from"
EXPECT = ", it can be expected to reach 0.635 (0.600 to 0.650) on new items"
SURE, UNSURE = "(0.010 to 0.090)", "(-0.010 to 0.030)"
LEAK = LeakRecord("same id", 3, 0.075)


@pytest.mark.parametrize(
    ("given", "leaks", "said"),
    [
        ([BEST], (), f"svm has {FIGURE}."),
        ([BEST, SECOND], (), f"svm is the better of 2 models: {FIGURE}, 0.040 above knn {SURE}."),
        (
            [BEST, SECOND, THIRD],
            (),
            f"svm is the best of 3 models: {FIGURE}, 0.040 above knn {SURE}.",
        ),
        ([BEST, NEAR], (), f"svm scores higher than stack: {FIGURE}, 0.010 higher {UNSURE}."),
        (
            [BEST, NEAR, THIRD],
            (),
            f"svm scores highest of 3 models: {FIGURE}, 0.010 above stack {UNSURE}.",
        ),
        ([BEST, SECOND], [LEAK], f"svm scores higher than knn: {FIGURE}, 0.040 higher {SURE}."),
        (
            [BEST, Given("svc", 0.64, 0.0, 0.0)],
            (),
            f"svm and svc both have {FIGURE}.",
        ),
        (
            [BEST, Given("b", 0.64, 0.0, 0.0), Given("c", 0.64, 0.0, 0.0)],
            (),
            f"svm, b and c all have {FIGURE}.",
        ),
        (
            [BEST, Given("svc", 0.64, 0.0, 0.0), THIRD],
            (),
            f"svm and svc share the first place of 3 models: {FIGURE}.",
        ),
    ],
)
def test_the_winner(given: list[Given], leaks: list[LeakRecord], said: str, compared: Make) -> None:
    assert winner_sentence(comparison(compared, given, leaks)) == said


@pytest.mark.parametrize(
    ("given", "leaks", "said"),
    [
        (
            [BEST],
            (),
            "With other test items of this kind, the figure may vary within its interval; there is no other "
            "model here to compare it with.",
        ),
        (
            [BEST, SECOND],
            (),
            f"Its lead is certain: it is significantly better than knn{CHANCE} 2{EXPECT}.",
        ),
        (
            [BEST, SECOND, THIRD],
            (),
            f"Its lead is certain: it is significantly better than each of the other 2{CHANCE} 3{EXPECT}.",
        ),
        (
            [BEST, NEAR],
            (),
            f"{NOT_CERTAIN} stack{CHANCE} 2{EXPECT}.",
        ),
        (
            [BEST, NEAR, replace(NEAR, name="other"), THIRD],
            (),
            f"{NOT_CERTAIN} stack and other{CHANCE} 4{EXPECT}.",
        ),
        (
            [BEST, NEAR, replace(NEAR, name="other")],
            (),
            f"{NOT_CERTAIN} any of the other 2{CHANCE} 3{EXPECT}.",
        ),
        (
            [BEST, *(replace(NEAR, name=f"m{k}") for k in range(5)), THIRD],
            (),
            f"{NOT_CERTAIN} m0, m1, m2 and 2 others{CHANCE} 7{EXPECT}.",
        ),
        (
            [BEST, SECOND],
            [LEAK],
            "Nothing is certain here: the models may have seen test items, so their figures are too high.",
        ),
        (
            [BEST],
            [LEAK],
            "Nothing is certain here: the model may have seen test items, so its figure is too high.",
        ),
        (
            [BEST, Given("svc", 0.64, 0.0, 0.0), THIRD],
            (),
            "Neither leads: svm and svc have the same figure.",
        ),
    ],
)
def test_the_certainty(
    given: list[Given], leaks: list[LeakRecord], said: str, compared: Make
) -> None:
    assert certainty_sentence(comparison(compared, given, leaks)) == said


def timed(run: Given, seconds: float | None, peak_mib: float | None = None) -> Given:
    return replace(run, seconds=seconds, peak_mib=peak_mib)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([BEST], "Its cost is unknown: its record does not hold it."),
        ([replace(BEST, external=True)], "Its cost is unknown: it was made elsewhere."),
        ([timed(BEST, 90, 2048)], "It cost 1 min 30 s."),
        (
            [timed(BEST, 90), timed(SECOND, 9)],
            "It cost 1 min 30 s; knn reaches 0.600 at about a tenth of that.",
        ),
        (
            [timed(BEST, 90), timed(NEAR, 45)],
            "It cost 1 min 30 s; stack, which is not significantly different, cost about half of that.",
        ),
        # of the models that are not significantly different, the cheapest
        (
            [
                timed(BEST, 90),
                timed(NEAR, 45),
                timed(replace(NEAR, name="fast"), 9),
                timed(THIRD, 1),
            ],
            "It cost 1 min 30 s; fast, which is not significantly different, cost about a tenth of that.",
        ),
        ([timed(BEST, 4), timed(SECOND, 9)], "It cost 4.0 s; no other model is cheaper."),
        ([timed(BEST, 4), SECOND], "It cost 4.0 s; the cost of no other model is known."),
        (
            [timed(BEST, 4), timed(SECOND, 9), THIRD],
            "It cost 4.0 s; no other model of known cost is cheaper.",
        ),
        (
            [timed(BEST, 4), timed(Given("svc", 0.64, 0.0, 0.0), 9)],
            "svm cost 4.0 s; no other model is cheaper.",
        ),
        (
            [BEST, timed(Given("svc", 0.64, 0.0, 0.0), 9)],
            "The cost of svm is unknown: its record does not hold it.",
        ),
    ],
)
def test_the_cost(given: list[Given], said: str, compared: Make) -> None:
    assert cost_sentence(comparison(compared, given)) == said


@pytest.mark.parametrize(
    ("leaks", "changes", "said"),
    [
        ((), {}, "The split is clean: none of 2 checks found a leak."),
        ((), {"checks": ("same id",)}, "The split is clean: the one check found no leak."),
        ((), {"checks": ()}, "The split is clean."),
        (
            [LEAK],
            {},
            "The split leaks: same id (3 cases, 7.5\u00a0% of the test items).",
        ),
        (
            [LeakRecord("same id", 1, None), LeakRecord("near-duplicate poster")],
            {},
            "The split leaks: same id (1 case) and near-duplicate poster.",
        ),
    ],
)
def test_the_cleanliness(
    leaks: list[LeakRecord], changes: dict[str, Any], said: str, compared: Make
) -> None:
    assert cleanliness_sentence(comparison(compared, [BEST, SECOND], leaks, **changes)) == said


@pytest.mark.parametrize(
    ("unaudited", "said"),
    [
        (["svm"], "It is not known whether the split is clean: svm was not audited."),
        (
            ["svm", "knn"],
            "It is not known whether the split is clean: svm and knn were not audited.",
        ),
        (
            ["svm", "knn", "dummy"],
            "It is not known whether the split is clean: no model was audited.",
        ),
    ],
)
def test_the_cleanliness_is_not_known_without_an_audit(
    unaudited: list[str], said: str, compared: Make
) -> None:
    made = comparison(compared, [BEST, SECOND, THIRD], audited=False)
    runs = tuple(
        replace(run, record=RunRecord()) if run.name in unaudited else run for run in made.runs
    )
    assert cleanliness_sentence(replace(made, runs=runs)) == said


def test_what_a_model_made_elsewhere_has_seen_is_not_known(compared: Make) -> None:
    mine, theirs = replace(BEST, external=True), replace(SECOND, external=True)
    assert cleanliness_sentence(comparison(compared, [mine, THIRD])) == (
        "The split is clean as far as can be told: none of 2 checks found a leak, but what svm, made "
        "elsewhere, learnt from is not known."
    )
    assert cleanliness_sentence(comparison(compared, [mine, theirs, THIRD])).endswith(
        ", but what svm and knn, made elsewhere, learnt from is not known."
    )
    assert cleanliness_sentence(comparison(compared, [mine])) == (
        "It is not known whether the split is clean: no model was audited."
    )


def test_what_a_backbone_has_seen_may_not_be_known(compared: Make) -> None:
    untold = {
        **CLEAN,
        "skipped": [f"{BACKBONE_TRAINED_ON_TEST}: it cannot be told what net.h5 learnt from"],
    }
    tuned = [replace(BEST, audit=untold), SECOND, replace(THIRD, audit=untold)]
    assert cleanliness_sentence(comparison(compared, tuned[:2])) == (
        "The split is clean as far as can be told: none of 2 checks found a leak, but what the backbone of "
        "svm learnt from is not known."
    )
    assert cleanliness_sentence(comparison(compared, tuned)).endswith(
        "but what the backbones of svm and dummy learnt from is not known."
    )
    itself = {**CLEAN, "skipped": [f"{RUN_TRAINED_ON_TEST}: it cannot be told from which items"]}
    assert cleanliness_sentence(
        comparison(compared, [replace(BEST, audit=itself), SECOND])
    ).endswith(", but what svm learnt from is not known.")
    other = {**CLEAN, "skipped": ["near-same embedding: no embeddings were given"]}
    assert "as far as" not in cleanliness_sentence(
        comparison(compared, [replace(BEST, audit=other)])
    )


def test_the_parts_of_the_cost(compared: Make) -> None:
    extraction = {
        "poster": {"backbone": "vgg16", "posters": 9, "seconds": 60.0, "devices": ["cpu"]}
    }
    cost = {"fit_seconds": 29.0, "predict_seconds": 1.0, "device": "cpu", "extraction": extraction}
    dear, cheap = replace(BEST, seconds=90.0, cost=cost), replace(SECOND, seconds=9.0)
    said = cost_sentence(comparison(compared, [dear]))
    assert said == "It cost 1 min 30 s (extraction of poster 1 min 0 s, fit 29.0 s)."
    assert cost_sentence(comparison(compared, [dear, cheap])).endswith(
        "; knn reaches 0.600 at about a tenth of that, measured on another device."
    )
    why = {"unknown": ["the embeddings of poster were made elsewhere"]}
    assert cost_sentence(comparison(compared, [replace(BEST, cost=why), cheap])) == (
        "Its cost is unknown: the embeddings of poster were made elsewhere."
    )


def test_chances_and_corrections_that_are_not_known_are_left_out(compared: Make) -> None:
    made = comparison(compared, [BEST, SECOND], winner_corrected=Interval(*[float("nan")] * 3))
    unknown = tuple(replace(run, best_probability=float("nan")) for run in made.runs)
    sure = tuple(replace(run, best_probability=0.9999) for run in made.runs)
    start = "Its lead is certain: it is significantly better than knn"
    assert certainty_sentence(replace(made, runs=unknown)) == f"{start}."
    assert certainty_sentence(replace(made, runs=sure)) == (
        f"{start}; its chance of being the best is >\u00a099\u00a0%."
    )


def test_where_items_have_one_label_the_accuracy_is_told(compared: Make) -> None:
    made = comparison(compared, [BEST], task=Task(kind="multiclass", genres=("a", "b")))
    first = made.runs[0]
    metrics = {**first.evaluation.metrics, "accuracy": Interval(0.7, 0.6, 0.8)}
    run = replace(first, evaluation=replace(first.evaluation, metrics=metrics))
    assert winner_sentence(replace(made, runs=(run,))) == f"svm has {FIGURE} and accuracy 0.700."


def test_the_accuracy_is_not_told_of_models_that_differ_in_it(compared: Make) -> None:
    task = Task(kind="multiclass", genres=("a", "b"))
    made = comparison(compared, [BEST, Given("svc", 0.64, 0.0, 0.0)], task=task)

    def said(accuracies: Sequence[float]) -> str:
        runs = []
        for run, value in zip(made.runs, accuracies, strict=True):
            metrics = {**run.evaluation.metrics, "accuracy": Interval(value, 0.6, 0.8)}
            runs.append(replace(run, evaluation=replace(run.evaluation, metrics=metrics)))
        return winner_sentence(replace(made, runs=tuple(runs)))

    assert said([0.7, 0.7]) == f"svm and svc both have {FIGURE} and accuracy 0.700."
    assert said([0.7, 0.65]) == f"svm and svc both have {FIGURE}."


def test_chances_are_never_certain() -> None:
    found = [chance(share) for share in (1.0, 0.991, 0.99, 0.01, 0.009, 0.0, None, float("nan"))]
    words = [">\u00a099", ">\u00a099", "99", "1", "<\u00a01", "<\u00a01"]
    assert found == [*(f"{word}\u00a0%" for word in words), "–", "–"]


def test_what_the_leak_costs_is_told_with_its_interval(compared: Make) -> None:
    cost = {
        "all": {"value": 0.36, "low": 0.3, "high": 0.4},
        "clean": {"value": 0.343, "low": 0.3, "high": 0.4},
        "difference": {"value": 0.017, "low": -0.004, "high": 0.041},
    }
    truth = np.array([[1, 0], [0, 1]] * 4, dtype=np.uint8)
    audit = {"clean": False, "checks": ["same id"], "leaks": [], "cost": {MAIN: cost}}
    made = compared(("a", "b"), truth, {"svm": truth * 0.9}, {"svm": {"audit": audit}})
    said = (
        "svm has weighted F1 0.360 with the test items that leak, 0.343 without them: "
        "a difference of 0.017 (-0.004 to 0.041)."
    )
    assert said in made.notes
    assert said in re.sub(r"\\(.)", r"\1", render_model_card(made))


def test_the_table_of_runs_has_the_chances_of_the_sentence(compared: Make) -> None:
    made = comparison(compared, [BEST, SECOND])
    sure, none = (
        replace(run, best_probability=p) for run, p in zip(made.runs, (1, 0), strict=True)
    )
    page = render(replace(made, runs=(sure, none)))
    for said in ("&gt;\u00a099", "&lt;\u00a01"):
        assert f"chance of being best {said}\u00a0%" in page
    assert "is &gt;\u00a099\u00a0%; chosen from 2" in page
    assert "extraction, training of the backbones, fit and prediction; – where a part" in page


def test_each_is_one_sentence(compared: Make) -> None:
    for given in ([BEST], [timed(BEST, 90), timed(NEAR, 9)], [BEST, SECOND, THIRD]):
        for leaks in ((), (LEAK,)):
            said = summarise(comparison(compared, given, leaks))
            assert len(said.all) == 4
            for sentence in said.all:
                assert re.fullmatch(r"[^\n]+[^.\s]\.", sentence)
                assert not re.search(r"[.] [A-Z]|  |\b1 models\b|\b1 others\b", sentence)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "– s"),
        (4.06, "4.1 s"),
        (59.97, "1 min 0 s"),
        (125, "2 min 5 s"),
        (4800, "1 h 20 min"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (list("abcd"), "a, b, c and 1 other"),
        (list("abcde"), "a, b, c and 2 others"),
    ],
)
def test_lists(names: list[str], words: str) -> None:
    assert listed(names) == words


def test_counts_and_shares() -> None:
    assert [counted(n, "model") for n in (0, 1, 2, 1000)] == [
        "0 models",
        "1 model",
        "2 models",
        "1,000 models",
    ]
    assert [percent(share) for share in (None, 0.0, 1.0, float("nan"))] == [
        "–",
        "0\u00a0%",
        "100\u00a0%",
        "–",
    ]
    parts = [1.0, 0.7, 0.5, 0.33, 0.25, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001]
    words = [fraction(part) for part in parts]
    assert len(set(words)) == len(parts)
    assert (words[2], words[6], words[-1]) == (
        "about half of that",
        "about a tenth of that",
        "less than a hundredth of that",
    )
