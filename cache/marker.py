"""The marker of a cache, FORMAT: which format it has."""

from __future__ import annotations

import warnings
from pathlib import Path

from hybrid.cache.parts import FORMAT
from hybrid.cache.quarantine import tell_damage, write_over
from hybrid.cache.sealed import seal, unseal
from hybrid.cache.verified_files import UNPARSABLE, DamageError, read_small
from hybrid.errors import CacheError
from hybrid.utils.reading import POINTER, parse_json

NAME = "FORMAT"


def read_format(cache: Path) -> int | None:
    """Read the format of a cache; None where there is none yet.

    Raises
    ------
    DamageError
        If the marker is damaged.
    CacheError
        If it cannot be read: that is no damage.

    Examples
    --------
    >>> read_format(Path("nowhere")) is None
    True
    """
    try:
        data = read_small(cache / NAME, POINTER)
        said = parse_json(data)
        if said != {"format": said["format"]}:  # all that earlier versions wrote, without a seal
            said = unseal(data)
        found = said["format"]
    except FileNotFoundError:
        return None
    except UNPARSABLE as error:
        raise DamageError(f"it cannot be parsed ({error})") from error
    except OSError as error:
        raise CacheError(
            f"{cache / NAME}: cannot be read: {error.strerror}. Nothing was changed."
        ) from error
    if type(found) is not int or found < 1:
        raise DamageError(f"its format is {found!r}")
    return found


def check_format(cache: Path) -> None:
    """Raise `CacheError` where a cache is of a newer format; warn where its marker is damaged.

    A damaged marker stops nothing: each file of the cache is verified by itself.
    """
    try:
        found = read_format(cache)
    except DamageError as error:
        if cache.is_file():
            raise CacheError(
                f"{cache}: expected the folder of a cache, found: Not a directory."
            ) from error
        warnings.warn(
            f"{cache / NAME} was damaged ({error}), and is not used. hybrid extract writes it again.",
            stacklevel=2,
        )
        return
    if found is not None and found > FORMAT:
        raise CacheError(
            f"{cache / NAME}: expected a cache of format {FORMAT} or older, found {found!r}. "
            "Update hybrid, or name another folder with --cache. If no newer version ever wrote to it, this "
            "file is damaged: remove it, and hybrid extract writes it again."
        )


def mend_format(cache: Path) -> None:
    """Write the marker of a cache where there is none, or a damaged one, which is set aside.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    try:
        if read_format(cache) is not None:
            return
    except DamageError as error:
        tell_damage(cache / NAME, cache, str(error), "It is written again.")
    write_over(cache / NAME, seal({"format": FORMAT}), cache)
