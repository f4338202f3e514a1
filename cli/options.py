"""Options that several commands share, and the parameters they become."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from hybrid.types import METRIC, METRICS
from hybrid.utils.options import typed_options
from hybrid.utils.progress import Progress, show_progress
from hybrid.utils.resources import limit_workers, usable_cores

if TYPE_CHECKING:
    from hybrid.utils.context import Context


@dataclass(frozen=True)
class Project:
    """Values of the common options: paths, seed, workers, output.

    Those that a command does not have are of no meaning to it, and have their defaults here.
    """

    catalogue: Path = Path("catalogue.csv")
    splits: Path = Path("splits.csv")
    cache: str = ".hybrid-cache"
    runs: Path = Path("runs")
    seed: int = 0
    workers: int = field(default_factory=usable_cores)
    quiet: bool = False
    json: bool = False

    @property
    def command(self) -> str:
        """The command as the user typed it, for the record of a run."""
        return shlex.join(["hybrid", *sys.argv[1:]])

    @cached_property
    def context(self) -> Context:
        """Cache, workers, seed and progress, as every function of the library takes them."""
        from hybrid.utils.context import Context

        return Context(self.cache, self.workers, self.seed, self.progress)

    @cached_property
    def progress(self) -> Progress:
        """Display of the progress on stderr."""
        return Progress(self.quiet)

    def find_run(self, run: Path) -> Path:
        """The folder of a run: as named, or of that name in the folder of the runs."""
        inside = self.runs / run
        named = (run / "run.json").exists() or not (inside / "run.json").exists()
        return run if named else inside


_COMMON = {
    "catalogue": click.option("--catalogue", type=click.Path(path_type=Path), default="catalogue.csv",
                              show_default=True, help="Catalogue: a CSV, JSON, Parquet or Excel file."),
    "splits": click.option("--splits", type=click.Path(path_type=Path), default="splits.csv",
                           show_default=True, help="File of the split."),
    "cache": click.option("--cache", envvar="HYBRID_CACHE", default=".hybrid-cache", show_default=True,
                          show_envvar=True, help="Folder of the embedding cache."),
    "runs": click.option("--runs", type=click.Path(path_type=Path), default="runs", show_default=True,
                         help="Folder of the runs."),
    "seed": click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
                         help="Seed of everything random."),
    "workers": click.option("--workers", type=click.IntRange(min=1), default=usable_cores,
                            show_default="one per usable core", help="Number of threads."),
    "quiet": click.option("--quiet", is_flag=True, help="Show no progress on stderr."),
    "json": click.option("--json", is_flag=True, help="Print the result as JSON."),
}  # fmt: skip

EVERYWHERE = ("quiet", "json")
encoding_option = click.option("--encoding", default="utf-8", show_default=True,
                               help="Text encoding of CSV and JSON files.")  # fmt: skip

_COLUMNS = (
    click.option("--id-column", help="Column with the ids.  [default: id, or the first *_id]"),
    click.option("--label-column", help="Column with the labels.  [default: genres]"),
    click.option("--label-separator", default="|", show_default=True,
                 help="Separator of labels, and of the entries of a list."),
    click.option("--text", multiple=True, help="Text column.  [default: title, overview]"),
    click.option("--numeric", multiple=True, help="Numeric metadata column."),
    click.option("--categorical", multiple=True, help="Categorical metadata column."),
    click.option("--list", multiple=True, help="Metadata column with lists, such as cast."),
    click.option("--drop", multiple=True, help="Column to ignore."),
    encoding_option,
)  # fmt: skip

_DTYPES = click.Choice(["float16", "float32"])


class _Size(click.ParamType):
    """``299`` or ``268x182``: height and width."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        sides = str(value).lower().split("x")
        if len(sides) > 2 or not all(side.strip().isdecimal() for side in sides):
            self.fail(f"expected HEIGHTxWIDTH such as 268x182, or one number, found {value!r}.")
        return int(sides[0]), int(sides[-1])


SIZE = _Size()

# What changes an embedding.
_OPTIONS = (
    click.option("--layer", default="last", show_default=True,
                 help="Layer whose output is pooled; hybrid backbones --layers NAME lists them."),
    click.option("--pooling", help="Global pooling: avg, max or gem.  [default: the backbone's, avg]"),
    click.option("--input-size", type=SIZE, metavar="HxW",
                 help="Input size in pixels.  [default: the backbone's]"),
    click.option("--fit", type=click.Choice(["squash", "pad", "crop"]), default="squash",
                 show_default=True, help="How a poster is resized to the input size."),
    click.option("--precision", type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
                 default="auto", show_default=True,
                 help="Numeric precision of the computation; auto: bfloat16 where the hardware has it and a "
                 "check of the embeddings passes, else float32."),
    click.option("--dtype", type=_DTYPES, default="float16", show_default=True,
                 help="Data type of the stored embeddings."),
    click.option("--engine", type=click.Choice(["keras", "openvino", "auto"]), default="keras",
                 show_default=True, help="Inference engine; auto: the fastest that is installed."),
)  # fmt: skip

# Which of the extracted embeddings are meant.
_EMBEDDINGS = (
    click.option("--backbone", help="Backbone of the embeddings.  [default: the only one extracted]"),
    click.option("--weights", help="Weights of the backbone, where there are several; with --backbone."),
    click.option("--dtype", type=_DTYPES, help="Data type of the embeddings, where there are both."),
    click.option("--embeddings", metavar="DIGITS",
                 help="First digits of their fingerprint, where nothing else differs."),
)  # fmt: skip

_SEVERAL = "Can be repeated: one poster block each."
_FEATURES = (
    click.option("--blocks",
                 help="Blocks, from poster,text,metadata.  [default: all that the catalogue has]"),
    click.option("--backbone", multiple=True,
                 help=f"Backbone of the embeddings.  [default: the only one extracted]  {_SEVERAL}"),
    click.option("--weights", multiple=True,
                 help="Weights of the backbone, where there are several; one for all, or one each; with "
                 "--backbone."),
    click.option("--dtype", type=_DTYPES, help="Data type of the embeddings, where there are both."),
    click.option("--embeddings", metavar="DIGITS", multiple=True,
                 help=f"First digits of their fingerprint, where nothing else differs.  {_SEVERAL}"),
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
    click.option("--min-count", type=int, default=2, show_default=True,
                 help="Minimum number of items that have a metadata value."),
    click.option("--year-bin", type=int, default=10, show_default=True, help="Width of the bins of years."),
    click.option("--block-weight", "block_weights", multiple=True, metavar="BLOCK=W",
                 help="Fix the weights of the blocks instead of choosing them: of this one, and 1 of those "
                 "that are not named.  Can be repeated."),
    click.option("--metric", type=click.Choice(METRICS), default=METRIC, show_default=True,
                 help="Metric that parameters and thresholds are chosen by."),
    click.option("--search", is_flag=True,
                 help="Search all combinations of a wider grid and of block weights; print the results."),
    click.option("--nested", is_flag=True,
                 help="Estimate the whole procedure by nested cross-validation, without the test items."),
    click.option("--chain", is_flag=True,
                 help="Classifier chain: each genre also uses the scores of more frequent ones; slower."),
    click.option("--folds", type=click.IntRange(min=2), default=4, show_default=True,
                 help="Number of folds of the cross-fitting."),
    click.option("--curve", is_flag=True,
                 help="Learning curve: also fit 1/16 … 1/2 of the items."),
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


def _stack(options: tuple[Any, ...], command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def common_options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add common options, ``--quiet`` and ``--json`` always; they become the first argument, a `Project`.

    A command names those that mean something to it. The options that the user has typed, of all that the
    command has, are told to the library, which refuses those that would have no effect.
    """
    chosen = {name: option for name, option in _COMMON.items() if name in (*names, *EVERYWHERE)}
    if unknown := set(names) - set(chosen):
        raise ValueError(f"no common options: {', '.join(sorted(unknown))}")

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def call(**values: Any) -> Any:
            project = Project(**{name: values.pop(name) for name in chosen})
            with (
                typed_options(*_typed()),
                limit_workers(project.workers),
                show_progress(project.progress),
            ):
                return command(project, **values)

        return _stack(tuple(chosen.values()), call)

    return decorate


project_options = common_options(*_COMMON)


def _typed() -> tuple[str, list[str]]:
    """The command, and the options that stood on its command line, without their dashes."""
    context = click.get_current_context()
    typed = [
        parameter.opts[0].lstrip("-")
        for parameter in context.command.params
        if isinstance(parameter, click.Option)
        and context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]
    return str(context.command.name), typed


def column_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the catalogue's columns; they become `columns`, a `ColumnOptions`."""

    @functools.wraps(command)
    def call(*args: Any, **values: Any) -> Any:
        from hybrid.types import ColumnOptions

        columns = ColumnOptions(
            id=values.pop("id_column"),
            label=values.pop("label_column"),
            label_separator=values.pop("label_separator"),
            encoding=values.pop("encoding"),
            **{r: values.pop(r) for r in ("text", "numeric", "categorical", "list", "drop")},
        )
        return command(*args, columns=columns, **values)

    return _stack(_COLUMNS, call)


def feature_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of blocks and cross-fitting.

    Those that select embeddings become `select`, a tuple of `EmbeddingSelector`.
    """

    @functools.wraps(command)
    def call(*args: Any, **values: Any) -> Any:
        from hybrid.extraction.lookup import embedding_selectors

        names = ("backbone", "weights", "dtype", "embeddings")
        said = [values.pop(name) for name in names]
        select = embedding_selectors(*said) if any(said) else ()
        return command(*args, select=select, **values)

    return _stack(_FEATURES, call)


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
        return _stack((thresholds, *_DECISION), call)

    return decorate


def study_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of studies: `ablation`, `repeats`."""
    return _stack(_STUDY, command)


def backbone_options(several: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of an extraction: `backbone`, `weights`, `options`, `engine`.

    With `several`, backbone and weights can be given more than once, and are tuples.
    """
    weights = "imagenet, random, a weights file, or a run that trained the backbone."
    backbone = "Name of a backbone; hybrid backbones lists them."
    if several:
        backbone += " Can be repeated: each poster is then decoded once for all."
        weights += " One for all backbones, or one each."
    names = (
        click.option("--backbone", required=True, multiple=several, help=backbone),
        click.option("--weights", default=("imagenet",) if several else "imagenet",
                     show_default="imagenet", multiple=several, help=weights),
    )  # fmt: skip

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def call(*args: Any, **values: Any) -> Any:
            from hybrid.types import EmbeddingOptions

            fields = EmbeddingOptions.__dataclass_fields__
            options = EmbeddingOptions(**{name: values.pop(name) for name in fields})
            return command(*args, options=options, **values)

        return _stack((*names, *_OPTIONS), call)

    return decorate


def embedding_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select embeddings; they become `select`, an `EmbeddingSelector`."""

    @functools.wraps(command)
    def call(*args: Any, **values: Any) -> Any:
        from hybrid.types import EmbeddingSelector

        names = ("backbone", "weights", "dtype", "embeddings")
        select = EmbeddingSelector(*(values.pop(name) for name in names))
        return command(*args, select=select, **values)

    return _stack(_EMBEDDINGS, call)


def parse_ids(entries: tuple[str, ...]) -> list[str]:
    """``("7", "@ids.txt")`` → ids; a file has one a line."""
    ids = []
    for entry in entries:
        if not entry.startswith("@"):
            ids.append(entry)
            continue
        try:
            lines = Path(entry[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(
                f"--ids {entry}: expected a file with one id a line, found: {error}."
            ) from None
        ids += [line.strip() for line in lines if line.strip()]
    return ids


def parse_blocks(blocks: str | None) -> tuple[str, ...] | None:
    """``"poster,text"`` → names; None where the option is not given."""
    if blocks is None:
        return None
    return tuple(name.strip() for name in blocks.split(",") if name.strip())


def parse_weights(pairs: tuple[str, ...]) -> dict[str, float] | None:
    """``("poster=2",)`` → weights; None where the option is not given."""
    weights = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            weights[name] = float(value)
        except ValueError:
            raise click.UsageError(
                f"--block-weight: expected BLOCK=NUMBER such as poster=2, found {pair!r}."
            ) from None
    return weights or None
