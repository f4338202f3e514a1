"""`hybrid`: the group of commands, each loaded when it is called."""

from __future__ import annotations

import importlib
import io
import keyword
import signal
import sys
import traceback
import warnings
from contextlib import suppress
from typing import Any, TextIO

import click

from hybrid._version import __version__
from hybrid.cli.leftovers import remove_all_leftovers
from hybrid.cli.output import echo
from hybrid.errors import HybridError, did_you_mean
from hybrid.utils.interrupt import KILLED, Interrupted, Signals, describe_signal, signals_raise
from hybrid.utils.refusals import refusal_number, refusal_text

# Command → its one line of help, so that `hybrid --help` loads no command.
COMMANDS = {
    "demo": "Run the whole pipeline on the embedded sample.",
    "sample": "Write the embedded sample catalogue.",
    "import": "Make a catalogue of a known data set.",
    "fetch-posters": "Fetch posters by their URLs; write a catalogue that names the files.",
    "check": "Validate catalogue and posters; list every bad row and each column's role.",
    "split": "Split the items into train, validation and test.",
    "audit": "Check the split for leaks; exit 1 if there are any.",
    "extract": "Embed posters, texts or both into the cache.",
    "import-embeddings": "Import embeddings that were made elsewhere, as a block.",
    "race": "Find which encoder is worth embedding the whole catalogue with.",
    "tune": "Let a text encoder or a backbone learn the labels, cross-fitted, as a block.",
    "fit-svm": "Fuse the blocks and fit an SVM.",
    "fit-ovr": "Fuse the blocks and fit another one-vs-rest head.",
    "fit-deep": "Train a deep baseline.",
    "study": "Find out more about a run: ablation, learning curve, repeats, nested estimate.",
    "predict": "Predict the labels of new items.",
    "report": "Compare runs on one page.",
    "explain": "Explain a run, or its prediction for one item.",
    "describe": "List the layers, parameters and settings of a network or a run.",
    "model-card": "Describe a run's model in Markdown.",
    "convert": "Convert a run whose model an earlier version wrote as a pickle.",
    "cache": "Inspect and maintain the embedding cache: ls, explain, verify, compact, gc, export.",
    "backbones": "List the backbones and the text encoders.",
}
CLOSED_PIPE = KILLED + signal.SIGPIPE
DEBUG = "--debug"
SHOWN = 300  # characters of an error that nobody has foreseen


class _BrokenOffError(Exception):
    """A command was ended by a signal or a closed pipe, which is the cause of this."""


class LazyGroup(click.Group):
    """Imports a command's module only when the command is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Load a command, or fail with close matches."""
        if name not in COMMANDS:
            hint = did_you_mean(name, COMMANDS, cutoff=0.6)
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        # A module cannot have the name of a keyword of Python, as "import" is.
        module_name = f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")
        module = importlib.import_module(f"hybrid.cli.{module_name}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click itself would say more of a signal, and nothing of a closed pipe."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as error:
            raise _BrokenOffError from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hybrid")
@click.option(
    DEBUG, is_flag=True, help="After an error, print the traceback too; also behind COMMAND."
)
def hybrid(debug: bool) -> None:
    """Posters, text and metadata to labels, and which model is worth its cost.

    In a folder with catalogue.csv and posters/: check, split, extract, fit-svm, report.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 128 and the number of the signal where one ended the command:
    129 SIGHUP, 130 SIGINT (Ctrl-C), 141 SIGPIPE (nobody reads stdout any more), 143 SIGTERM.
    """
    # Whoever calls this from Python finds the warnings as they were.
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        # Pillow's warnings about posters: bad posters are reported with their own reasons.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        status = _run(arguments)
    sys.exit(status)


def _run(arguments: list[str] | None) -> int:
    arguments, debug = _take_debug(sys.argv[1:] if arguments is None else arguments)
    with signals_raise() as signals:
        try:
            try:
                return _call(arguments)
            except BaseException as error:
                return _explain(error, signals, debug)
        except KeyboardInterrupt as again:  # while the first was told
            return _explain(again, signals, debug)


def _call(arguments: list[str]) -> int:
    if not {"-h", "--help", "--version"} & {*arguments}:
        remove_all_leftovers(arguments)
    try:
        result = hybrid.main(arguments, standalone_mode=False)
    except SystemExit:  # click's way out where the pipe of a help text is closed
        return CLOSED_PIPE
    return result if isinstance(result, int) else 0


def _explain(error: BaseException, signals: Signals, debug: bool) -> int:
    """Print what there is to say of an error; the exit code."""
    if isinstance(error, (_BrokenOffError, click.Abort)) and error.__cause__:
        error = error.__cause__
    number = error.number if isinstance(error, Interrupted) else signals.number
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        number = number or signal.SIGINT
    # After a signal, any other error comes of a library that was broken off.
    if number is not None:
        signals.ignored = True
        _tell(error, describe_signal(number), debug)
        return KILLED + number
    if isinstance(error, BrokenPipeError):
        return CLOSED_PIPE
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, HybridError):
        _tell(error, f"error: {error}", debug)
        return error.exit_code
    if isinstance(error, click.ClickException):
        said = io.StringIO()
        error.show(said)
        _tell(error, said.getvalue().rstrip("\n"), debug=False)
        return error.exit_code
    if not isinstance(error, Exception):
        raise error
    _tell(error, f"error: {_describe(error)}", debug)
    return 1


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Take ``--debug`` out of the arguments, wherever it stands among the options."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != DEBUG]
    return [*options, *arguments[end:]], len(options) < end


def _tell(error: BaseException, message: str, debug: bool) -> None:
    shown = "".join(traceback.format_exception(error)) if debug else ""
    with suppress(OSError):  # nobody can be told where stderr is closed
        echo(shown + message, err=True)


def _describe(error: Exception) -> str:
    """What to say of an error that nobody has foreseen."""
    if isinstance(error, MemoryError):
        return (
            "expected enough memory, found too little. Close other programs, use fewer --workers, or take "
            "fewer items."
        )
    name = getattr(error, "filename", None)
    where = f"{name}: " if name else ""
    number = refusal_number(error)
    if number is not None:
        return f"{where}{refusal_text(error, number)}"
    if isinstance(error, OSError) and error.strerror:
        return f"{where}{error.strerror}."
    said = " ".join(f"{type(error).__name__}: {error}".split())[:SHOWN]
    return (
        f"expected nothing like this, found {said}. It is a fault of hybrid, or a file that it cannot "
        f"handle: run the command again with {DEBUG}, and report what it prints."
    )


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    echo(f"warning: {message}", err=True)
