"""The rounds of a race, within a wall time: no files here, the clock is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from hybrid.errors import HybridError
from hybrid.evaluation import Outputs
from hybrid.evaluation.elimination import Judgement
from hybrid.utils.counts import counted
from hybrid.utils.progress import duration

# What a round takes is estimated from the one before; a quarter more is held ready.
MARGIN = 1.25
VALUES, WEIGHTS = 4, 4  # settings that are tried: of C, and of the weight of a block
BLOCKS, COMPARING = "", "\0"  # beside the names of encoders: what takes its time, too

T = TypeVar("T")


class Contestant(Protocol):
    """An encoder in a race."""

    @property
    def name(self) -> str:
        """Tells it apart from the others."""

    def estimate(self, sample: int) -> float:
        """Seconds to embed what a sample lacks; it may embed some of it to measure its rate."""

    def embed(self, sample: int, seconds: float) -> bool:
        """Embed a sample, in about so many seconds at most; whether all of it is embedded."""

    def fit(self, sample: int) -> Scores:
        """Out-of-fold outputs on a sample."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Out-of-fold outputs of an encoder on a sample: alone, and with the blocks, if there are any.

    `choosing` are seconds of the fit that are not spent again on a larger sample.
    """

    alone: Outputs | None
    joined: Outputs | None = None
    choosing: float = 0.0

    @property
    def judged(self) -> Outputs:
        """Those that decide."""
        found = self.joined or self.alone
        assert found is not None, "one of them"
        return found


@dataclass(eq=False)
class Clock:
    """The wall time of a race.

    Parameters
    ----------
    budget : float
        Seconds.
    now : callable
        The time in seconds.

    Examples
    --------
    >>> ticks = iter([10.0, 12.0, 15.0])
    >>> clock = Clock(4.0, lambda: next(ticks))
    >>> clock.left, clock.spent
    (2.0, 5.0)
    """

    budget: float
    now: Callable[[], float]
    start: float = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.now()

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return self.now() - self.start

    @property
    def left(self) -> float:
        """Seconds of the budget that are left; negative beyond it."""
        return self.budget - self.spent


@dataclass(eq=False)
class Spent:
    """Seconds of a round, or of a race: of each encoder, and of what all have in common.

    `embedding` and `fitting` are by encoder, of the blocks alone by ``""``; `comparing` is of the intervals.
    """

    embedding: dict[str, float] = field(default_factory=dict)
    fitting: dict[str, float] = field(default_factory=dict)
    comparing: float = 0.0

    @property
    def fits(self) -> float:
        """Of all fits and comparisons."""
        return sum(self.fitting.values()) + self.comparing


@dataclass(frozen=True, eq=False)
class RoundOutcome:
    """What a completed round gave."""

    sample: int
    seconds: float
    scores: dict[str, Scores]
    reference: Outputs | None
    judgement: Judgement
    spent: Spent


@dataclass(eq=False)
class Outcome:
    """What all rounds gave: completed rounds, why there is no further one, and who failed why.

    `embed_seconds` and `fit_seconds` count the round that was broken off, too.
    """

    rounds: list[RoundOutcome] = field(default_factory=list)
    ended: str = ""
    failed: dict[str, str] = field(default_factory=dict)
    embed_seconds: float = 0.0
    fit_seconds: float = 0.0

    @property
    def leader(self) -> str | None:
        """The best of the last round that has not failed since; None where there is none."""
        if not self.rounds:
            return None
        found = self.rounds[-1].judgement
        left = {
            name: value
            for name, value in found.values.items()
            if value == value and name not in (*found.stopped, *self.failed)
        }
        return max(left, key=lambda name: left[name]) if left else None


def first_fits(seconds: float, blocks: int, encoders: int) -> float:
    """Seconds that the fits of encoders take in the first round, from those of the blocks alone.

    By the number of settings that are tried: values of C, and weights of each block where there are several.

    Parameters
    ----------
    seconds : float
        Of the fit of the blocks alone.
    blocks : int
        How many these are.
    encoders : int

    Examples
    --------
    >>> first_fits(3.0, 2, 3)  # 12 settings of two blocks; 16 of three, and 4 of the encoder alone
    15.0
    """
    if not blocks:
        return 0.0
    alone = VALUES + WEIGHTS * blocks * (blocks > 1)
    return seconds * encoders * (2 * VALUES + WEIGHTS * (blocks + 1)) / alone


class _OutOfTimeError(Exception):
    """The budget is spent within a round."""


Judge = Callable[[int, dict[str, Scores], "Outputs | None"], Judgement]


@dataclass(eq=False)
class Rounds:
    """Runs the rounds of a race.

    Parameters
    ----------
    contestants : sequence of Contestant
    sizes : sequence of int
        Items of each sample.
    judge : callable
        Sample, scores of each encoder, outputs of the blocks alone → Judgement.
    clock : Clock
    reference : callable, optional
        Sample → scores of the blocks alone.
    say : callable, optional
        Is told of each round.
    blocks : int, default=2
        How many there are.
    """

    contestants: Sequence[Contestant]
    sizes: Sequence[int]
    judge: Judge
    clock: Clock
    reference: Callable[[int], Scores] | None = None
    say: Callable[[str], None] = lambda text: None
    blocks: int = 2
    # Seconds of fits, if they are repeated.
    _again: dict[str, float] = field(default_factory=dict, init=False)
    _spent: Spent = field(default_factory=Spent, init=False)  # in this round

    def run(self) -> Outcome:
        """Run round after round, until one encoder is left, all items are used, or the time is.

        A contestant that raises a HybridError has failed, and the race goes on without it.

        Raises
        ------
        HybridError
            If the last one fails: its error.
        """
        found, racing = Outcome(), list(self.contestants)
        for sample, items in enumerate(self.sizes):
            self._spent = Spent()
            try:
                done = self._round(found, racing, sample)
            except _OutOfTimeError:
                found.ended = (
                    f"the budget of {duration(self.clock.budget)} was spent in the round of "
                    f"{counted(items, 'item')}, which is not judged; its embeddings are in the cache"
                )
                return found
            finally:
                found.embed_seconds += sum(self._spent.embedding.values())
                found.fit_seconds += self._spent.fits
            if done is None:
                return found
            found.rounds.append(done)
            racing = [each for each in racing if each.name not in done.judgement.stopped]
            self._tell(done)
            if len(racing) == 1:
                found.ended = "one encoder is left"
                return found
        found.ended = "all train and validation items were used"
        return found

    def _tell(self, done: RoundOutcome) -> None:
        found = done.judgement
        stopped = f"; {', '.join(found.stopped)} stopped" if found.stopped else ""
        leads = "no metric is defined" if found.leader is None else f"{found.leader} leads"
        self.say(f"{counted(self.sizes[done.sample], 'item')}: {leads}{stopped}")

    def _round(self, found: Outcome, racing: list[Contestant], sample: int) -> RoundOutcome | None:
        """A round; None where the budget does not suffice for it."""
        began = self.clock.spent
        reference: Scores | None = None
        if not sample:  # so that it is known what fits take, before anything is embedded
            reference = self._fit_blocks(sample)
        if not self._affords(found, racing, sample):
            return None
        self._each(found, racing, lambda each: self._embed(each, sample))
        reference = reference or self._fit_blocks(sample)
        scores = self._each(found, racing, lambda each: self._fit(each.name, each.fit, sample))
        before = self.clock.spent
        judged = None if reference is None else reference.judged
        judgement = self.judge(sample, scores, judged)
        self._spent.comparing = self._again[COMPARING] = self.clock.spent - before
        return RoundOutcome(
            sample, self.clock.spent - began, scores, judged, judgement, self._spent
        )

    def _affords(self, found: Outcome, racing: list[Contestant], sample: int) -> bool:
        """Whether the budget suffices for a round, as far as that can be estimated; it is said."""
        embedding = sum(
            self._each(found, racing, lambda each: self._estimate(each, sample)).values()
        )
        fits = self._estimate_fits(racing, sample)
        needed, left = MARGIN * (embedding + fits), self.clock.left
        items = counted(self.sizes[sample], "item")
        if needed > left:
            found.ended = (
                f"the round of {items} would take about {needed:,.0f} s, and "
                f"{left:,.0f} s of the budget of {duration(self.clock.budget)} are left"
            )
            return False
        self.say(
            f"round {sample + 1}: {items}, {counted(len(racing), 'encoder')}; about {duration(embedding)} to "
            f"embed, {duration(fits)} to fit and compare; {duration(left)} are left"
        )
        return True

    def _estimate(self, each: Contestant, sample: int) -> float:
        """Seconds to embed what a sample lacks; what is embedded to measure the rate is counted."""
        before = self.clock.spent
        seconds = each.estimate(sample)
        self._spent.embedding[each.name] = self.clock.spent - before
        return seconds

    def _estimate_fits(self, racing: Sequence[Contestant], sample: int) -> float:
        """Seconds to fit and compare: those of the round before, in proportion to the items."""
        if not sample:
            return first_fits(self._spent.fitting.get(BLOCKS, 0.0), self.blocks, len(racing))
        names = [COMPARING, BLOCKS, *(each.name for each in racing)]
        seconds = sum(self._again.get(name, 0.0) for name in names)
        return seconds * self.sizes[sample] / self.sizes[sample - 1]

    def _fit_blocks(self, sample: int) -> Scores | None:
        if self.reference is None:
            return None
        if self.clock.left <= 0:
            raise _OutOfTimeError
        return self._fit(BLOCKS, self.reference, sample)

    def _fit(self, name: str, fit: Callable[[int], Scores], sample: int) -> Scores:
        before = self.clock.spent
        scores = fit(sample)
        seconds = self._spent.fitting[name] = self.clock.spent - before
        self._again[name] = max(seconds - scores.choosing, 0.0)
        return scores

    def _embed(self, each: Contestant, sample: int) -> None:
        before = self.clock.spent
        done = each.embed(sample, self.clock.left)
        self._spent.embedding[each.name] += self.clock.spent - before
        if not done:
            raise _OutOfTimeError

    def _each(
        self, found: Outcome, racing: list[Contestant], do: Callable[[Contestant], T]
    ) -> dict[str, T]:
        """Do something with each encoder that races; those that fail race no more."""
        done: dict[str, T] = {}
        for each in list(racing):
            if self.clock.left <= 0:
                raise _OutOfTimeError
            try:
                done[each.name] = do(each)
            except HybridError as error:
                racing.remove(each)
                found.failed[each.name] = str(error)
                if not racing:
                    raise
                self.say(f"{each.name} failed, and races no more: {error}")
        return done
