"""Factory of a `HybridClassifier` for the columns of a catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

from hybrid.backbones.licences import LICENCES, UNKNOWN, check_licences
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.errors import SettingError, unknown_name
from hybrid.extraction.imported_stores import find_imported_store, imported_names
from hybrid.extraction.lookup import find_poster_blocks
from hybrid.extraction.text_lookup import (
    TEXT_EMBEDDING,
    find_text_blocks,
    has_text_embeddings,
    maker_name,
)
from hybrid.features import (
    ImportedFeatures,
    MetadataFeatures,
    PosterFeatures,
    TextEmbeddingFeatures,
    TextFeatures,
)
from hybrid.features.embeddings import EmbeddingFeatures
from hybrid.features.fusion import Fusion
from hybrid.heads import HybridClassifier, get_head
from hybrid.heads.decision_rule import ARGMAX, DecisionOptions
from hybrid.heads.dummy import SingleLabelDummy
from hybrid.heads.option_rules import option_problems
from hybrid.types import (
    METRIC,
    ROWS,
    SEARCH,
    SEARCHES,
    EmbeddingSelector,
    ImportedSelector,
    TextSelector,
)
from hybrid.utils.context import Context

BLOCKS = ("poster", TEXT_EMBEDDING, "text", "metadata")
NAMED_WITH = {
    "poster": "--poster-column",
    TEXT_EMBEDDING: "--text",
    "text": "--text",
    "metadata": "--numeric, --categorical, --list or --date",
}


@dataclass(frozen=True)
class FeatureOptions:
    """Settings of the blocks; see `TextFeatures`, `MetadataFeatures` and, for the pooling, `PosterFeatures`.

    Examples
    --------
    >>> FeatureOptions(max_chars=0).min_df
    2
    """

    max_ngram: int = 2
    max_chars: int = 5
    min_df: int = 2
    max_features: int | None = None
    sublinear_tf: bool = True
    segmenter: str = "characters"
    min_count: int = 2
    year_bin: int = 10
    poster_pooling: str = "mean"


def make_hybrid(
    catalogue: Catalogue,
    *,
    head: str = "svm",
    blocks: Sequence[str] | None = None,
    select: EmbeddingSelector | Sequence[EmbeddingSelector] = (),
    select_text: Sequence[TextSelector] = (),
    features: FeatureOptions | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    block_weights: Mapping[str, float] | None = None,
    metric: str = METRIC,
    search: str = SEARCH,
    rows: str = ROWS[0],
    chain: bool = False,
    decision: DecisionOptions | None = None,
    multiclass: bool = False,
    folds: int = 4,
    licence: str = "any",
    context: Context | None = None,
) -> HybridClassifier:
    """Build an unfitted classifier: the blocks that a catalogue has columns for, and a head.

    Parameters
    ----------
    catalogue : Catalogue
        Whose columns are read, and whose posters have been extracted.
    head : str, default="svm"
        ``"svm"``, or a name that `fit-ovr --estimator` takes.
    blocks : sequence of str, optional
        From ``poster``, ``text-embedding``, ``text``, ``metadata``; by default all that the catalogue has,
        text embeddings where its texts have been extracted. Also names of imported embeddings, such as
        ``clip``, or ``clip#4f0c`` with digits of their fingerprint.
    select : EmbeddingSelector or sequence of EmbeddingSelector, default=()
        Which embeddings; by default those that were extracted for this catalogue. Several make several
        poster blocks, named as `hybrid.extraction.lookup.find_poster_blocks` says.
    select_text : sequence of TextSelector, default=()
        The same for text embeddings, named as `hybrid.extraction.text_lookup.find_text_blocks` says.
    features : FeatureOptions, optional
    grid : mapping, optional
        Parameters of the head to choose from; by default the head's own grid.
    block_weights : mapping of str to float, optional
        Block → weight. By default chosen by cross-fitting.
    metric : str, default="weighted-f1"
        What C, block weights and thresholds are chosen by: ``weighted-f1``, ``macro-f1``, ``micro-f1``,
        ``map`` or ``map-weighted``; see `HybridClassifier`.
    search : {"auto", "halving", "full", "grid"}, default="auto"
        How settings are chosen; see `HybridClassifier`. ``"grid"`` takes a wider grid.
    rows : {"auto", "memory", "disk"}, default="auto"
        Where the features of the items are while the head is fitted; see `HybridClassifier`.
    chain : bool, default=False
        Make a classifier chain of the head; see `Chain`.
    decision : DecisionOptions, optional
        Calibration and thresholds.
    multiclass : bool, default=False
        Each item has exactly one label, and gets the most probable one.
    folds : int, default=4
        Of the cross-fitting.
    licence : {"any", "commercial"}, default="any"
        ``"commercial"``: refuse embeddings of weights whose licence is not known to permit commercial use.
    context : Context, optional
        Cache of the embeddings, workers of the fit, seed of the head and of the cross-fitting.

    Returns
    -------
    HybridClassifier
        Not fitted; takes ``catalogue.frame`` and ``catalogue.labels``.

    Raises
    ------
    SettingError
        If a name is unknown, the catalogue lacks what a block needs, or an option would have no effect;
        the message lists all that are wrong.
    ExtractionError
        If the posters have not been extracted.

    Examples
    --------
    >>> from hybrid.catalogue import load_catalogue
    >>> from hybrid.datasets.sample import write_sample
    >>> _ = write_sample("sample", n_items=60)
    >>> catalogue = load_catalogue("sample/catalogue.csv")
    >>> model = make_hybrid(catalogue, blocks=["text", "metadata"], folds=2)
    >>> model.fusion.names
    ('text', 'metadata')
    """
    spec, features, context = get_head(head), features or FeatureOptions(), context or Context()
    select = [select] if isinstance(select, EmbeddingSelector) else select
    decision = decision or DecisionOptions()
    if decision.one_label:
        multiclass, decision = True, replace(decision, objective=None)
    names = choose_blocks(catalogue, blocks, select_text, context)
    problems = option_problems(
        catalogue,
        spec,
        names,
        select=select,
        select_text=select_text,
        features=features,
        grid=grid,
        block_weights=block_weights,
        metric=metric,
        search=search,
        rows=rows,
        chain=chain,
        decision=decision,
    )
    if licence not in LICENCES:
        problems.append(f"--licence: expected {' or '.join(LICENCES)}, found {licence!r}.")
    if search not in SEARCHES:
        problems.append(str(unknown_name("search", str(search), SEARCHES)))
    if rows not in ROWS:
        problems.append(str(unknown_name("rows", str(rows), ROWS)))
    if problems:
        raise SettingError("\n".join(problems))
    columns, made = catalogue.columns, []
    encoded: dict[str, EmbeddingStore] = {}  # blocks of encoders that hybrid runs itself
    if "poster" in names:
        encoded |= (found := find_poster_blocks(catalogue, select, context))
        how: dict[str, Any] = {"workers": context.workers, "pooling": features.poster_pooling}
        made += [(n, PosterFeatures(**_stored(s, context), **how)) for n, s in found.items()]
    if TEXT_EMBEDDING in names:
        encoded |= (found := find_text_blocks(catalogue, select_text, context))
        for name, store in found.items():
            how = {"columns": columns.text, "prefix": store.stands_for["prefix"]}
            made.append((name, TextEmbeddingFeatures(**_stored(store, context), **how)))
    if "text" in names:
        options = _options(features, TextFeatures)
        made.append(("text", TextFeatures(columns.text, **options, n_jobs=context.workers)))
    if "metadata" in names:
        roles = columns.numeric, columns.categorical, columns.list, columns.label_separator
        chosen = _options(features, MetadataFeatures)
        made.append(("metadata", MetadataFeatures(*roles, **chosen, dates=columns.date)))
    made += [(name, _imported(catalogue, name, context)) for name in names if name not in BLOCKS]
    _check_licences(licence, made)
    if grid is None:
        grid = {**spec.grid, **(spec.wide if search == "grid" else {})}
    estimator = spec.build(context.seed)
    if spec.takes_scores:
        genres = tuple(catalogue.genres)
        ready = (name for name, store in encoded.items() if scored_labels(store) == genres)
        estimator.set_params(scores=tuple(ready))
    if multiclass:
        decision = replace(decision, objective=ARGMAX)
        if not spec.tuned:
            estimator = SingleLabelDummy(estimator.strategy, context.seed)
    return HybridClassifier(
        Fusion(made, weights=block_weights),
        estimator,
        grid=grid,
        block_weights=(0.5, 2.0) if spec.weighs_blocks and not block_weights else (),
        metric=metric,
        search=search,
        rows=rows,
        folds=folds,
        tuned=spec.tuned,
        chain=chain,
        n_jobs=context.workers if spec.threads else 1,
        random_state=context.seed,
        decision=decision,
    )


def scored_labels(store: EmbeddingStore) -> tuple[str, ...]:
    """The labels that the rows of a store are scores of, by a tuned encoder; none where they are embeddings.

    Rows of scores keep their lengths, and stacking takes those of the catalogue's genres as they are.

    Parameters
    ----------
    store : EmbeddingStore
        Of texts or of posters.

    Examples
    --------
    >>> stored = {"dimension": 2, "labels": ["Drama", "War"]}
    >>> scored_labels(EmbeddingCache("of-labels").make(stored, {}))
    ('Drama', 'War')
    """
    return tuple(store.stands_for.get("labels", ()))


def _stored(store: EmbeddingStore, context: Context) -> dict[str, Any]:
    """The parameters that all blocks of encoders have."""
    return {
        "cache": context.cache,
        "fingerprint": store.fingerprint,
        "unit_length": not scored_labels(store),
    }


def _check_licences(wanted: str, blocks: Iterable[tuple[str, Any]]) -> None:
    """Raise where a block is of weights that may not be used commercially, and that is wanted."""
    if wanted == "any":
        return
    stores = {
        name: EmbeddingCache(block.cache).find(block.fingerprint)
        for name, block in blocks
        if isinstance(block, EmbeddingFeatures)
    }
    check_licences(
        wanted,
        (
            (
                f"{maker_name(store)} of the block {name}",
                str(store.recorded.get("licence") or UNKNOWN),
            )
            for name, store in stores.items()
        ),
    )


def _imported(catalogue: Catalogue, name: str, context: Context) -> ImportedFeatures:
    store = find_imported_store(catalogue, ImportedSelector.parse(name), context)
    of = store.stands_for["of"]
    texts = catalogue.columns.text if of == "text" else ()
    return ImportedFeatures(context.cache, store.fingerprint, of, texts, context.workers)


def _options(features: FeatureOptions, block: type) -> dict[str, Any]:
    """The options that a block has as parameters."""
    known = signature(block).parameters
    return {name: value for name, value in vars(features).items() if name in known}


def choose_blocks(
    catalogue: Catalogue,
    blocks: Sequence[str] | None,
    select_text: Sequence[TextSelector] = (),
    context: Context | None = None,
) -> tuple[str, ...]:
    """The blocks asked for, or all that the catalogue has columns for, in the usual order.

    Text embeddings are asked for by `select_text`, too; else they are taken where the cache of the context
    has those of all texts. Imported embeddings, which it must have, are taken where they are named, and last.
    """
    columns = catalogue.columns
    has = {
        "poster": columns.poster,
        TEXT_EMBEDDING: columns.text,
        "text": columns.text,
        "metadata": columns.metadata,
    }
    if blocks is None:
        # Posters that are all addresses, or empty, are none; the catalogue's findings tell of them.
        read = len(catalogue.poster_problems) < len(catalogue)
        embedded = bool(select_text) or has_text_embeddings(catalogue, context or Context())
        there = {"poster": read, TEXT_EMBEDDING: embedded}
        found = tuple(name for name in BLOCKS if has[name] and there.get(name, True))
        if not found:
            raise SettingError(f"{catalogue.path}: expected a poster, text or metadata column.")
        return found
    others = [name for name in dict.fromkeys(blocks) if name not in BLOCKS]
    imported = imported_names(context) if others and context is not None else ()
    known = (*BLOCKS, *imported)
    problems = [
        str(unknown_name("block", name, known))
        for name in others
        if ImportedSelector.parse(name).block not in imported
    ]
    problems += [
        f"block {name}: {catalogue.path} has no column for it. Name one with {NAMED_WITH[name]}."
        for name in BLOCKS
        if name in blocks and not has[name]
    ]
    if not blocks:
        problems.append("expected at least one block, found none.")
    if problems:
        raise SettingError("--blocks: " + "\n".join(problems))
    if "poster" in blocks:
        catalogue.require_posters()
    return (*(name for name in BLOCKS if name in blocks), *others)


def use_context(model: HybridClassifier | Fusion, context: Context) -> None:
    """Let a fitted model, or its fusion, use the cache and the workers of the machine that it now runs on."""
    if isinstance(model, HybridClassifier):
        model.set_params(n_jobs=context.workers)
        use_context(model.fusion, context)
        model = model.fusion_
    for _, block in (*model.blocks, *getattr(model, "fitted_", ())):
        if isinstance(block, (PosterFeatures, ImportedFeatures)):
            block.set_params(cache=context.cache, workers=context.workers)
        elif isinstance(block, EmbeddingFeatures):
            block.set_params(cache=context.cache)
        elif isinstance(block, TextFeatures):
            block.set_params(n_jobs=context.workers)
