"""A fitted model in two files: its structure as JSON, its arrays as npz. No code is ever read from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from hybrid.errors import RunError, SettingError
from hybrid.model_file import blocks, heads, scikit_learn
from hybrid.model_file.arrays import ArrayReader, ArrayWriter
from hybrid.model_file.place import Place, shown
from hybrid.model_file.schema import Object, registered
from hybrid.utils.reading import STRUCTURE, read_json

FORMAT = 4
# The arrays of format 1 are no planes; the reader of arrays tells them apart. Formats 1 and 2 have more of
# scikit-learn's models than predictions need, format 3 forests and strings of another form; so do the kinds.
READABLE = (1, 2, 3, 4)
MODULES = (scikit_learn, blocks, heads)  # they fill the registry


def save_model(model: Any, path: Path) -> None:
    """Write a fitted model.

    Parameters
    ----------
    model : object
        Of a class in the registry, such as a `HybridClassifier` or a `Fusion`.
    path : Path
        The JSON file; the arrays are beside it, in a file with the suffix ``.npz``.

    Raises
    ------
    SettingError
        If a part is not of a class in the registry.

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.heads.decision_rule import DecisionRule
    >>> save_model(DecisionRule(None, np.array([0.5])), Path("rule.json"))
    >>> load_model(Path("rule.json"), DecisionRule).thresholds.tolist()
    [0.5]
    """
    out = ArrayWriter()
    plain = _write(model, out)
    text = json.dumps({"format": FORMAT, "model": plain}, separators=(",", ":"), allow_nan=False)
    out.write(path.with_suffix(".npz"))
    path.write_text(text + "\n", encoding="ascii")


def check_model(model: Any) -> None:
    """Check that a model, fitted or not, can be written.

    Raises
    ------
    SettingError
        If a part is not of a class in the registry, or a parameter is not a plain value.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> check_model(KNeighborsClassifier())
    Traceback (most recent call last):
    ...
    hybrid.errors.SettingError: a model with KNeighborsClassifier cannot be saved in a run: expected...
    """
    _write(model, ArrayWriter())


def load_model(path: Path, cls: type) -> Any:
    """Read what `save_model` wrote. All of it is checked before an object is made.

    Parameters
    ----------
    path : Path
        The JSON file.
    cls : type
        Class that the model has.

    Raises
    ------
    RunError
        If a file is missing, damaged, or not such a model; says where.

    Examples
    --------
    >>> from hybrid.heads.decision_rule import DecisionRule
    >>> load_model(Path("no.json"), DecisionRule)
    Traceback (most recent call last):
    ...
    hybrid.errors.RunError: no.json: expected the structure of a model, found no such file. Fit the run again.
    """
    structure = _read_json(path)
    if not isinstance(structure, dict) or structure.get("format") not in READABLE:
        found = structure.get("format") if isinstance(structure, dict) else structure
        _refuse(
            path, f"the structure of a model in format {FORMAT} or an earlier one", shown(found)
        )
    if set(structure) != {"format", "model"}:
        _refuse(path, "format and model", shown(structure))
    names = tuple(schema.known_as for schema in registered() if schema.cls is cls)
    at = Place(path, ArrayReader(path.with_suffix(".npz")))
    try:
        return Object(names).read(structure["model"], at)
    except RecursionError:
        _refuse(path, "values that are not so deep in each other", "more")


def _write(model: Any, out: ArrayWriter) -> dict[str, Any]:
    try:
        return Object().write(model, out)
    except SettingError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise SettingError(
            f"a model with such parameters cannot be saved in a run: {error}."
        ) from error


def _read_json(path: Path) -> Any:
    try:
        return read_json(path, STRUCTURE)
    except FileNotFoundError:
        _refuse(path, "the structure of a model", "no such file")
    except (OSError, ValueError) as error:
        _refuse(path, "the structure of a model, as JSON", str(error).rstrip("."))


def _refuse(path: Path, expected: str, found: str) -> NoReturn:
    raise RunError(f"{path}: expected {expected}, found {found}. Fit the run again.")
