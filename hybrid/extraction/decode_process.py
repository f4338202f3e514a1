"""A process that decodes posters into memory that it shares with the one that started it.

A request is a line of JSON on standard input: a list of ``[path, places]``, where a place is ``[offset, n,
row, height, width, fit]`` of a buffer. The answer is a line on standard output: a list of ``[key, reason]``,
null where the file vanished, or, where the server of a URL could not be asked, a string that says why.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.extraction.decoding import decode_into
from hybrid.images.decode import Geometry
from hybrid.remote.errors import RemoteError


def serve(memory: int) -> None:
    """Answer requests until standard input ends, as it does when the process that asks is no more.

    Parameters
    ----------
    memory : int
        Descriptor of the shared memory.
    """
    warnings.simplefilter("ignore")  # of Pillow, about metadata: what concerns pixels is an error

    @cache
    def buffer(offset: int, *shape: int) -> NDArray[np.uint8]:
        return map_buffer(memory, offset, (*shape, 3))

    def decode(path: str, places: list[Any]) -> Any:
        slots = [
            (Geometry((height, width), fit), buffer(offset, n, height, width)[row])
            for offset, n, row, height, width, fit in places
        ]
        try:
            found = decode_into(path, slots)
        except RemoteError as error:
            return str(error)
        return found and (found[0].hex(), found[1])

    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a decoder prints is no answer
    for line in sys.stdin:
        print(json.dumps([decode(*each) for each in json.loads(line)]), file=answers, flush=True)


def map_buffer(memory: int, offset: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Map an array of uint8 that lies in shared memory, from an offset that is a multiple of a page."""
    length = int(np.prod(shape))
    return np.frombuffer(mmap.mmap(memory, length, offset=offset), np.uint8).reshape(shape)
