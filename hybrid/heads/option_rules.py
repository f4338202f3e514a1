"""Which options of a head have an effect: rules that `make_hybrid` checks before anything is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from math import prod
from typing import Any

from hybrid.catalogue import Catalogue
from hybrid.extraction.lookup import selector_problems
from hybrid.extraction.pooling import pooling_problems, pooling_rule
from hybrid.features.fusion import block_kind
from hybrid.features.metadata import find_years
from hybrid.features.text import ICU
from hybrid.heads.decision_rule import DecisionOptions
from hybrid.heads.feature_rows import reads_rows
from hybrid.heads.registry import HeadSpec
from hybrid.heads.scoring import is_joint
from hybrid.types import METRIC, ROWS, SEARCH, EmbeddingSelector, TextSelector
from hybrid.utils.dictionary_words import icu_problems
from hybrid.utils.options import Rule, given_options, list_unused
from hybrid.utils.scripts import has_unspaced_script

COMMANDS = ("fit-svm", "fit-ovr")
TEXT = ("max-ngram", "max-chars", "min-df", "max-features", "sublinear", "segmenter")
METADATA = ("min-count", "year-bin")
TEXT_EMBEDDINGS = ("text-encoder", "text-embeddings")
EMBEDDINGS = ("backbone", "weights", "dtype", "embeddings", "poster-pooling")
TUNING = ("metric", "search", "thresholds", "shrinkage", "calibration", "block-weight", "C")
# Field of a dataclass → its option, where that is spelled differently.
OPTION = {"sublinear_tf": "sublinear", "objective": "thresholds"}


def option_problems(
    catalogue: Catalogue,
    spec: HeadSpec,
    names: Sequence[str],
    *,
    select: Sequence[EmbeddingSelector],
    select_text: Sequence[TextSelector],
    features: Any,
    grid: Mapping[str, Collection[Any]] | None,
    block_weights: Mapping[str, float] | None,
    metric: str,
    search: str,
    rows: str,
    chain: bool,
    decision: DecisionOptions,
) -> list[str]:
    """One message for each option of `make_hybrid` that would have no effect, or contradicts another.

    Parameters
    ----------
    catalogue : Catalogue
    spec : HeadSpec
    names : sequence of str
        The blocks.
    select, select_text, features, grid, block_weights, metric, search, rows, chain, decision
        As for `make_hybrid`.
    """
    listed = ", ".join(names)
    columns = catalogue.columns
    years = "metadata" in names and (columns.date or find_years(catalogue.frame, columns.numeric))
    tokens = bool(columns.categorical or columns.list or years)
    searched = {**spec.grid, **spec.wide} if grid is None else grid
    candidates = prod(map(len, searched.values()))
    weighed = (
        spec.weighs_blocks
        and not block_weights
        and (len(names) > 1 or len(select) > 1 or len(select_text) > 1)
    )
    rules = (
        Rule((*TEXT, *METADATA, *TUNING, "poster-pooling"), spec.tuned, f"{spec.name} reads no features"),
        Rule(EMBEDDINGS, "poster" in names, f"the block poster is not among {listed}"),
        pooling_rule(catalogue),
        Rule(TEXT_EMBEDDINGS, "text-embedding" in names, f"the block text-embedding is not among {listed}"),
        Rule(TEXT, "text" in names, f"the block text is not among {listed}"),
        Rule(
            ("segmenter",),
            features.segmenter != ICU or _is_unspaced(catalogue),
            "no text is in a script without spaces between words",
        ),
        Rule(METADATA, "metadata" in names, f"the block metadata is not among {listed}"),
        Rule(("year-bin",), bool(years), f"{catalogue.path} has no column of years or dates"),
        Rule(("min-count",), tokens, f"{catalogue.path} has only numbers as metadata"),
        Rule(("block-weight",), not spec.ignores_scale, f"{spec.name} ignores the scale of features"),
        Rule(
            ("search",),
            candidates > 1 or weighed,
            f"{spec.name} has nothing to choose here: all parameters and block weights are fixed",
        ),
        Rule(("rows",), reads_rows(spec.build(0)), f"{spec.name} needs all rows in memory"),
    )  # fmt: skip
    given = given_options(
        {
            "backbone": ([each.backbone for each in select if each.backbone], []),
            "weights": ([each.weights for each in select if each.weights], []),
            "dtype": ([each.dtype for each in select if each.dtype], []),
            "embeddings": ([each.fingerprint for each in select if each.fingerprint], []),
            "text-encoder": ([each.text_encoder for each in select_text if each.text_encoder], []),
            "text-embeddings": ([each.fingerprint for each in select_text if each.fingerprint], []),
            "block-weight": (block_weights or {}, {}),
            "metric": (metric, METRIC),
            "search": (search, SEARCH),
            "rows": (rows, ROWS[0]),
            "C": (grid is not None and "C" in grid, False),
            **_values(features),
            **_values(decision),
        },
        *COMMANDS,
    )
    return [
        *list_unused(rules, given),
        *(problem for each in select for problem in selector_problems(each)),
        *_weight_problems(block_weights or {}, names),
        *_contradictions(spec, metric, rows, chain, decision),
        *pooling_problems(features.poster_pooling),
        *(icu_problems() if features.segmenter == ICU else ()),
    ]


def _is_unspaced(catalogue: Catalogue) -> bool:
    """Whether any text is in a script without spaces."""
    cells = (catalogue.table[name].tolist() for name in catalogue.columns.text)
    return any(has_unspaced_script(text) for column in cells for text in column)


def _values(options: Any) -> dict[str, tuple[Any, Any]]:
    """Value and default of each field of a dataclass, by the name of its option."""
    values = asdict(options)
    return {
        OPTION.get(field.name, field.name.replace("_", "-")): (values[field.name], field.default)
        for field in fields(options)
    }


def _weight_problems(weights: Mapping[str, float], names: Sequence[str]) -> list[str]:
    # Further poster blocks are named after their backbone, which the cache knows.
    return [
        f"--block-weight: expected a block among {', '.join(names)}, found {block!r}."
        for block in weights
        if block_kind(block) not in names
    ]


def _contradictions(
    spec: HeadSpec, metric: str, rows: str, chain: bool, decision: DecisionOptions
) -> list[str]:
    problems = []
    if chain and rows == "disk":
        problems.append(
            "--rows disk: expected a head without --chain, which needs all rows in memory. Leave one of the "
            "two out."
        )
    if chain and not spec.chains:
        problems.append(
            f"--chain: expected a head that fits each genre by itself, found {spec.name}, which ignores "
            "the features or uses the scores of the other genres already. Leave --chain out."
        )
    if is_joint(metric) and decision.objective == "genre":
        problems.append(
            f"--thresholds genre: expected micro, or none, with --metric {metric}, which counts the labels "
            "of all genres together, as its thresholds must. Leave one of the two out."
        )
    return problems
