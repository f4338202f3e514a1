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

from hybrid.cli.cluster_option import cluster_option, connections
from hybrid.cli.path_types import LocalPath, Location
from hybrid.utils.options import typed_options
from hybrid.utils.outputs import output_rule
from hybrid.utils.progress import Progress, show_progress
from hybrid.utils.reading import TEXT, read_text
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
    cluster: str | None = None
    quiet: bool = False
    json: bool = False
    force: bool = False

    @property
    def command(self) -> str:
        """The command as the user typed it, for the record of a run."""
        return shlex.join(["hybrid", *sys.argv[1:]])

    @cached_property
    def context(self) -> Context:
        """Cache, workers, seed and progress, as every function of the library takes them."""
        from hybrid.utils.context import Context

        return Context(self.cache, self.workers, self.seed, self.progress, self.cluster)

    @cached_property
    def progress(self) -> Progress:
        """Display of the progress on stderr."""
        return Progress(self.quiet)

    def find_run(self, run: Path) -> Path:
        """The folder of a run: as named, or of that name in the folder of the runs."""
        inside = self.runs / run
        named = (run / "run.json").exists() or not (inside / "run.json").exists()
        return run if named else inside


class OutputFile(LocalPath):
    """A file that the command writes; whatever else the command line names is an input."""


_COMMON = {
    "catalogue": click.option("--catalogue", type=Location(), default="catalogue.csv", show_default=True,
                              help="Catalogue: a CSV, JSON, Parquet or Excel file, or its URL."),
    "splits": click.option("--splits", type=LocalPath(), default="splits.csv",
                           show_default=True, help="File of the split."),
    "cache": click.option("--cache", envvar="HYBRID_CACHE", default=".hybrid-cache", show_default=True,
                          show_envvar=True,
                          help="Folder of the embedding cache, or its URL: s3://, gs://, http://."),
    "runs": click.option("--runs", type=LocalPath(), default="runs", show_default=True,
                         help="Folder of the runs."),
    "seed": click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
                         help="Seed of everything random."),
    "workers": click.option("--workers", type=click.IntRange(min=1), default=usable_cores,
                            show_default="one per usable core", help="Number of threads."),
    "cluster": cluster_option,
    "quiet": click.option("--quiet", is_flag=True, help="Show no progress on stderr."),
    "json": click.option("--json", is_flag=True, help="Print the result as JSON."),
    "force": click.option("--force", is_flag=True,
                          help="Replace whatever is there: an input, or a file that is no earlier output."),
}  # fmt: skip

EVERYWHERE = ("quiet", "json")
encoding_option = click.option("--encoding", default="utf-8", show_default=True,
                               help="Text encoding of CSV and JSON files.")  # fmt: skip
posters_option = click.option(
    "--posters", metavar="DIR", type=Location(),
    help="Folder that poster paths are relative to, or its URL.  [default: the catalogue's]",
)  # fmt: skip

licence_option = click.option(
    "--licence", type=click.Choice(["any", "commercial"]), default="any", show_default=True,
    help="commercial: refuse weights whose licence is not known to permit commercial use.",
)  # fmt: skip

_COLUMNS = (
    click.option("--id-column", help="Column with the ids.  [default: id, or the first *_id]"),
    click.option("--label-column", help="Column with the labels.  [default: genres]"),
    click.option("--poster-column", help="Column with the image files.  [default: poster]"),
    click.option("--label-separator", default="|", show_default=True,
                 help="Separator of labels, and of the entries of a list."),
    click.option("--label-map", type=Location(), metavar="FILE",
                 help="CSV file with columns from,to: labels to rename, or to drop where to is empty."),
    click.option("--min-label-count", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
                 help="Leave out labels on fewer than N items."),
    click.option("--unknown-column", help="Column with labels of an item that were not looked at, or *."),
    click.option("--text", multiple=True, help="Text column.  [default: title, overview]"),
    click.option("--numeric", multiple=True, help="Numeric metadata column."),
    click.option("--categorical", multiple=True, help="Categorical metadata column."),
    click.option("--list", multiple=True, help="Metadata column with lists, such as cast."),
    click.option("--date", multiple=True, help="Metadata column with dates."),
    click.option("--drop", multiple=True, help="Column to ignore."),
    click.option("--decimal", type=click.Choice([".", ","]),
                 help="Decimal mark of numbers such as 1,234.  [default: as the column's other cells tell]"),
    click.option("--date-order", type=click.Choice(["day", "month"]),
                 help="What comes first in dates such as 01/02/1999.  [default: as the column's other cells "
                 "tell]"),
    posters_option,
    encoding_option,
)  # fmt: skip

DTYPES = click.Choice(["float16", "float32"])


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


class _Colour(click.ParamType):
    """``0.485,0.456,0.406`` or one number: of red, green and blue."""

    name = "colour"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float]:
        try:
            several = [float(part) for part in str(value).split(",")]
        except ValueError:
            several = []
        if len(several) not in (1, 3) or not all(abs(number) < 256 for number in several):
            self.fail(f"expected R,G,B such as 0.485,0.456,0.406, or one number, found {value!r}.")
        return several[0], several[len(several) // 2], several[-1]


SIZE, COLOUR = _Size(), _Colour()

# What changes an embedding.
_OPTIONS = (
    click.option("--layer", default="last", show_default=True,
                 help="Layer whose output is pooled, or output of an ONNX file; hybrid backbones --layers "
                 "NAME lists them. A+B puts two layers side by side, computed in one pass."),
    click.option("--pooling", help="Global pooling: avg, max or gem; of the tokens of an ONNX file or preset "
                 "cls or mean.  [default: the backbone's, avg]"),
    click.option("--input-size", type=SIZE, metavar="HxW",
                 help="Input size in pixels.  [default: that of the run in --weights, else the backbone's]"),
    click.option("--fit", type=click.Choice(["squash", "pad", "crop"]), default="squash",
                 show_default=True, help="How a poster is resized to the input size."),
    click.option("--precision", type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
                 default="auto", show_default=True,
                 help="Numeric precision of the computation; auto: bfloat16 where the hardware has it and a "
                 "check of the embeddings passes, else float32."),
    click.option("--dtype", type=DTYPES, default="float16", show_default=True,
                 help="Data type of the stored embeddings."),
    click.option("--mean", type=COLOUR, metavar="R,G,B",
                 help="Mean colour that an ONNX file or preset was trained with, from 0 to 1.  [default: as "
                 "said beside it]"),
    click.option("--std", type=COLOUR, metavar="R,G,B", help="Standard deviation, likewise."),
    click.option("--engine", type=click.Choice(["keras", "openvino", "onnxruntime", "auto"]),
                 help="Inference engine; auto: the fastest that is installed. onnxruntime is of ONNX files "
                 "alone, for which keras is as auto.  [default: keras; of texts, auto]"),
)  # fmt: skip

# Which of the extracted embeddings are meant.
_EMBEDDINGS = (
    click.option("--backbone", help="Backbone of the embeddings.  [default: the only one extracted]"),
    click.option("--weights", help="Weights of the backbone, where there are several; with --backbone."),
    click.option("--dtype", type=DTYPES, help="Data type of the embeddings, where there are both."),
    click.option("--embeddings", metavar="DIGITS",
                 help="First digits of their fingerprint, where nothing else differs."),
)  # fmt: skip


def stack_options(options: tuple[Any, ...], command: Callable[..., Any]) -> Callable[..., Any]:
    """Add options to a command, in their order."""
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
                connections(project.cluster),
                typed_options(*_typed()),
                output_rule(project.force, _inputs()),
                limit_workers(project.workers),
                show_progress(project.progress),
            ):
                return command(project, **values)

        return stack_options(tuple(chosen.values()), call)

    return decorate


def _inputs() -> list[Path]:
    """The files that the command line names and that are no outputs."""
    context = click.get_current_context()
    values = [
        context.params.get(str(parameter.name))
        for parameter in context.command.params
        if not isinstance(parameter.type, OutputFile)
    ]
    several = (
        each for value in values for each in (value if isinstance(value, tuple) else (value,))
    )
    names = [str(each) for each in several if isinstance(each, str | Path)]
    # As --ids has them, @FILE; and as --external has them, NAME=FILE.
    names += [name[1:] for name in names if name.startswith("@")]
    names += [name.partition("=")[2] for name in names if "=" in name]
    return [Path(name) for name in names if name]


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
            poster=values.pop("poster_column"),
            label_separator=values.pop("label_separator"),
            encoding=values.pop("encoding"),
            label_map=values.pop("label_map"),
            min_label_count=values.pop("min_label_count"),
            unknown=values.pop("unknown_column"),
            decimal=values.pop("decimal") or "",
            date_order=values.pop("date_order") or "",
            posters=values.pop("posters"),
            **{
                r: values.pop(r) for r in ("text", "numeric", "categorical", "list", "date", "drop")
            },
        )
        return command(*args, columns=columns, **values)

    return stack_options(_COLUMNS, call)


def backbone_options(several: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of an extraction of posters: `backbone`, `weights`, `options`, `engine`.

    With `several`, backbone and weights can be given more than once, and are tuples. Whether a backbone is
    named, `hybrid.cli.text_encoder_options.encoder_options` checks.
    """
    weights = "imagenet, random, a weights file, or a run that trained the backbone."
    backbone = (
        "Name of a backbone, which hybrid backbones lists; an ONNX file; or keras-hub: and a preset's name "
        "or folder."
    )
    if several:
        backbone += " Can be repeated: each poster is then decoded once for all."
        weights += " One for all backbones, or one each."
    names = (
        click.option("--backbone", multiple=several, help=backbone),
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

        return stack_options((*names, *_OPTIONS), call)

    return decorate


def embedding_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select embeddings; they become `select`, an `EmbeddingSelector`."""

    @functools.wraps(command)
    def call(*args: Any, **values: Any) -> Any:
        from hybrid.types import EmbeddingSelector

        names = ("backbone", "weights", "dtype", "embeddings")
        select = EmbeddingSelector(*(values.pop(name) for name in names))
        return command(*args, select=select, **values)

    return stack_options(_EMBEDDINGS, call)


def parse_ids(entries: tuple[str, ...]) -> list[str]:
    """``("7", "@ids.txt")`` → ids; a file has one a line."""
    ids = []
    for entry in entries:
        if not entry.startswith("@"):
            ids.append(entry)
            continue
        try:
            lines = read_text(entry[1:], TEXT).splitlines()
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
