"""Where a cluster is: processes of this machine, a scheduler, or the file that a scheduler wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hybrid.errors import SettingError

MOST_LOCAL = 1024  # processes
_LOCAL = re.compile(r"local:(\d{1,6})", re.ASCII)
_SCHEDULER = re.compile(r"(tcp|tls)://[^\s/]+:\d{1,5}", re.ASCII)


@dataclass(frozen=True)
class Address:
    """A cluster, as ``--cluster`` names it.

    Parameters
    ----------
    processes : int, optional
        Of a cluster on this machine, which ends with the command.
    scheduler : str, optional
        Address of a scheduler that runs.
    file : Path, optional
        File with the address, which the scheduler wrote.

    Examples
    --------
    >>> parse_address("tls://node7:8786").scheduler
    'tls://node7:8786'
    """

    processes: int | None = None
    scheduler: str | None = None
    file: Path | None = None


def parse_address(text: str) -> Address:
    """Parse the value of ``--cluster``.

    Parameters
    ----------
    text : str
        ``local:N``, ``tcp://HOST:PORT``, ``tls://HOST:PORT``, or the path of a scheduler file, which ends in
        ``.json``.

    Raises
    ------
    SettingError
        If it is something else.

    Examples
    --------
    >>> parse_address("local:4")
    Address(processes=4, scheduler=None, file=None)
    >>> parse_address("node7:8786")
    Traceback (most recent call last):
    ...
    hybrid.errors.SettingError: --cluster: expected local:N, tcp://HOST:PORT, tls://HOST:PORT or a ...
    """
    if (local := _LOCAL.fullmatch(text)) and 1 <= int(local[1]) <= MOST_LOCAL:
        return Address(processes=int(local[1]))
    if _SCHEDULER.fullmatch(text):
        return Address(scheduler=text)
    if text.endswith(".json"):
        return Address(file=Path(text))
    raise SettingError(
        "--cluster: expected local:N, tcp://HOST:PORT, tls://HOST:PORT or a scheduler file that ends in "
        f".json, N from 1 to {MOST_LOCAL:,}, found {text!r}."
    )
