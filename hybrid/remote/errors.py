"""What fsspec and the libraries behind it raise → errors that say what to do.

There are two kinds, since they mean different things to whoever reads a thousand posters. That one file is
not there or may not be read is a fact of that file: `RemoteFileError`, an `OSError`. That a server does not
answer, or refuses the credentials, is none: `RemoteError`, which is no `OSError`, so that nobody takes it for
a bad file.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from hybrid.errors import HybridError

# Packages whose errors are those of a server, of the way to it, or of credentials.
_LIBRARIES = {"aiobotocore", "aiohttp", "asyncio", "botocore", "fsspec", "gcsfs", "google"}
_OF_THIS_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}
_MISSING, _REFUSED = {"404", "410", "NoSuchKey"}, {"401", "403", "AccessDenied"}
_NO_RANGE = {"416", "InvalidRange"}
_CREDENTIALS = {
    *("ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"),
    *("RequestTimeTooSkewed", "TokenRefreshRequired", "NotSignedUp", "AccountProblem"),
}
_PLACE = {"NoSuchBucket", "InvalidBucketName", "PermanentRedirect", "301"}
_SIGN_IN = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; "
    "for a public bucket FSSPEC_S3_ANON=true",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS; for a public bucket FSSPEC_GS_TOKEN=anon",
}


class RemoteError(HybridError):
    """A server does not answer, or refuses the credentials or the bucket: no file of it can be read."""


class NoAnswerError(RemoteError):
    """A server does not answer, or answers that it cannot now."""


class RemoteFileError(HybridError, OSError):
    """A file at a URL cannot be read or written.

    Parameters
    ----------
    code : int
        Of `errno`.
    found : str
        What is wrong, for a message that names the file by itself.
    url : str

    Examples
    --------
    >>> print(RemoteFileError(errno.ENOENT, "not found", "s3://bucket/a.csv"))
    s3://bucket/a.csv: not found
    """

    def __init__(self, code: int, found: str, url: str) -> None:
        super().__init__(code, found, url)

    def __reduce__(self) -> tuple[Any, ...]:
        """For worker processes."""
        return type(self), (self.errno, self.strerror, self.filename)

    def __str__(self) -> str:
        """The URL, and what is wrong with it."""
        return f"{self.filename}: {self.strerror}"


class MissingRemoteFileError(RemoteFileError, FileNotFoundError):
    """There is no file at a URL.

    Examples
    --------
    >>> print(MissingRemoteFileError("s3://bucket/a.csv"))
    s3://bucket/a.csv: No such file or directory
    """

    def __init__(self, url: str) -> None:
        super().__init__(errno.ENOENT, os.strerror(errno.ENOENT), url)

    def __reduce__(self) -> tuple[Any, ...]:
        """For worker processes."""
        return type(self), (self.filename,)


def is_of_server(error: Exception) -> bool:
    """Whether `explain` knows an exception: it is no fault of the program or of a disk here."""
    if isinstance(error, OSError) and error.errno in _OF_THIS_MACHINE:
        return False
    library = type(error).__module__.split(".")[0]
    return isinstance(error, (OSError, TimeoutError)) or library in _LIBRARIES


def explain(url: str, error: Exception) -> HybridError:
    """The error of this library for one of fsspec, botocore, aiohttp or gcsfs.

    Parameters
    ----------
    url : str
    error : Exception
        One for which `is_of_server` is true.

    Returns
    -------
    RemoteFileError
        If the file is missing, is refused, or is no file.
    NoAnswerError
        If asking again may help.
    RemoteError
        Otherwise.

    Examples
    --------
    >>> explain("s3://bucket/a.csv", FileNotFoundError("bucket/a.csv"))
    MissingRemoteFileError(2, 'No such file or directory')
    >>> print(explain("http://localhost:1/a.csv", ConnectionRefusedError(111, "Connection refused")))
    http://localhost:1/a.csv: expected an answer of the server, found: [Errno 111] Connection refused.
    Is the address right, and the server up? What is done is kept: the same command goes on.
    """
    if isinstance(error, (RemoteError, RemoteFileError)):
        return error
    cause = error.__cause__
    if (
        isinstance(error, FileNotFoundError)
        and isinstance(cause, Exception)
        and is_of_server(cause)
    ):
        error = cause  # fsspec says so of whatever a web server answers
    code, scheme = _code(error), url.split(":")[0]
    if code in _PLACE:
        return RemoteError(
            f"{url}: expected an existing bucket, found: {error}. Is its name right?"
        )
    if code in _CREDENTIALS or "credentials" in type(error).__name__.lower():
        advice = _SIGN_IN.get(scheme, "Name an address that needs none")
        return RemoteError(
            f"{url}: expected credentials that the server takes, found: {error}. {advice}."
        )
    if isinstance(error, PermissionError) or code in _REFUSED:
        return RemoteFileError(errno.EACCES, f"the server refuses it ({_line(error)})", url)
    if code in _MISSING or (isinstance(error, FileNotFoundError) and not code):
        return MissingRemoteFileError(url)
    if code in _NO_RANGE:
        return RemoteFileError(errno.ERANGE, "it ends before", url)
    if isinstance(error, IsADirectoryError):
        return RemoteFileError(errno.EISDIR, os.strerror(errno.EISDIR), url)
    return NoAnswerError(
        f"{url}: expected an answer of the server, found: {_line(error)}. "
        "Is the address right, and the server up? What is done is kept: the same command goes on."
    )


def _code(error: Exception) -> str:
    """The status or code that the server gave, by botocore or aiohttp; empty if it gave none."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        if status := getattr(one, "status", None):
            return str(status)
    return ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
