"""The one door to fsspec: ask the server of a URL something, with timeouts, retries and errors of our own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from hybrid.errors import MissingExtraError
from hybrid.remote.errors import NoAnswerError, explain, is_of_server

T = TypeVar("T")
CONNECT_SECONDS, READ_SECONDS = 10, 60
# Before another attempt. botocore (AWS_MAX_ATTEMPTS) and gcsfs try again by themselves, too.
PAUSES = (0.5, 2.0)
_EXTRAS = {"s3": "remote", "http": "remote", "https": "remote", "gs": "gcs"}


def ask(url: str, question: Callable[[Any, str], T]) -> T:
    """Call a function with the file system of a URL and the path in it.

    Parameters
    ----------
    url : str
        As `hybrid.remote.address.remote_url` gives it.
    question : callable
        ``question(filesystem, path)``; called again if the server did not answer, so doing it twice must
        be the same as doing it once. It uses no files of this machine: their errors would be taken for those
        of the server.

    Returns
    -------
    object
        What `question` returns.

    Raises
    ------
    RemoteFileError
        If the file is missing or refused. It is an `OSError`, too.
    RemoteError
        If the server does not answer after some attempts, or refuses the credentials or the bucket.
    MissingExtraError
        If the libraries for this kind of URL are not installed.

    Examples
    --------
    >>> ask("s3://bucket/a.csv", lambda filesystem, path: path)
    'bucket/a.csv'
    """
    for pause in (*PAUSES, None):
        found, path = filesystem(url)
        try:
            return question(found, path)
        except Exception as error:
            if not is_of_server(error):
                raise
            explained = explain(url, error)
            if pause is None or not isinstance(explained, NoAnswerError):
                raise explained from error
        time.sleep(pause)
    raise AssertionError


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it.

    fsspec remembers it, so calling this again is cheap; a forked process gets one of its own. Many threads
    may use it at once. Endpoints and credentials come from where its libraries look for them:
    ``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, ``AWS_PROFILE``,
    ``GOOGLE_APPLICATION_CREDENTIALS``, ``FSSPEC_S3_ANON``, ….

    Raises
    ------
    MissingExtraError
        If the libraries for this kind of URL are not installed.
    """
    scheme = url.split(":")[0]
    try:
        import fsspec

        kind = fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise MissingExtraError(
            f"{url}: expected the libraries for {scheme}://, found that {error.name or error} is "
            f'not installed. Install them with: pip install "hybrid-posters[{_EXTRAS[scheme]}]"'
        ) from error
    found = fsspec.filesystem(scheme, **_options(scheme))
    if scheme == "s3":
        found.retries = 1  # by s3fs, on top of each of the others
    return found, kind._strip_protocol(url)


def _options(scheme: str) -> dict[str, Any]:
    options: dict[str, Any] = {"use_listings_cache": False}  # what lies there now, not what did
    if scheme == "s3":
        waits = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
        options["config_kwargs"] = {**waits, "max_pool_connections": 64}
    elif scheme != "gs":
        from aiohttp import ClientTimeout

        waits = ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        options["client_kwargs"] = {"timeout": waits}
    return options
