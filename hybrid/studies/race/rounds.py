"""The rounds of a race, within a wall time: no files here, the clock is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from hybrid.errors import HybridError
from hybrid.evaluation import Outputs
from hybrid.studies.race.elimination import Judgement
from hybrid.utils.counts import counted
from hybrid.utils.progress import duration

# What a round takes is estimated from the one before; a quarter more is held ready.
MARGIN = 1.25

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
    """Out-of-fold outputs of an encoder on a sample: alone, and with the blocks, if there are any."""

    alone: Outputs | None
    joined: Outputs | None = None

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


@dataclass(frozen=True, eq=False)
class RoundOutcome:
    """What a completed round gave."""

    sample: int
    seconds: float
    scores: dict[str, Scores]
    reference: Outputs | None
    judgement: Judgement


@dataclass(eq=False)
class Outcome:
    """What all rounds gave: completed rounds, why there is no further one, and who failed why."""

    rounds: list[RoundOutcome] = field(default_factory=list)
    ended: str = ""
    failed: dict[str, str] = field(default_factory=dict)

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
        Sample → out-of-fold outputs of the blocks alone.
    say : callable, optional
        Is told of each round.
    """

    contestants: Sequence[Contestant]
    sizes: Sequence[int]
    judge: Judge
    clock: Clock
    reference: Callable[[int], Outputs] | None = None
    say: Callable[[str], None] = lambda text: None
    _fits: dict[str, float] = field(default_factory=dict, init=False)  # seconds, by encoder
    _shared: dict[str, float] = field(default_factory=dict, init=False)

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
            try:
                if not self._affords(found, racing, sample):
                    return found
                done = self._round(found, racing, sample)
            except _OutOfTimeError:
                found.ended = (
                    f"the budget of {duration(self.clock.budget)} was spent in the round of "
                    f"{counted(items, 'item')}, which is not judged; its embeddings are in the cache"
                )
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

    def _affords(self, found: Outcome, racing: list[Contestant], sample: int) -> bool:
        """Whether the budget suffices for a round, as far as that can be estimated."""
        embedding = self._each(found, racing, lambda each: each.estimate(sample))
        needed = sum(embedding.values())
        if sample:
            growth = self.sizes[sample] / self.sizes[sample - 1]
            needed += growth * sum(self._shared.values())
            needed += growth * sum(self._fits[name] for name in embedding)
        needed *= MARGIN
        left = self.clock.left
        if needed <= left:
            return True
        found.ended = (
            f"the round of {counted(self.sizes[sample], 'item')} would take about {needed:,.0f} s, and "
            f"{left:,.0f} s of the budget of {duration(self.clock.budget)} are left"
        )
        return False

    def _round(self, found: Outcome, racing: list[Contestant], sample: int) -> RoundOutcome:
        began = self.clock.spent
        items, encoders = counted(self.sizes[sample], "item"), counted(len(racing), "encoder")
        self.say(f"round {sample + 1}: {items}, {encoders}")
        self._each(found, racing, lambda each: self._embed(each, sample))
        reference = None
        if self.reference is not None:
            compute = self.reference
            reference = self._timed(self._shared, "blocks", lambda: compute(sample))
        scores = self._each(
            found,
            racing,
            lambda each: self._timed(self._fits, each.name, lambda: each.fit(sample)),
        )
        judgement = self._timed(
            self._shared, "judge", lambda: self.judge(sample, scores, reference)
        )
        return RoundOutcome(sample, self.clock.spent - began, scores, reference, judgement)

    def _embed(self, each: Contestant, sample: int) -> None:
        if not each.embed(sample, self.clock.left):
            raise _OutOfTimeError

    def _timed(self, seconds: dict[str, float], name: str, compute: Callable[[], T]) -> T:
        before = self.clock.spent
        made = compute()
        seconds[name] = self.clock.spent - before
        return made

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
