"""Options that would have no effect: found by rules, and refused all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from hybrid.errors import SettingError
from hybrid.utils.counts import counted

_typed: ContextVar[tuple[str, frozenset[str]]] = ContextVar("typed", default=("", frozenset()))


@contextmanager
def typed_options(command: str, names: Iterable[str]) -> Iterator[None]:
    """Tell the library which options a user has typed: they count as given whatever their value.

    Parameters
    ----------
    command : str
        Of the command line, for instance ``"fit-svm"``. Rules of other commands do not count them.
    names : iterable of str
        Options, without their dashes.

    Examples
    --------
    >>> with typed_options("split", ["folds"]):
    ...     given_options({"folds": (5, 5), "repeats": (5, 5)}, "split")
    {'folds'}
    """
    token = _typed.set((command, frozenset(names)))
    try:
        yield
    finally:
        _typed.reset(token)


def given_options(values: Mapping[str, tuple[Any, Any]], *commands: str) -> set[str]:
    """Names of the options that were given: typed by a user, or not of their default value.

    Parameters
    ----------
    values : mapping of str to (value, default)
        By the name of the option, without its dashes.
    *commands : str
        The commands that have these options; of others nothing counts as typed. Without any: all commands.
    """
    command, typed = _typed.get()
    if commands and command not in commands:
        typed = frozenset()
    return {name for name, (value, default) in values.items() if name in typed or value != default}


@dataclass(frozen=True)
class Rule:
    """Options that have an effect only under a condition.

    Parameters
    ----------
    options : tuple of str
        Names, without dashes.
    holds : bool
        Whether the condition holds.
    reason : str
        Why they have no effect where it does not.

    Examples
    --------
    >>> Rule(("by",), False, "random needs no column with the time").problems({"by", "folds"})
    ['--by: expected none, since random needs no column with the time; it would have no effect.']
    """

    options: tuple[str, ...]
    holds: bool
    reason: str

    def problems(self, given: Iterable[str]) -> list[str]:
        """One message for each given option that would have no effect."""
        return [
            f"--{name}: expected none, since {self.reason}; it would have no effect."
            for name in self.options
            if name in given and not self.holds
        ]


def list_unused(rules: Iterable[Rule], given: Iterable[str]) -> list[str]:
    """One message for each given option that would have no effect, by the first rule that says so.

    Examples
    --------
    >>> rules = [Rule(("C",), False, "a dummy learns nothing"), Rule(("C",), False, "of a second reason")]
    >>> len(list_unused(rules, ["C"]))
    1
    """
    left, problems = set(given), []
    for rule in rules:
        if not rule.holds:
            problems += rule.problems(left)
            left -= set(rule.options)
    return problems


def one_or_each(
    option: str, values: Sequence[str], count: int, block: str = "poster block"
) -> list[str | None]:
    """Broadcast the values of an option to `count` blocks: one is for all, none is None for each.

    Raises
    ------
    SettingError
        If there are several, but not `count`.

    Examples
    --------
    >>> from hybrid.utils.options import one_or_each
    >>> one_or_each("--weights", ["imagenet"], 2)
    ['imagenet', 'imagenet']
    """
    if len(values) not in (0, 1, count):
        raise SettingError(
            f"{option}: expected one, or one for each of {counted(count, block)}, found "
            f"{len(values)}."
        )
    return [*values] if len(values) == count else [values[0] if values else None] * count
