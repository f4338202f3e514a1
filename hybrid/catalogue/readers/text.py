"""Bytes and text of a catalogue file."""

from __future__ import annotations

from pathlib import Path

from hybrid.errors import CatalogueError, SettingError


def read_bytes(path: Path) -> bytes:
    """Read the bytes of a catalogue file.

    Raises
    ------
    CatalogueError
        If it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CatalogueError(
            f"expected a catalogue at {path}, found no such file. "
            "Go to its folder, or name it with --catalogue."
        ) from None
    except OSError as error:
        raise CatalogueError(f"cannot read the catalogue {path}: {error.strerror}.") from error


def decode(path: Path, data: bytes, encoding: str) -> str:
    """Decode the bytes of a catalogue file; a byte order mark is left out.

    Raises
    ------
    CatalogueError
        If the bytes are not text in this encoding.
    SettingError
        If there is no such encoding.
    """
    try:
        return data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise SettingError(
            f"--encoding: expected the name of a text encoding such as utf-8, latin-1 or utf-16, "
            f"found {encoding!r}."
        ) from None
    except UnicodeError as error:
        where = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else ""
        raise CatalogueError(
            f"{path}: expected text in {encoding}, found bytes that are not{where}. "
            "Save it as UTF-8, or name its encoding with --encoding (latin-1, cp1252, utf-16 …)."
        ) from None
