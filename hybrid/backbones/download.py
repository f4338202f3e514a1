"""ImageNet weights from the network, through Keras, checked before they are used."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from hybrid.backbones.quiet import quiet_start
from hybrid.backbones.registry import BackboneSpec
from hybrid.errors import WeightsError

with quiet_start():
    import keras


def download_weights(spec: BackboneSpec, path: Path) -> Path:
    """Have Keras download the ImageNet weights of a spec to `path`, and check them.

    Raises
    ------
    WeightsError
        If they cannot be downloaded; says which file is wanted and where to put it.
    """
    temporary = f".tmp-{os.getpid()}-{path.name}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            found = keras.utils.get_file(
                temporary,
                origin=spec.weights_url,
                cache_subdir="",
                cache_dir=str(path.parent),
                file_hash=spec.weights_md5 or None,
            )
        return Path(found).replace(path)
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise WeightsError(
            f"the ImageNet weights of {spec.name} are not on this machine and cannot be downloaded "
            f"({error}).\nWanted: {spec.weights_url}\nPut the file at {path}, or name it with "
            "--weights PATH."
        ) from error
    finally:
        (path.parent / temporary).unlink(missing_ok=True)
