"""The share of one of several processes that embed a catalogue: its items, told by their ids."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np

from hybrid.catalogue import Catalogue
from hybrid.errors import SettingError

MOST = 100_000  # shards; a Slurm array has fewer
_FORM = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Shard:
    """One of several shares of a catalogue's items.

    An item belongs to the shard that the SHA-256 of its id says, whatever else is in the catalogue: rows that
    are added or sorted move no other.

    Parameters
    ----------
    number : int
        From 1.
    count : int
        Of all shards.

    Examples
    --------
    >>> str(Shard(3, 16))
    '3/16'
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, item: str) -> bool:
        """Whether an item belongs to the shard.

        Parameters
        ----------
        item : str
            Its id.

        Examples
        --------
        >>> [Shard(number, 3).holds("tmdb100") for number in (1, 2, 3)]
        [False, True, False]
        """
        digest = hashlib.sha256(item.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1

    def problems(self) -> list[str]:
        """What is wrong with it, if anything."""
        if 1 <= self.number <= self.count <= MOST:
            return []
        return [_problem(str(self))]


def parse_shard(text: str) -> Shard:
    """Parse ``I/N``: the I-th of N shards.

    Raises
    ------
    SettingError
        If it is something else.

    Examples
    --------
    >>> parse_shard("3/16")
    Shard(number=3, count=16)
    >>> parse_shard("0/16")
    Traceback (most recent call last):
    ...
    hybrid.errors.SettingError: --shard: expected I/N, the I-th of N shards, such as 3/16, I from 1 to N ...
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise SettingError(_problem(text))
    shard = Shard(int(found[1]), int(found[2]))
    if problems := shard.problems():
        raise SettingError("\n".join(problems))
    return shard


def _problem(found: str) -> str:
    return (
        f"--shard: expected I/N, the I-th of N shards, such as 3/16, I from 1 to N and N at most {MOST:,}, "
        f"found {found!r}. In a Slurm array of the tasks 1 to 16: --shard $SLURM_ARRAY_TASK_ID/16."
    )


def take_share(catalogue: Catalogue, shard: Shard | None) -> Catalogue:
    """The items of a catalogue that belong to a shard; all without one.

    Parameters
    ----------
    catalogue : Catalogue
    shard : Shard, optional

    Returns
    -------
    Catalogue
        In the order of the file; it may have no items.

    Examples
    --------
    >>> from hybrid import load_catalogue, write_sample
    >>> _ = write_sample("shared-out", n_items=60)
    >>> films = load_catalogue("shared-out/catalogue.csv")
    >>> sum(len(take_share(films, Shard(number, 4))) for number in (1, 2, 3, 4))
    60
    """
    if shard is None:
        return catalogue
    return catalogue.where(np.array([shard.holds(item) for item in catalogue.ids], dtype=bool))


def lease_prefix(shard: Shard | None) -> str:
    """What the leases of a shard's process begin with, so that those of others do not hold it up.

    Examples
    --------
    >>> lease_prefix(Shard(3, 16)), lease_prefix(None)
    ('3-16', '')
    """
    return "" if shard is None else f"{shard.number}-{shard.count}"


def check_settled(shard: Shard | None, known: object) -> None:
    """Check that the processes of several shards cannot choose different precisions.

    Parameters
    ----------
    shard : Shard, optional
    known : object
        The precision, None where a trial on posters or texts would choose it.

    Raises
    ------
    SettingError

    Examples
    --------
    >>> check_settled(None, None), check_settled(Shard(1, 2), "float32")
    (None, None)
    """
    if shard is not None and known is None:
        raise SettingError(
            "--precision: expected float32 or bfloat16 with --shard where the cache has no such embeddings "
            "yet, found auto: each process would choose by a trial of its own. The same command with --limit "
            "1 and without --shard chooses for all."
        )
