"""What libtiff says of an image: it prints errors to stderr, which name no file; here they are collected."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"II\0*", b"MM*\0")  # as Pillow takes them
LONGEST = 300  # bytes of a line

_Handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
_thread = threading.local()


@contextmanager
def collected_errors() -> Iterator[list[str]]:
    """Collect the errors that libtiff would print, of this thread.

    Other threads, and code outside of such a block, print as before. Where Pillow's libtiff cannot be reached
    (it is built into Pillow without its names), everything does.

    Yields
    ------
    list of str
        One line each, such as ``"ZIPDecode: Decoding error at scanline 0"``.

    Examples
    --------
    >>> with collected_errors() as lines:
    ...     pass
    >>> lines
    []
    """
    _install()
    before, lines = getattr(_thread, "lines", None), list[str]()
    _thread.lines = lines
    try:
        yield lines
    finally:
        _thread.lines = before


def tells_of_damage(line: str) -> bool:
    """Whether an error is one of the coded pixels; some decoders of libtiff go on after it.

    Examples
    --------
    >>> tells_of_damage("Fax4Decode: Bad code word at line 3"), tells_of_damage("TIFFSetField: Bad value")
    (True, False)
    """
    return "Decode" in line.partition(":")[0] or line.startswith("JPEGLib:")


@lru_cache(maxsize=1)
def _install() -> tuple[Any, ...]:
    """Become libtiff's handler of errors; what is returned must live as long as the process."""
    from PIL import _imaging

    try:
        library = ctypes.CDLL(_imaging.__file__)  # names of what it is linked with are found, too
        install, to_text = library.TIFFSetErrorHandler, ctypes.CDLL(None).vsnprintf
    except (OSError, AttributeError, TypeError):
        return ()
    previous: list[Any] = []

    def handle(module: bytes | None, form: bytes | None, arguments: int | None) -> None:
        lines = getattr(_thread, "lines", None)
        if lines is None:
            for each in previous:
                each(module, form, arguments)
            return
        text = ctypes.create_string_buffer(LONGEST)
        to_text(text, ctypes.c_size_t(LONGEST), ctypes.c_char_p(form), ctypes.c_void_p(arguments))
        said = text.value.decode(errors="replace").strip()
        lines.append(f"{(module or b'TIFF').decode(errors='replace')}: {said}")

    handler = _Handler(handle)
    install.restype, install.argtypes = ctypes.c_void_p, [_Handler]
    if address := install(handler):
        previous.append(_Handler(address))
    return handler, previous
