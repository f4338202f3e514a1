"""The JSON file beside an ONNX file that says what the file itself does not: found by name or by digest."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from hybrid.errors import WeightsError
from hybrid.utils.reading import WEIGHTS, hash_file, read_json_object

DIGEST = "sha256"
LARGEST = 2**16  # bytes of a file of JSON that may be one


def find_sidecar(path: Path, keys: Collection[str]) -> Path | None:
    """The file that says more about an ONNX file.

    Parameters
    ----------
    path : Path
        Of the ONNX file.
    keys : collection of str
        What may be said; such a file says nothing else.

    Returns
    -------
    Path or None
        ``NAME.json`` or ``NAME.onnx.json``; or one whose ``sha256`` is that of the ONNX file, whatever its
        name.

    Raises
    ------
    WeightsError
        If the ``sha256`` in it is that of another file.

    Examples
    --------
    >>> find_sidecar(Path("no-such-folder/net.onnx"), {"mean", "std"}) is None
    True
    """
    own = (path.with_suffix(".json"), path.with_name(f"{path.name}.json"))
    named = next((beside for beside in own if beside.is_file()), None)
    if named is None:
        told = {beside: said[DIGEST] for beside, said in _told(path, keys) if DIGEST in said}
        digest = hash_file(path, WEIGHTS) if told else ""
        return next((beside for beside, said in told.items() if said == digest), None)
    said = read_json_object(named, WeightsError, remedy="Mend it, or take it away.").get(DIGEST)
    if said is not None and said != (found := hash_file(path, WEIGHTS)):
        raise WeightsError(
            f"{named}: expected what is said of {path.name}, with SHA-256 {found}, found {said!r}. Take the "
            "file away, or its sha256 if it is of this file all the same."
        )
    return named


def describe_strays(path: Path, keys: Collection[str]) -> str:
    """A sentence about files beside an ONNX file that say such things of no file that is there; else empty.

    Examples
    --------
    >>> describe_strays(Path("no-such-folder/net.onnx"), {"mean", "std"})
    ''
    """
    strays = [beside.name for beside, said in _strays(path, keys) if DIGEST not in said]
    if not strays:
        return ""
    return (
        f"Beside it is {', '.join(strays)}, of no ONNX file there: if it is of {path.name}, rename it to "
        f"{path.with_suffix('.json').name}; else take it away."
    )


def _strays(path: Path, keys: Collection[str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Of these files, those that are named after no ONNX file."""
    for beside, said in _told(path, keys):
        stem = beside.name.removesuffix(".json").removesuffix(".onnx")
        if not beside.with_name(f"{stem}.onnx").exists():
            yield beside, said


def _told(path: Path, keys: Collection[str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Files in the folder that say such things and nothing else."""
    for beside in sorted(path.parent.glob("*.json")):
        try:
            if beside.stat().st_size > LARGEST:
                continue
            said = read_json_object(beside, WeightsError)
        except (OSError, WeightsError):
            continue  # whatever it is
        if said and set(said) <= {*keys, DIGEST}:
            yield beside, said
