"""Race of encoders on the same growing sample; those that are surely worse than the leader stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hybrid.catalogue import Catalogue
from hybrid.evaluation import Outputs, measure_all
from hybrid.evaluation.elimination import MEASURED, Judgement, compare_round, round_level
from hybrid.splitting.tasks import Task
from hybrid.studies.race.encoders import RacedEmbeddings, unknown_price
from hybrid.studies.race.options import RaceOptions
from hybrid.studies.race.prepare import prepare
from hybrid.studies.race.records import (
    FAILED,
    LEADER,
    NOT_JUDGED,
    STOPPED,
    TIED,
    PlannedEncoder,
    PlannedRound,
    Race,
    RacedEncoder,
    RacePlan,
    Round,
    RoundResult,
)
from hybrid.studies.race.rounds import (
    BLOCKS,
    MARGIN,
    Clock,
    Outcome,
    RoundOutcome,
    Rounds,
    Scores,
    first_fits,
)
from hybrid.studies.race.shared import Shared
from hybrid.types import Split
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.counts import counted
from hybrid.utils.read_only import plans_only


@limited_by_context
def race_encoders(
    catalogue: Catalogue,
    split: Split,
    *,
    backbones: Sequence[str] = (),
    text_encoders: Sequence[str] = (),
    weights: Sequence[str] = (),
    options: RaceOptions | None = None,
    task: Task | None = None,
    split_path: str | Path = "splits.csv",
    context: Context | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Race:
    """Find which encoder is worth embedding the whole catalogue with.

    All encoders embed the same sample of the train and validation items, and an SVM is cross-fitted on each.
    Encoders whose out-of-fold metric is surely below the leader's stop; the others go on with a sample twice
    as large, of which the first is a part. Embeddings are kept in the cache: nothing is computed twice, and
    a later extraction finds them there. Test items take no part.

    Parameters
    ----------
    catalogue : Catalogue
    split : Split
        Samples are drawn from its train and validation items.
    backbones, text_encoders : sequence of str
        Two encoders or more, together; names as `extract_embeddings` and `extract_texts` take them.
    weights : sequence of str, default=()
        Of the backbones: one for all, or one for each; by default ImageNet's.
    options : RaceOptions, optional
        Budget, blocks, size of the first sample, metric, confidence.
    task : Task, optional
        Which labels; by default all.
    split_path : str or Path, default="splits.csv"
        Named in messages.
    context : Context, optional
        Cache, workers, seed and progress.
    now : callable, default=time.monotonic
        The clock of the budget.

    Returns
    -------
    Race

    Raises
    ------
    SettingError, WeightsError, CatalogueError, SplitError
        If a parameter is wrong, an encoder cannot be found, its licence is refused, or it has learnt from
        items of the race; before anything is embedded.
    KeyboardInterrupt
        After Ctrl-C; all embeddings are saved, and the same call goes on with them.

    Examples
    --------
    >>> from hybrid import load_catalogue, race_encoders, read_split
    >>> films, split = load_catalogue("catalogue.csv"), read_split("splits.csv")  # doctest: +SKIP
    >>> encoders = {"backbones": ["vgg16"], "text_encoders": ["all-MiniLM-L6-v2"]}
    >>> race_encoders(films, split, **encoders).leader  # doctest: +SKIP
    'all-MiniLM-L6-v2'
    """
    options, context = options or RaceOptions(), context or Context()
    clock = Clock(options.budget, now)
    shared, encoders, findings = prepare(
        catalogue, split, backbones, text_encoders, weights, options, task, split_path, context
    )
    metric, level = MEASURED[options.metric], round_level(options.confidence, len(shared.samples))

    def compare(sample: int, scores: dict[str, Scores], reference: Outputs | None) -> Judgement:
        _, labels, groups = shared.samples[sample]
        judged = {name: each.judged for name, each in scores.items()}
        how = metric, groups, level, context.seed
        return compare_round(labels, judged, reference, *how)

    blocks = shared.fit_blocks if shared.blocks else None
    how = compare, clock, blocks, context.progress.say, len(shared.blocks)
    rounds = Rounds(encoders, shared.sizes, *how)
    outcome = rounds.run()
    standings = _standings(shared, encoders, outcome)
    return Race(
        leader=outcome.leader,
        cheapest=_cheapest(standings),
        ended=outcome.ended,
        metric=options.metric,
        blocks=shared.blocks,
        confidence=options.confidence,
        round_level=level,
        budget=options.budget,
        seconds=clock.spent,
        embed_seconds=outcome.embed_seconds,
        fit_seconds=outcome.fit_seconds,
        catalogue_items=len(catalogue),
        train_items=shared.sizes[-1],
        sizes=shared.sizes,
        seed=context.seed,
        encoders=standings,
        rounds=tuple(_round(shared, encoders, one, metric) for one in outcome.rounds),
        findings=findings,
    )


@plans_only
@limited_by_context
def plan_race(
    catalogue: Catalogue,
    split: Split,
    *,
    backbones: Sequence[str] = (),
    text_encoders: Sequence[str] = (),
    weights: Sequence[str] = (),
    options: RaceOptions | None = None,
    task: Task | None = None,
    split_path: str | Path = "splits.csv",
    context: Context | None = None,
) -> RacePlan:
    """Say what `race_encoders` would compute at most, and about how long that takes; nothing is written.

    Parameters and errors are those of `race_encoders`. Each encoder embeds some items for a few seconds, and
    the blocks are cross-fitted on the first sample, to measure what that takes.
    """
    options, context = options or RaceOptions(), context or Context()
    shared, encoders, _ = prepare(
        catalogue, split, backbones, text_encoders, weights, options, task, split_path, context
    )
    sizes, planned = shared.sizes, tuple(each.planned() for each in encoders)
    return RacePlan(
        metric=options.metric,
        blocks=shared.blocks,
        confidence=options.confidence,
        round_level=round_level(options.confidence, len(sizes)),
        budget=options.budget,
        catalogue_items=len(catalogue),
        train_items=sizes[-1],
        sizes=sizes,
        encoders=planned,
        rounds=_planned_rounds(shared, planned, context.progress.say),
    )


def _planned_rounds(
    shared: Shared, planned: Sequence[PlannedEncoder], say: Callable[[str], None]
) -> tuple[PlannedRound, ...]:
    """What rounds would take: embeddings in proportion to the items, fits by that of the blocks."""
    fits: float | None = None
    again = 0.0
    if shared.blocks:
        say(f"fitting the blocks on {counted(shared.sizes[0], 'item')}, to measure what fits take")
        began = time.perf_counter()
        choosing = shared.fit_blocks(0).choosing
        fits = time.perf_counter() - began
        again = fits - choosing
    found, total, before = list[PlannedRound](), 0.0, 0
    for size in shared.sizes:
        share = (size - before) / shared.sizes[-1]
        embed = share * sum(each.seconds for each in planned)
        fit: float | None = None
        if fits is not None:
            first = fits + first_fits(fits, len(shared.blocks), len(planned))
            fit = again * (1 + len(planned)) * size / shared.sizes[0] if before else first
        total += embed + (fit or 0.0)
        found.append(PlannedRound(size, embed, fit, MARGIN * total <= shared.options.budget))
        before = size
    return tuple(found)


def _standings(
    shared: Shared, encoders: Sequence[RacedEmbeddings], outcome: Outcome
) -> tuple[RacedEncoder, ...]:
    judged = {name: one for one in outcome.rounds for name in one.judgement.values}

    def standing(name: str) -> str:
        if name in outcome.failed:
            return FAILED
        if name not in judged:
            return NOT_JUDGED
        if name in judged[name].judgement.stopped:
            return STOPPED
        return LEADER if name == outcome.leader else TIED

    return tuple(
        RacedEncoder(
            encoder=each.name,
            of=each.of,
            option=each.option,
            standing=standing(each.name),
            items=shared.sizes[judged[each.name].sample] if each.name in judged else 0,
            reason=outcome.failed.get(each.name, ""),
            fingerprint=None if each.last is None else each.last.fingerprint,
            licence=each.licence,
            engine=None if each.last is None else each.last.engine,
            precision=None if each.last is None else each.last.precision,
            device=None if each.last is None else each.last.device,
            price=unknown_price(shared) if each.name in outcome.failed else each.price,
        )
        for each in encoders
    )


def _cheapest(standings: Sequence[RacedEncoder]) -> str | None:
    """The encoder with the lowest price of those that nothing speaks against."""
    left = [each for each in standings if each.standing in (LEADER, TIED)]
    prices = {each.encoder: each.price.seconds for each in left}
    known = {name: seconds for name, seconds in prices.items() if seconds is not None}
    if not known or len(known) < len(prices):
        return None
    return min(known, key=lambda name: known[name])


def _round(
    shared: Shared, encoders: Sequence[RacedEmbeddings], one: RoundOutcome, metric: str
) -> Round:
    """A completed round, as it is recorded."""
    _, labels, _ = shared.samples[one.sample]

    def measure(outputs: Outputs | None) -> float | None:
        value = np.nan if outputs is None else measure_all(labels, outputs)[metric]
        return float(value) if np.isfinite(value) else None

    results = tuple(
        RoundResult(
            encoder=each.name,
            computed=each.computed.get(one.sample, 0),
            alone=measure(one.scores[each.name].alone),
            with_blocks=measure(one.scores[each.name].joined),
            behind=one.judgement.behind.get(each.name),
            gain=one.judgement.gains.get(each.name),
            stopped=each.name in one.judgement.stopped,
            embed_seconds=one.spent.embedding.get(each.name, 0.0),
            fit_seconds=one.spent.fitting.get(each.name, 0.0),
        )
        for each in encoders
        if each.name in one.scores
    )
    return Round(
        items=shared.sizes[one.sample],
        seconds=one.seconds,
        blocks=measure(one.reference),
        blocks_seconds=one.spent.fitting.get(BLOCKS, 0.0),
        compare_seconds=one.spent.comparing,
        results=results,
    )
