"""Which paths stand for a URL, and the way from one to the other.

`pathlib` makes one slash of two: ``Path("s3://bucket/films")`` is ``s3:/bucket/films``. Both spellings stand
for the same URL here, so that a location travels through the program as a `Path`, wherever it lies.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from hybrid.errors import SettingError

SCHEMES = ("s3", "gs", "http", "https")
_REMOTE = re.compile(rf"({'|'.join(SCHEMES)}):/+([^/].*)", re.DOTALL)
_OTHER = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


def remote_url(path: str | Path) -> str | None:
    """The URL that a path stands for.

    Returns
    -------
    str or None
        None for a path of this machine. A local folder that is called ``s3:`` is meant by its absolute path.

    Examples
    --------
    >>> remote_url("s3://bucket/films"), remote_url(Path("s3://bucket") / "films")
    ('s3://bucket/films', 's3://bucket/films')
    >>> remote_url("films/s3:/bucket") is None
    True
    """
    found = _REMOTE.fullmatch(str(path))
    return f"{found[1]}://{found[2]}" if found else None


def location(text: str | Path) -> Path:
    """Parse what a user names: a path, or a URL.

    Returns
    -------
    Path
        For ``file://`` the path of this machine.

    Raises
    ------
    SettingError
        If the URL is of another kind.

    Examples
    --------
    >>> str(location("file:///data/a%20b.csv")), remote_url(location("gs://bucket/a.csv"))
    ('/data/a b.csv', 'gs://bucket/a.csv')
    >>> location("ftp://host/a.csv")
    Traceback (most recent call last):
    hybrid.errors.SettingError: ftp://host/a.csv: expected a path or a URL of file, s3, gs, http, https,
    found ftp.
    """
    text = str(text)
    if text.lower().startswith("file://"):
        return Path(unquote(text[len("file://") :].removeprefix("localhost")))
    scheme = _OTHER.match(text)
    if scheme and scheme[1] not in SCHEMES:
        raise SettingError(
            f"{text}: expected a path or a URL of {', '.join(('file', *SCHEMES))}, found {scheme[1]}."
        )
    return Path(text)
