"""Licences of weights: what is known of them, and which of them permit commercial use."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.weights import Weights
from hybrid.errors import SettingError
from hybrid.utils.reading import TEXT, read_text

UNKNOWN = "unknown"
LICENCES = ("any", "commercial")
# By the names that authors, and the headers of model cards, use; without case, spaces and dashes.
_COMMERCIAL = frozenset(
    (
        *("apache2.0", "mit", "bsd", "bsd2clause", "bsd3clause", "isc", "zlib", "unlicense"),
        *("ccby4.0", "ccby3.0", "ccbysa4.0", "ccbysa3.0", "cc0", "cc01.0", "yours", "none"),
    )
)


def weights_licence(spec: BackboneSpec, weights: Weights) -> str:
    """The licence of a backbone's weights.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights

    Returns
    -------
    str
        Of ImageNet weights, and of what hybrid has trained from them or from nothing, that of the registry;
        of an ONNX file, a preset or a tuned backbone what is said in or beside it; of random ones
        ``"none"``; of any other file
        ``"unknown"``.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> weights_licence(get_backbone("vgg16"), Weights("imagenet", "…", None))
    'CC BY 4.0'
    >>> weights_licence(get_backbone("vgg16"), Weights("file", "…", None))
    'unknown'
    """
    if weights.kind == "random":
        return "none"
    if weights.kind == "imagenet" or spec.has_own_weights:
        return spec.licence
    # Only of files that hybrid trained, or of ImageNet's, is it known what they have learnt from.
    known = weights.path is not None and not weights.provenance.unknown
    return spec.licence if known else UNKNOWN


def read_licence(folder: Path) -> str:
    """The licence that the header of README.md in a model's folder names; ``"unknown"`` where it names none.

    Examples
    --------
    >>> read_licence(Path("no-such-folder"))
    'unknown'
    """
    try:
        text = read_text(folder / "README.md", TEXT)
    except (OSError, UnicodeDecodeError):
        return UNKNOWN
    head = text.partition("---\n")[2].partition("\n---")[0]
    said = [line.partition(":")[2] for line in head.splitlines() if line.startswith("license:")]
    return said[0].strip().strip("'\"") or UNKNOWN if said else UNKNOWN


def is_commercial(licence: str) -> bool:
    """Whether a licence permits commercial use, as far as its name is known.

    Examples
    --------
    >>> is_commercial("Apache-2.0"), is_commercial("CC BY-NC 4.0"), is_commercial("unknown")
    (True, False, False)
    """
    return licence.lower().translate(str.maketrans("", "", " -_")) in _COMMERCIAL


def check_licences(wanted: str, licences: Iterable[tuple[str, str]]) -> None:
    """Refuse weights whose licence is not known to permit commercial use, where that is wanted.

    Parameters
    ----------
    wanted : {"any", "commercial"}
        ``"any"`` refuses nothing.
    licences : iterable of (str, str)
        Name and licence of each.

    Raises
    ------
    SettingError
        If one is refused; the message names all. Or if `wanted` is something else.

    Examples
    --------
    >>> check_licences("commercial", [("vgg16", "CC BY 4.0"), ("net.onnx", "unknown")])
    Traceback (most recent call last):
    ...
    hybrid.errors.SettingError: --licence commercial: expected weights that may be used commercially, found...
    """
    if wanted not in LICENCES:
        raise SettingError(f"--licence: expected {' or '.join(LICENCES)}, found {wanted!r}.")
    if wanted == "any":
        return
    refused = [f"{name} ({licence})" for name, licence in licences if not is_commercial(licence)]
    if refused:
        raise SettingError(
            "--licence commercial: expected weights that may be used commercially, found "
            f"{', '.join(refused)}. Choose others (hybrid backbones lists their licences), or leave the "
            "option out where you have a licence of your own."
        )
