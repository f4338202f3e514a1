"""Which options of an extraction count: those of posters, or those of texts."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid.errors import SettingError
from hybrid.utils.options import Rule, given_options, list_unused

OF_POSTERS = (
    *("weights", "layer", "pooling", "input-size", "fit", "mean", "std"),
    *("batch-size", "retry-failed"),
)
OF_TEXTS = ("chunks", "max-length", "prefix", "last-layers")
_NONE = "none. hybrid backbones lists their names"
OF_POSTER_STORES = ("backbone", "weights", "poster-pooling")


def check_encoders(
    backbone: Sequence[str], text_encoder: str | None, *commands: str, both: bool = False
) -> None:
    """Check that posters or texts are to be embedded, and that each option that was typed counts for them.

    Parameters
    ----------
    backbone : sequence of str
        Names of backbones, or one name; empty for texts.
    text_encoder : str, optional
        Its name or folder; None for posters.
    *commands : str
        Those whose typed options are checked.
    both : bool, default=False
        Posters and texts may be embedded by one call.

    Raises
    ------
    SettingError
        The message lists all that is wrong.

    Examples
    --------
    >>> check_encoders(["vgg16"], None)
    >>> check_encoders(["vgg16"], "all-MiniLM-L6-v2", both=True)
    >>> try:
    ...     check_encoders([], None)
    ... except SettingError as error:
    ...     print(error)
    --backbone, --text-encoder: expected one of them, for posters or for texts, found none. hybrid ...
    """
    of_posters, of_texts = bool(backbone), text_encoder is not None
    if of_posters == of_texts and not (both and of_posters):
        raise SettingError(
            f"--backbone, --text-encoder: expected {'at least ' if both else ''}one of them, for posters "
            f"or for texts, found {'both. Run the command twice' if of_posters else _NONE}."
        )
    given = given_options(dict.fromkeys((*OF_POSTERS, *OF_TEXTS), (None, None)), *commands)
    rules = (
        Rule(OF_POSTERS, of_posters, "--text-encoder embeds texts, and it is for posters"),
        Rule(OF_TEXTS, of_texts, "--backbone embeds posters, and it is for texts"),
    )
    if problems := list_unused(rules, given):
        raise SettingError("\n".join(problems))


def check_selection(text_encoder: str | None, *commands: str) -> None:
    """Check that each option that selects embeddings counts for those of a text encoder, where one is named.

    Raises
    ------
    SettingError
        The message lists all that is wrong.

    Examples
    --------
    >>> check_selection("all-MiniLM-L6-v2", "export")
    """
    given = given_options(dict.fromkeys(OF_POSTER_STORES, (None, None)), *commands)
    rule = Rule(OF_POSTER_STORES, text_encoder is None, "--text-encoder names embeddings of texts")
    if problems := list_unused([rule], given):
        raise SettingError("\n".join(problems))
