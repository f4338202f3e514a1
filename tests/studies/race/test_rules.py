"""What decides a race: samples, elimination, and the budget. No files, no encoders, a clock that is made."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.errors import CacheError, SettingError
from hybrid.evaluation import Outputs
from hybrid.evaluation.elimination import Judgement, compare_round, judge, round_level
from hybrid.heads.registry import get_head
from hybrid.heads.search import choose, count_candidates
from hybrid.splitting.nested_samples import nested_samples, sample_sizes
from hybrid.studies.race.options import RaceOptions, parse_budget
from hybrid.studies.race.rounds import VALUES, WEIGHTS, Clock, Outcome, Rounds, Scores
from hybrid.types import Interval


@given(st.integers(1, 5000), st.integers(1, 600))
def test_sizes_double_and_end_with_all(items: int, start: int) -> None:
    sizes = sample_sizes(items, start)
    assert sizes[-1] == items
    assert list(sizes[:-1]) == [start * 2**k for k in range(len(sizes) - 1)]
    assert all(after > 1.25 * before for before, after in itertools.pairwise(sizes))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_samples_are_nested_and_groups_are_whole(data: st.DataObject) -> None:
    items = data.draw(st.integers(1, 60))
    group = data.draw(st.lists(st.integers(0, 25), min_size=items, max_size=items))
    seed = data.draw(st.integers(0, 5))
    labels = np.random.default_rng(seed).random((items, 3)) < 0.4
    sizes = sample_sizes(items, data.draw(st.integers(1, 20)))
    ids, groups = np.arange(items).astype(str), np.array(group).astype(str)
    samples = nested_samples(ids, labels, groups, sizes, seed)
    assert samples[-1].tolist() == list(range(items))
    for small, large in itertools.pairwise(samples):
        assert set(small) < set(large)
    for rows in samples:
        inside = set(groups[rows])
        assert rows.tolist() == [row for row in range(items) if groups[row] in inside]
        assert len(rows) > 0


def test_samples_are_stratified_and_do_not_depend_on_the_order_of_the_items() -> None:
    labels = np.zeros((400, 2), np.uint8)
    labels[:40, 0], labels[40:, 1] = 1, 1
    ids = np.array([f"i{k:03}" for k in range(400)])
    small, whole = nested_samples(ids, labels, ids, (100, 400), seed=3)
    assert (len(small), len(whole)) == (100, 400)
    assert labels[small].sum(axis=0).tolist() == [10, 90]
    order = np.random.default_rng(0).permutation(400)
    again, _ = nested_samples(ids[order], labels[order], ids[order], (100, 400), seed=3)
    assert set(ids[order][again]) == set(ids[small])


def made(truth: Any, wrong: Sequence[int]) -> Outputs:
    """Outputs that are right but for some items."""
    labels = truth.copy()
    labels[list(wrong)] = 1 - labels[list(wrong)]
    return Outputs(labels, labels.astype(float))


def truth_of(items: int) -> Any:
    return (np.arange(items)[:, None] % np.array([2, 3]) == 0).astype(np.uint8)


def test_those_that_are_surely_worse_are_stopped_and_no_others() -> None:
    truth = truth_of(200)
    outputs = {
        "good": made(truth, range(0, 10)),
        "best": made(truth, range(0, 8)),
        "bad": made(truth, range(0, 90)),
        "worse": made(truth, range(0, 120)),
    }
    found = judge(truth, outputs, seed=1)
    assert found.leader == "best"
    assert found.stopped == ("bad", "worse")
    assert found.behind["best"] == Interval(0.0, 0.0, 0.0)
    assert found.behind["good"].low < 0 <= found.behind["good"].high
    for name, each in outputs.items():
        hits, misses = (each.labels == 1) & (truth == 1), each.labels != truth
        f1 = 2 * hits.sum(axis=0) / (2 * hits.sum(axis=0) + misses.sum(axis=0))
        weighted = (f1 * truth.sum(axis=0)).sum() / truth.sum()
        assert found.values[name] == pytest.approx(weighted)
        assert found.behind[name].value == pytest.approx(found.values[name] - found.values["best"])


def test_whole_groups_are_drawn() -> None:
    """What 200 items would tell apart, 4 groups of 50 do not."""
    truth = truth_of(200)
    outputs = {"good": made(truth, ()), "bad": made(truth, range(0, 90))}
    assert judge(truth, outputs).stopped == ("bad",)
    assert judge(truth, outputs, groups=np.arange(200) // 50).stopped == ()


def test_a_higher_confidence_stops_fewer() -> None:
    truth = truth_of(60)
    outputs = {"good": made(truth, ()), "bad": made(truth, range(0, 6))}
    stopped = [judge(truth, outputs, level=level).stopped for level in (0.9, 0.95, 0.9999)]
    assert stopped == [("bad",), ("bad",), ()]


def test_equal_encoders_are_seldom_stopped() -> None:
    """At 80 %, of 60 rounds of three equal encoders at most a fifth may stop one, but for chance."""
    random = np.random.default_rng(0)
    truth, stops = truth_of(120), 0
    for trial in range(60):
        outputs = {k: made(truth, np.flatnonzero(random.random(120) < 0.2)) for k in "abc"}
        found = judge(truth, outputs, level=0.8, draws=99, seed=trial)
        stops += bool(found.stopped)
    assert stops <= 20  # of 60 with 0.2 each, more than 20 in 0.6 % of all tries


def test_the_first_of_equals_leads_and_what_has_no_metric_decides_nothing() -> None:
    truth = truth_of(30)
    assert judge(truth, {"b": made(truth, ()), "a": made(truth, ())}).leader == "b"
    none = np.zeros((30, 2), np.uint8)
    found = judge(none, {"a": made(none, ()), "b": made(none, ())}, "map_macro")
    assert (found.leader, found.stopped) == (None, ())


def test_gains_are_over_the_blocks_alone() -> None:
    truth = truth_of(200)
    outputs = {"good": made(truth, range(0, 10)), "none": made(truth, range(0, 90))}
    blocks = made(truth, range(0, 90))
    found = compare_round(truth, outputs, blocks, "f1_weighted", None, 0.95, 0)
    assert found.gains["good"].low > 0
    assert found.gains["none"] == Interval(0.0, 0.0, 0.0)
    assert compare_round(truth, outputs, None, "f1_weighted", None, 0.95, 0).gains == {}


def test_all_rounds_together_have_the_confidence() -> None:
    assert round_level(0.95, 1) == pytest.approx(0.95)
    assert 1 - 7 * (1 - round_level(0.9, 7)) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30min", 1800), ("90", 90), ("90s", 90), ("2h", 7200), ("1h30min", 5400), ("0.5 h", 1800)],
)
def test_a_budget(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-5min", "5 days", "h", "nan", "5min later"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(SettingError, match="--budget: expected a time such as 30min"):
        parse_budget(text)


def test_all_wrong_settings_are_told_at_once() -> None:
    wrong = RaceOptions(budget=0, blocks=("poster",), start=0, metric="map-weighted", confidence=1,
                        folds=1, licence="free")  # fmt: skip
    said = "\n".join(wrong.problems())
    for option in ("budget", "with-blocks", "start", "metric", "confidence", "folds", "licence"):
        assert f"--{option}: expected" in said


class Time:
    """A clock that stands still but where something takes its time."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Made:
    """An encoder that takes a second for so many embeddings, and a fit of so many seconds an item."""

    def __init__(self, time: Time, name: str, rate: float, sizes: Sequence[int], **how: Any):
        self.time, self.name, self.rate, self.sizes = time, name, rate, sizes
        self.fitting: float = how.get("fitting", 0.001)
        self.slows: float = how.get("slows", 1.0)
        self.fails: str = how.get("fails", "")
        self.cached, self.calls = how.get("cached", 0), list[tuple[int, int]]()

    def _lacking(self, sample: int) -> int:
        return max(self.sizes[sample] - self.cached, 0)

    def estimate(self, sample: int) -> float:
        if self.fails == "estimate":
            raise CacheError("expected a disk, found none.")
        return self._lacking(sample) / self.rate

    def embed(self, sample: int, seconds: float) -> bool:
        possible = int(seconds * self.rate)
        some = min(self._lacking(sample), possible)
        self.time.seconds += self.slows * some / self.rate
        self.cached += some
        self.calls.append((sample, some))
        return self._lacking(sample) == 0

    def fit(self, sample: int) -> Scores:
        if self.fails == "fit" and sample:
            raise CacheError("expected embeddings, found none.")
        self.time.seconds += self.fitting * self.sizes[sample]
        one = np.zeros((1, 1))
        return Scores(Outputs(one.astype(np.uint8), one))


SIZES = (250, 500, 1000, 2000)


def never(sample: int, scores: dict[str, Scores], reference: Any) -> Judgement:
    return Judgement(next(iter(scores)), dict.fromkeys(scores, 0.5), {}, ())


def raced(
    time: Time, encoders: Sequence[Made], budget: float, judged: Any = never, **how: Any
) -> tuple[Outcome, float]:
    clock = Clock(budget, time)
    found = Rounds(encoders, SIZES, judged, clock, **how).run()
    return found, clock.spent


@pytest.mark.parametrize(
    ("budget", "rounds"),
    [(1000, 4), (60, 4), (50, 3), (30, 3), (22, 2), (10, 1), (6, 0)],
)
def test_a_round_that_would_exceed_the_budget_is_not_begun(budget: float, rounds: int) -> None:
    """Rounds take 5.5, 6, 12 and 24 s; the next is to take twice the fits, and a quarter is added."""
    time = Time()
    encoders = [Made(time, name, 100, SIZES) for name in "ab"]
    found, spent = raced(time, encoders, budget)
    assert len(found.rounds) == rounds
    assert spent <= budget
    if rounds < 4:
        assert f"the round of {SIZES[rounds]:,} items would take about" in found.ended
        assert encoders[0].cached == (0, *SIZES)[rounds]
    else:
        assert found.ended == "all train and validation items were used"
        assert spent == pytest.approx(2 * 2000 / 100 + 2 * 0.001 * sum(SIZES))


@settings(max_examples=60, deadline=None)
@given(st.floats(0.5, 300), st.floats(1, 400), st.floats(0, 0.05), st.floats(1, 3))
def test_the_budget_is_kept(budget: float, rate: float, fitting: float, slows: float) -> None:
    """Where all is as fast as measured; else it is exceeded by what is under way: an embedding or a fit."""
    time = Time()
    how = {"fitting": fitting, "slows": slows}
    encoders = [Made(time, name, rate, SIZES, **how) for name in "abc"]
    found, spent = raced(time, encoders, budget)
    under_way = max(budget * (slows - 1), fitting * max(SIZES[: len(found.rounds) + 1]))
    assert spent <= budget + under_way + 1e-9
    assert found.ended


def test_an_encoder_that_got_slower_ends_the_race_within_the_round() -> None:
    time = Time()
    encoders = [Made(time, "a", 100, SIZES), Made(time, "b", 100, SIZES)]
    encoders[1].slows = 8.0
    found, spent = raced(time, encoders, 31)
    assert len(found.rounds) == 1
    assert "was spent in the round of 500 items, which is not judged" in found.ended
    assert spent == pytest.approx(5 * 4.5 + 0.5 + 5 * 4.5)


def test_what_is_in_the_cache_is_not_paid_for_again() -> None:
    time = Time()
    encoders = [Made(time, name, 100, SIZES) for name in "ab"]
    first, _ = raced(time, encoders, 22)
    assert len(first.rounds) == 2
    again, spent = raced(time, encoders, 1000)
    assert len(again.rounds) == 4
    assert encoders[0].calls == [(0, 250), (1, 250), (0, 0), (1, 0), (2, 500), (3, 1000)]
    assert spent == pytest.approx(2 * 1500 / 100 + 2 * 0.001 * sum(SIZES))


def test_those_that_stop_embed_no_more_and_one_that_is_left_need_not_go_on() -> None:
    time = Time()
    encoders = [Made(time, name, 100, SIZES) for name in "abc"]

    def judged(sample: int, scores: dict[str, Scores], reference: Any) -> Judgement:
        out = ("c",) if sample == 0 else ("b",)
        return Judgement("a", dict.fromkeys(scores, 0.5), {}, out)

    found, _ = raced(time, encoders, 1000, judged)
    assert [list(one.scores) for one in found.rounds] == [["a", "b", "c"], ["a", "b"]]
    assert [each.cached for each in encoders] == [500, 500, 250]
    assert found.ended == "one encoder is left"


def test_one_that_fails_leaves_the_race_with_its_reason() -> None:
    time, said = Time(), list[str]()
    encoders = [Made(time, "a", 100, SIZES), Made(time, "b", 100, SIZES, fails="fit")]
    encoders.append(Made(time, "c", 100, SIZES, fails="estimate"))
    found, _ = raced(time, encoders, 1000, say=said.append)
    assert found.failed == {
        "b": "expected embeddings, found none.",
        "c": "expected a disk, found none.",
    }
    assert [list(one.scores) for one in found.rounds] == [["a", "b"], ["a"]]
    assert any(line.startswith("c failed, and races no more") for line in said)


def test_the_error_of_the_last_one_is_raised() -> None:
    time = Time()
    encoders = [Made(time, name, 100, SIZES, fails="estimate") for name in "ab"]
    with pytest.raises(CacheError, match="expected a disk"):
        raced(time, encoders, 1000)


def test_the_blocks_alone_are_fitted_once_a_round_and_counted() -> None:
    time, seen = Time(), list[int]()

    def blocks(sample: int) -> Scores:
        seen.append(sample)
        time.seconds += 0.01 * SIZES[sample]
        return Scores(Outputs(np.zeros((1, 1), np.uint8), np.zeros((1, 1))))

    encoders = [Made(time, name, 1e6, SIZES, fitting=0.0) for name in "ab"]
    found, spent = raced(time, encoders, 19.9, reference=blocks)
    assert seen == [
        0,
        1,
    ]  # 2.5 s and 5 s; the next would take 10 and a quarter more, and 12.4 are left
    assert spent == pytest.approx(7.5, abs=0.01)
    assert found.rounds[0].reference is not None


def test_what_was_spent_on_embeddings_and_on_fits_is_told_apart() -> None:
    """Rounds of 250 and 500 items: per encoder 2.5 s each to embed, and fits of 1 ms an item."""
    time, said = Time(), list[str]()

    def blocks(sample: int) -> Scores:
        time.seconds += 0.002 * SIZES[sample]
        return Scores(Outputs(np.zeros((1, 1), np.uint8), np.zeros((1, 1))))

    def judged(sample: int, scores: dict[str, Scores], reference: Any) -> Judgement:
        time.seconds += 0.25
        return never(sample, scores, reference)

    encoders = [Made(time, name, 100, SIZES) for name in "ab"]
    found, spent = raced(time, encoders, 19, judged, reference=blocks, say=said.append)
    assert [one.spent.embedding for one in found.rounds] == [{"a": 2.5, "b": 2.5}] * 2
    first, second = (one.spent for one in found.rounds)
    assert first.fitting == pytest.approx({"": 0.5, "a": 0.25, "b": 0.25})
    assert second.fitting == pytest.approx({"": 1.0, "a": 0.5, "b": 0.5})
    assert (first.comparing, second.comparing) == (0.25, 0.25)
    assert found.embed_seconds == pytest.approx(10)
    assert found.fit_seconds == pytest.approx(first.fits + second.fits) == pytest.approx(3.5)
    assert spent == pytest.approx(13.5)
    # 0.5 s x 2 encoders x 20 settings / 12; then as the round before.
    assert said[0].endswith("about 5 s to embed, 2 s to fit and compare; 18 s are left")
    assert "about 5 s to embed, 2 s to fit and compare" in said[2]


def test_fits_of_the_first_round_are_counted_before_anything_is_embedded() -> None:
    time = Time()

    def blocks(sample: int) -> Scores:
        time.seconds += 10
        return Scores(Outputs(np.zeros((1, 1), np.uint8), np.zeros((1, 1))))

    encoders = [Made(time, name, 100, SIZES) for name in "ab"]
    found, _ = raced(
        time, encoders, 40, reference=blocks
    )  # 30 s are left, for 5 s and 20 s and a quarter
    assert found.rounds == []
    assert "the round of 250 items would take about 48 s, and 30 s of the budget" in found.ended
    assert [each.cached for each in encoders] == [0, 0]
    assert found.fit_seconds == 10


def test_the_settings_that_are_counted_are_those_that_are_tried() -> None:
    """By one, two and three blocks, as a classifier of the command counts them."""
    weights: dict[str, float] = {}
    for blocks in ("a", "b", "c", "d"):
        weights[blocks] = 1.0
        count = count_candidates(lambda run: choose(run, get_head("svm").grid, weights, (0.5, 2.0)))
        assert count == VALUES + WEIGHTS * len(weights) * (len(weights) > 1)


def test_what_is_chosen_once_is_not_counted_for_the_next_round() -> None:
    time = Time()
    encoders = [Made(time, name, 1e6, SIZES, fitting=0.04) for name in "ab"]
    for each in encoders:
        fit = each.fit

        def choosing(sample: int, fit: Any = fit) -> Scores:
            scores = fit(sample)
            return Scores(scores.alone, choosing=0.0 if sample else 9.0)

        each.fit = choosing  # type: ignore[method-assign]
    # The first round takes 20 s; the next is to take 2 x 2 s, and a quarter more, of the 6 s that are left.
    # With what was chosen, it would be 50 s.
    found, _ = raced(time, encoders, 26)
    assert [one.sample for one in found.rounds] == [0]
    assert "was spent in the round of 500 items" in found.ended


def test_one_that_failed_since_leads_no_more() -> None:
    time = Time()
    encoders = [Made(time, "a", 100, SIZES, fails="fit"), Made(time, "b", 10, SIZES)]
    found, _ = raced(time, encoders, 130)
    assert found.failed
    assert found.rounds[-1].sample == 1
    assert found.leader == "b"
    encoders = [Made(time, "a", 100, SIZES), Made(time, "b", 100, SIZES)]
    found, _ = raced(time, encoders, 6.5)
    found.failed["a"] = "of late"
    assert found.leader == "b"
