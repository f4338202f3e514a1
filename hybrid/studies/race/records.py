"""What a race found, as it is returned, printed and written as JSON."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.types import Finding, Interval

# Standing of an encoder at the end.
LEADER, TIED, STOPPED, FAILED, NOT_JUDGED = "leader", "tied", "stopped", "failed", "not judged"


@dataclass(frozen=True)
class Price:
    """What the whole catalogue costs with one encoder; None where it is not known.

    Parameters
    ----------
    embeddings : int
        Different posters or texts of the catalogue, estimated from the sample's.
    left : int
        How many of them have no embedding yet.
    seconds : float or None
        To embed all of them, and to load the encoder once, at the rate that was measured here.
    left_seconds : float or None
        The same for those that are left.
    bytes : int or None
        Of all embeddings on the disk.
    """

    embeddings: int
    left: int
    seconds: float | None
    left_seconds: float | None
    bytes: int | None


@dataclass(frozen=True)
class RoundResult:
    """One encoder in one round.

    Parameters
    ----------
    encoder : str
    computed : int
        Embeddings that were computed for this round.
    alone : float or None
        Out-of-fold metric of the encoder alone.
    with_blocks : float or None
        The same with the blocks; None where there are none.
    behind : Interval or None
        Metric minus that of the leader; of the leader itself 0.
    gain : Interval or None
        Metric with the blocks minus that of the blocks alone.
    stopped : bool
        Whether the encoder is surely worse than the leader.
    embed_seconds : float
        Wall time of embedding what the round lacked, with loading, and of measuring the rate.
    fit_seconds : float
        Wall time of cross-fitting the encoder, alone and with the blocks.
    """

    encoder: str
    computed: int
    alone: float | None
    with_blocks: float | None
    behind: Interval | None
    gain: Interval | None
    stopped: bool
    embed_seconds: float
    fit_seconds: float


@dataclass(frozen=True)
class Round:
    """One round.

    Parameters
    ----------
    items : int
        Of the sample.
    seconds : float
        Wall time of the round.
    blocks : float or None
        Out-of-fold metric of the blocks alone.
    blocks_seconds : float
        Wall time of cross-fitting them.
    compare_seconds : float
        Wall time of the intervals.
    results : tuple of RoundResult
        One for each encoder that took part.
    """

    items: int
    seconds: float
    blocks: float | None
    blocks_seconds: float
    compare_seconds: float
    results: tuple[RoundResult, ...]


@dataclass(frozen=True)
class RacedEncoder:
    """One encoder at the end of a race.

    Parameters
    ----------
    encoder : str
        Its name in this race.
    of : {"poster", "text"}
    option : str
        What names it on the command line, such as ``--backbone vgg16``.
    standing : {"leader", "tied", "stopped", "failed", "not judged"}
        ``"tied"``: not surely worse than the leader.
    items : int
        Of the last sample that it was judged on; 0 where there is none.
    reason : str
        Why it failed; else empty.
    fingerprint : str or None
        Of its embeddings in the cache.
    licence : str
        Of its weights.
    engine, precision, device : str or None
        That it was measured with.
    price : Price
    """

    encoder: str
    of: str
    option: str
    standing: str
    items: int
    reason: str
    fingerprint: str | None
    licence: str
    engine: str | None
    precision: str | None
    device: str | None
    price: Price


@dataclass(frozen=True)
class Race:
    """The result of a race.

    Parameters
    ----------
    leader : str or None
        The encoder with the best metric in the last round; None where no round was completed.
    cheapest : str or None
        Of the leader and those that are not surely worse, the one with the lowest price; None where a price
        is not known.
    ended : str
        Why there is no further round, in words.
    metric : str
    blocks : tuple of str
        That each encoder was added to.
    confidence, round_level : float
        Of all rounds together, and of each.
    budget, seconds : float
        Wall time, as allowed and as spent.
    embed_seconds, fit_seconds : float
        Of them, to embed and to fit and compare, in all rounds; one that was broken off counts, too.
    catalogue_items, train_items : int
        Of the whole catalogue; of the train and validation items that samples are drawn from.
    sizes : tuple of int
        Of the planned samples.
    seed : int
    encoders : tuple of RacedEncoder
        As they were named.
    rounds : tuple of Round
        The completed ones.
    findings : tuple of Finding
        What else should be known.
    """

    leader: str | None
    cheapest: str | None
    ended: str
    metric: str
    blocks: tuple[str, ...]
    confidence: float
    round_level: float
    budget: float
    seconds: float
    embed_seconds: float
    fit_seconds: float
    catalogue_items: int
    train_items: int
    sizes: tuple[int, ...]
    seed: int
    encoders: tuple[RacedEncoder, ...]
    rounds: tuple[Round, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class PlannedEncoder:
    """What a race would compute with one encoder, at most.

    Parameters
    ----------
    encoder, of, option, licence : str
        As in `RacedEncoder`.
    embeddings : int
        Different posters or texts of the train and validation items.
    cached : int
        How many of them are in the cache.
    seconds : float
        About how long the others take; loading aside.
    bytes : int
        Their size on the disk.
    """

    encoder: str
    of: str
    option: str
    licence: str
    embeddings: int
    cached: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class PlannedRound:
    """What a round would take, if no encoder stops before.

    Parameters
    ----------
    items : int
        Of the sample.
    embed_seconds : float
        About how long it takes to embed what the cache lacks; loading aside.
    fit_seconds : float or None
        About how long fits and comparison take, as measured by fitting the blocks on the first sample; None
        where there are none, and nothing is measured.
    affordable : bool
        Whether this round and those before it are within the budget.
    """

    items: int
    embed_seconds: float
    fit_seconds: float | None
    affordable: bool


@dataclass(frozen=True)
class RacePlan:
    """What a race would do; `sizes`, `blocks`, `round_level` and the others as in `Race`."""

    metric: str
    blocks: tuple[str, ...]
    confidence: float
    round_level: float
    budget: float
    catalogue_items: int
    train_items: int
    sizes: tuple[int, ...]
    encoders: tuple[PlannedEncoder, ...]
    rounds: tuple[PlannedRound, ...]
