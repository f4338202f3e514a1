"""ImageNet weights from the network, through Keras, checked before they are used."""

from __future__ import annotations

import contextlib
import http.client
import socket
import sys
import tempfile
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import keras

from hybrid.backbones import weightfile
from hybrid.backbones.digests import digests
from hybrid.backbones.registry import BackboneSpec
from hybrid.errors import WeightsError

PAUSES = (1.0, 5.0)  # seconds before the second try and the third
TIMEOUT = 60.0  # seconds without a byte from the server


class _TryAgainError(Exception):
    """A failure that may be gone at the next try."""


def download_weights(spec: BackboneSpec, path: Path) -> Path:
    """Have Keras download the ImageNet weights of a spec to `path`, and check them.

    A dropped connection, a damaged file and a busy server are tried again. The file appears at
    `path` only when it is whole; several processes may download it at once.

    Parameters
    ----------
    spec : BackboneSpec
    path : Path
        Its folder is made if need be.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    WeightsError
        If they cannot be downloaded; says why, which file is wanted and where to put it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
            return _persist(spec, Path(folder)).replace(path)
    except (_TryAgainError, WeightsError, OSError) as error:
        raise WeightsError(
            f"the ImageNet weights of {spec.name} are not on this machine and cannot be downloaded: "
            f"{error}\nWanted: {spec.weights_url}\nPut the file at {path}, or name it with "
            "--weights PATH."
        ) from error


def _persist(spec: BackboneSpec, folder: Path) -> Path:
    for pause in PAUSES:
        with contextlib.suppress(_TryAgainError):
            return _try(spec, folder)
        time.sleep(pause)
    try:
        return _try(spec, folder)
    except _TryAgainError as error:
        raise WeightsError(f"{error} (tried {len(PAUSES) + 1} times)") from error


def _try(spec: BackboneSpec, folder: Path) -> Path:
    """Download once; raise WeightsError or OSError if another try is of no use."""
    file = folder / "weights.h5"
    file.unlink(missing_ok=True)  # of the last try
    try:
        with _timeout(TIMEOUT), contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            keras.utils.get_file(
                file.name,
                origin=spec.weights_url,
                cache_subdir="",
                cache_dir=str(folder),
                file_hash=spec.weights_md5 or None,
            )
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise _TryAgainError(_words(error)) from error
    except Exception as error:  # Keras hides what urllib raised in a bare one
        if isinstance(error, ValueError) and file.exists():  # its hash is another
            wanted, found = spec.weights_hash, digests(file)[spec.weights_hash]
            raise _TryAgainError(
                f"expected {wanted.upper()} {spec.weights_md5}, found {found}"
            ) from error
        hidden = error.__context__ if type(error) is Exception else None
        raise _meaning(hidden or error) from error
    if not spec.weights_md5:
        _check_whole(file)
    return file


@contextlib.contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Let no socket wait for longer; Keras has no option for it."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _meaning(error: BaseException) -> Exception:
    """Say what failed, and by the type of error whether to try again."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it is the answer itself, with an open connection
        told = f"the server answers HTTP {error.code} {error.msg}"
        busy = error.code >= 500 or error.code == 429
        return _TryAgainError(told) if busy else WeightsError(told)
    if isinstance(error, urllib.error.ContentTooShortError):
        return _TryAgainError(f"the connection was cut: {error.reason}")
    if isinstance(error, urllib.error.URLError):
        passing = (TimeoutError, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
        if isinstance(error.reason, passing):
            return _TryAgainError(_words(error.reason))
        return WeightsError(f"no connection: {error.reason}")
    return WeightsError(f"{type(error).__name__}: {error}")


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"the server sent nothing for {TIMEOUT:g} seconds"
    return f"the connection was cut: {type(error).__name__} {error}".rstrip()


def _check_whole(file: Path) -> None:
    """For want of a hash."""
    try:
        weightfile.inspect(file)
    except WeightsError as error:
        raise _TryAgainError(f"damaged on the way: {str(error).partition(': ')[2]}") from error
