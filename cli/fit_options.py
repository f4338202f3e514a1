"""Options of the commands that fit a head or a network: blocks, decision, studies."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from hybrid.cli.options import DTYPES, licence_option, parse_blocks, stack_options
from hybrid.types import METRIC, METRICS, POSTER_POOLINGS, ROWS, SEARCH, SEARCHES

_SEVERAL = "Can be repeated: one poster block each."
pooling_option = click.option(
    "--poster-pooling", type=click.Choice(POSTER_POOLINGS), default="mean", show_default=True,
    help="How the embeddings of an item that has several posters become one.",
)  # fmt: skip
blocks_option = click.option(
    "--blocks", metavar="NAME,NAME", callback=lambda context, parameter, value: parse_blocks(value),
    help="Blocks, from poster,text-embedding,text,metadata and those of hybrid import-embeddings.  "
    "[default: all that the catalogue has; text-embedding where its texts have been embedded]",
)  # fmt: skip
text_encoder_options = (
    click.option("--text-encoder", metavar="NAME|FOLDER", multiple=True,
                 help="Text encoder of the block text-embedding.  [default: the only one extracted]  Can be "
                 "repeated: one block each."),
    click.option("--text-embeddings", metavar="DIGITS", multiple=True,
                 help="First digits of the fingerprint of text embeddings, where the encoder does not tell "
                 "two sets apart; one for each block."),
)  # fmt: skip
_FEATURES = (
    blocks_option,
    click.option("--backbone", multiple=True,
                 help=f"Backbone of the embeddings.  [default: the only one extracted]  {_SEVERAL}"),
    click.option("--weights", multiple=True,
                 help="Weights of the backbone, where there are several; one for all, or one each; with "
                 "--backbone."),
    click.option("--dtype", type=DTYPES, help="Data type of the embeddings, where there are both."),
    click.option("--embeddings", metavar="DIGITS", multiple=True,
                 help=f"First digits of their fingerprint, where nothing else differs.  {_SEVERAL}"),
    pooling_option,
    *text_encoder_options,
    click.option("--max-ngram", type=int, default=2, show_default=True,
                 help="Maximum number of words in a term."),
    click.option("--max-chars", type=int, default=5, show_default=True,
                 help="Maximum length of character n-grams within words, from 3; 0: words only."),
    click.option("--min-df", type=int, default=2, show_default=True,
                 help="Minimum number of items that contain a term."),
    click.option("--max-features", type=int,
                 help="Maximum number of terms, the most frequent ones.  [default: all]"),
    click.option("--sublinear/--no-sublinear", "sublinear_tf", default=True, show_default=True,
                 help="Replace the term frequency tf by 1 + log(tf)."),
    click.option("--segmenter", type=click.Choice(["characters", "icu"]), default="characters",
                 show_default=True,
                 help="Words of a script without spaces: characters, or by ICU's dictionaries (extra icu)."),
    click.option("--min-count", type=int, default=2, show_default=True,
                 help="Minimum number of items that have a metadata value."),
    click.option("--year-bin", type=int, default=10, show_default=True, help="Width of the bins of years."),
    click.option("--block-weight", "block_weights", multiple=True, metavar="BLOCK=W",
                 help="Fix the weights of the blocks instead of choosing them: of this one, and 1 of those "
                 "that are not named.  Can be repeated."),
    click.option("--metric", type=click.Choice(METRICS), default=METRIC, show_default=True,
                 help="Metric that parameters and thresholds are chosen by."),
    click.option("--search", type=click.Choice(SEARCHES), is_flag=False, flag_value="grid", default=SEARCH,
                 show_default=True,
                 help="How settings are chosen.  full: one after the other, each candidate evaluated on all "
                 "items.  halving: by successive halving on samples.  auto: halving from 8,192 items on, "
                 "else full.  grid, or no value: all combinations of a wider grid and of block weights; "
                 "prints the results."),
    click.option("--rows", type=click.Choice(ROWS), default=ROWS[0], show_default=True,
                 help="Where features are during the fit.  memory: all at once.  disk: embeddings in the "
                 "cache, others in a temporary folder (TMPDIR).  auto: disk where the features would take "
                 "more than half of the memory."),
    click.option("--nested", is_flag=True,
                 help="Estimate the whole procedure by nested cross-validation, without the test items."),
    click.option("--chain", is_flag=True,
                 help="Classifier chain: each genre also uses the scores of more frequent ones; slower."),
    click.option("--folds", type=click.IntRange(min=2), default=4, show_default=True,
                 help="Number of folds of the cross-fitting."),
    click.option("--curve", is_flag=True,
                 help="Learning curve: also fit 1/16 … 1/2 of the items."),
    licence_option,
    click.option("--name", help="Name of the run.  [default: that of the model]"),
)  # fmt: skip

_STUDY = (
    click.option("--ablation", is_flag=True,
                 help="Ablation: also fit every subset of the blocks, and remove blocks from test items."),
    click.option("--repeats", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
                 help="Number of splits, by the method of the run's own, which is one of them."),
)  # fmt: skip

_DECISION = (
    click.option("--shrinkage", type=click.FloatRange(min=0),
                 help="Shrinks thresholds of rare genres to the pooled one.  [default: 1; 300 for micro]"),
    click.option("--calibration", type=click.Choice(["auto", "sigmoid", "isotonic"]), default="auto",
                 show_default=True,
                 help="Calibration method; auto: isotonic from 1,000 items of the rarer class."),
    click.option("--max-labels", type=click.IntRange(min=1), metavar="K",
                 help="Maximum number of labels of an item."),
    click.option("--at-least-one", is_flag=True,
                 help="Predict at least one label for each item that has any features."),
)  # fmt: skip


def feature_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of blocks and cross-fitting.

    Those that select embeddings become `select`, a tuple of `EmbeddingSelector`, and `select_text`, of
    `TextSelector`.
    """

    @functools.wraps(command)
    def call(*args: Any, **values: Any) -> Any:
        from hybrid.extraction.lookup import embedding_selectors
        from hybrid.extraction.text_lookup import text_selectors

        names = ("backbone", "weights", "dtype", "embeddings")
        said = [values.pop(name) for name in names]
        select = embedding_selectors(*said) if any(said) else ()
        texts = [values.pop(name) for name in ("text_encoder", "text_embeddings")]
        return command(*args, select=select, select_text=text_selectors(*texts), **values)

    return stack_options(_FEATURES, call)


def decision_options(metric: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of the `decision`, a `DecisionOptions`; `metric`: whether ``--metric`` is one, too."""
    default = "micro with --metric micro-f1, else genre" if metric else "genre"

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def call(*args: Any, **values: Any) -> Any:
            from hybrid.heads.decision_rule import DecisionOptions

            fields = DecisionOptions.__dataclass_fields__
            decision = DecisionOptions(**{name: values.pop(name) for name in fields})
            return command(*args, decision=decision, **values)

        thresholds = click.option(
            "--thresholds", "objective", type=click.Choice(["genre", "micro"]),
            help=f"Thresholds that maximise the F1 of each genre, or micro F1.  [default: {default}]",
        )  # fmt: skip
        return stack_options((thresholds, *_DECISION), call)

    return decorate


def study_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of studies: `ablation`, `repeats`."""
    return stack_options(_STUDY, command)
