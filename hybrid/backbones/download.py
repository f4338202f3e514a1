"""Download ImageNet weights, with retries, and check them before they get their final name."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from pathlib import Path

import pooch
import requests
import urllib3.exceptions

from hybrid.backbones import weightfile
from hybrid.backbones.digests import digests
from hybrid.backbones.registry import BackboneSpec
from hybrid.errors import WeightsError

PAUSES = (1.0, 5.0)  # seconds before the second attempt and before the third
TIMEOUT = 60.0  # seconds without a byte from the server
CHUNK_BYTES = 2**16


class _TransientError(Exception):
    """A failure that another attempt may not meet."""


def download_weights(spec: BackboneSpec, path: Path) -> Path:
    """Download the ImageNet weights of a backbone and check their hash.

    A dropped connection, a timeout, a damaged file, HTTP 429 and 5xx are tried again, three times in all.
    The file appears at `path` only when it is whole; several processes may download it at once.

    Parameters
    ----------
    spec : BackboneSpec
        Names URL and hash. If it has no hash, the file must be a readable HDF5 weights file.
    path : Path
        Where to put the file. Its folder is made if need be.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    WeightsError
        If they cannot be downloaded. The message says why, which file is wanted and where to put it.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> from hybrid.backbones.weights import imagenet_file
    >>> spec = get_backbone("mobilenet")
    >>> download_weights(spec, imagenet_file(spec))  # doctest: +SKIP
    PosixPath('/home/me/.keras/models/mobilenet_1_0_224_tf_no_top.h5')
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
            return _with_retries(spec, Path(folder) / "weights.h5").replace(path)
    except (_TransientError, WeightsError, OSError) as error:
        raise WeightsError(
            f"the ImageNet weights of {spec.name} are not on this machine and cannot be downloaded: "
            f"{error}\nWanted: {spec.weights_url}\nPut the file at {path}, or name it with "
            "--weights PATH."
        ) from error


def _with_retries(spec: BackboneSpec, file: Path) -> Path:
    print(f"Downloading {spec.weights_url}", file=sys.stderr)
    for pause in PAUSES:
        with contextlib.suppress(_TransientError):
            return _attempt(spec, file)
        time.sleep(pause)
    try:
        return _attempt(spec, file)
    except _TransientError as error:
        raise WeightsError(f"{error} (tried {len(PAUSES) + 1} times)") from error


def _attempt(spec: BackboneSpec, file: Path) -> Path:
    """Download and check once; raise WeightsError or OSError if another attempt is of no use."""
    download = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), chunk_size=CHUNK_BYTES, timeout=TIMEOUT
    )
    try:
        download(spec.weights_url, str(file), None)
    except requests.RequestException as error:
        if error.response is not None:
            error.response.close()  # pooch leaves the connection open
        raise _explained(error) from error
    if spec.weights_md5:
        _check_hash(spec, file)
    else:
        _check_whole(file)
    return file


def _explained(error: requests.RequestException) -> Exception:
    """The error to raise: _TransientError if another attempt may succeed, else WeightsError."""
    reason = error.args[0] if error.args else error
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        message = f"the server answers HTTP {status} {error.response.reason}"
        return _TransientError(message) if status >= 500 or status == 429 else WeightsError(message)
    if isinstance(error, requests.Timeout) or isinstance(
        reason, urllib3.exceptions.ReadTimeoutError
    ):
        return _TransientError(f"the server sent nothing for {TIMEOUT:g} seconds")
    if isinstance(reason, urllib3.exceptions.ProtocolError):
        return _TransientError(f"the connection was cut: {reason}")
    if isinstance(reason, urllib3.exceptions.MaxRetryError):
        return WeightsError(f"no connection: {reason.reason}")
    return WeightsError(f"{type(error).__name__}: {error}")


def _check_hash(spec: BackboneSpec, file: Path) -> None:
    found = digests(file)[spec.weights_hash]
    if found != spec.weights_md5:
        raise _TransientError(
            f"expected {spec.weights_hash.upper()} {spec.weights_md5}, found {found}"
        )


def _check_whole(file: Path) -> None:
    """Check a file that no hash is known of."""
    try:
        weightfile.read_layers(file)
    except WeightsError as error:
        raise _TransientError(f"damaged on the way: {str(error).partition(': ')[2]}") from error
