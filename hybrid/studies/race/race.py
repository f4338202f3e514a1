"""Race of encoders on the same growing sample; those that are surely worse than the leader stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hybrid.audit.ancestry import find_learnt_items
from hybrid.backbones.provenance import Provenance
from hybrid.catalogue import Catalogue
from hybrid.errors import CatalogueError, SettingError
from hybrid.evaluation import Outputs, measure_all
from hybrid.heads.make_hybrid import choose_blocks
from hybrid.runs.experiment import Experiment
from hybrid.splitting.tasks import TRAINING, Task
from hybrid.studies.race.elimination import MEASURED, Judgement, compare_round, round_level
from hybrid.studies.race.encoders import RacedEmbeddings, Sample, Shared, unknown_price
from hybrid.studies.race.entries import Entry, resolve_entries
from hybrid.studies.race.options import RaceOptions
from hybrid.studies.race.records import (
    FAILED,
    LEADER,
    NOT_JUDGED,
    STOPPED,
    TIED,
    Race,
    RacedEncoder,
    RacePlan,
    Round,
    RoundResult,
)
from hybrid.studies.race.rounds import Clock, Outcome, RoundOutcome, Rounds, Scores
from hybrid.studies.race.sampling import nested_samples, sample_sizes
from hybrid.types import Finding, Split
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.counts import counted
from hybrid.utils.read_only import reads_only
from hybrid.utils.unknown_labels import as_no

OWN_BLOCKS = ("text", "metadata")


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
    shared, encoders, findings = _prepare(
        catalogue, split, backbones, text_encoders, weights, options, task, split_path, context
    )
    metric, level = MEASURED[options.metric], round_level(options.confidence, len(shared.samples))

    def compare(sample: int, scores: dict[str, Scores], reference: Outputs | None) -> Judgement:
        _, labels, groups = shared.samples[sample]
        judged = {name: each.judged for name, each in scores.items()}
        how = metric, groups, level, context.seed
        return compare_round(labels, judged, reference, *how)

    blocks = shared.fit_blocks if shared.blocks else None
    rounds = Rounds(encoders, shared.sizes, compare, clock, blocks, context.progress.say)
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
        catalogue_items=len(catalogue),
        train_items=shared.sizes[-1],
        sizes=shared.sizes,
        seed=context.seed,
        encoders=standings,
        rounds=tuple(_round(shared, encoders, one, metric) for one in outcome.rounds),
        findings=findings,
    )


@reads_only
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

    Parameters and errors are those of `race_encoders`. Each encoder embeds some items for a few seconds.
    """
    options, context = options or RaceOptions(), context or Context()
    shared, encoders, _ = _prepare(
        catalogue, split, backbones, text_encoders, weights, options, task, split_path, context
    )
    sizes = shared.sizes
    return RacePlan(
        metric=options.metric,
        blocks=shared.blocks,
        confidence=options.confidence,
        round_level=round_level(options.confidence, len(sizes)),
        budget=options.budget,
        catalogue_items=len(catalogue),
        train_items=sizes[-1],
        sizes=sizes,
        encoders=tuple(each.planned() for each in encoders),
    )


def _prepare(
    catalogue: Catalogue,
    split: Split,
    backbones: Sequence[str],
    text_encoders: Sequence[str],
    weights: Sequence[str],
    options: RaceOptions,
    task: Task | None,
    split_path: str | Path,
    context: Context,
) -> tuple[Shared, list[RacedEmbeddings], tuple[Finding, ...]]:
    """Check everything, draw the samples, resolve the encoders."""
    if problems := options.problems():
        raise SettingError("\n".join(problems))
    if backbones:
        catalogue.require_posters()
    if text_encoders and not catalogue.columns.text:
        raise CatalogueError(
            f"{catalogue.path}: expected a text column, found none. Name it with --text COLUMN."
        )
    entries = resolve_entries(
        backbones,
        weights,
        text_encoders,
        engine=options.engine,
        licence=options.licence,
        seed=context.seed,
    )
    task = task or Task()
    experiment = Experiment(catalogue, split, Path("race"), Path(split_path), context=context)
    experiment.check_items()
    experiment = experiment.narrowed(task)
    findings = _check_learnt(experiment, entries)
    blocks = _blocks(experiment.catalogue, options, context)
    samples = _samples(experiment, options)
    shared = Shared(samples, catalogue, blocks, options, task.multiclass, context)
    return shared, [entry.make(entry.name, shared) for entry in entries], findings


def _blocks(catalogue: Catalogue, options: RaceOptions, context: Context) -> tuple[str, ...]:
    if options.blocks is None:
        columns = catalogue.columns
        has = {"text": columns.text, "metadata": columns.metadata}
        return tuple(name for name in OWN_BLOCKS if has[name])
    if not options.blocks:
        return ()
    try:
        return choose_blocks(catalogue, options.blocks, (), context)
    except SettingError as error:
        raise SettingError(str(error).replace("--blocks", "--with-blocks", 1)) from error


def _samples(experiment: Experiment, options: RaceOptions) -> tuple[Sample, ...]:
    """The samples, each with its items in the order of the catalogue."""
    rows, groups = experiment.rows(*TRAINING), experiment.groups(*TRAINING)
    order = np.argsort(rows)
    rows, groups = rows[order], groups[order]
    ids, labels = experiment.catalogue.ids[rows], experiment.catalogue.labels[rows]
    sizes = sample_sizes(len(rows), options.start)
    nested = nested_samples(ids, as_no(labels), groups, sizes, experiment.context.seed)
    return tuple(
        Sample(experiment.catalogue.only(ids[some].tolist()), labels[some], groups[some])
        for some in nested
    )


def _check_learnt(experiment: Experiment, entries: Sequence[Entry]) -> tuple[Finding, ...]:
    """Refuse encoders that have learnt labels of the race's items; tell of those of which it is not known.

    Raises
    ------
    SettingError
        The message names all.
    """
    refused = []
    train = experiment.split.ids[np.isin(experiment.split.parts, TRAINING)]
    raced = Split(train, np.full(len(train), "test"), experiment.groups(*TRAINING), "")
    for entry in entries:
        if not entry.learnt.ancestors:
            continue
        known = Provenance(entry.learnt.ancestors)
        found = find_learnt_items(raced, experiment.hashed, known, experiment.split)
        if found.items:
            refused.append(f"{entry.name} (from {counted(len(found.items), 'item')})")
    if refused:
        raise SettingError(
            "--backbone, --text-encoder: expected encoders that have learnt no labels of the train and "
            f"validation items, found {', '.join(refused)}: their out-of-fold scores would be too good. "
            "Compare runs of them instead, on the test items, with hybrid report."
        )
    unknown = [entry.name for entry in entries if entry.learnt.unknown]
    if not unknown:
        return ()
    return (
        Finding(
            "origin of weights",
            f"it cannot be told what {', '.join(unknown)} learnt from; if from labels of these items, the "
            "scores are too good",
            len(unknown),
            examples=tuple(unknown[:3]),
        ),
    )


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
        )
        for each in encoders
        if each.name in one.scores
    )
    return Round(shared.sizes[one.sample], one.seconds, measure(one.reference), results)
