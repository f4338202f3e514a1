"""Words of scripts without spaces, by the dictionaries of ICU (extra `icu`)."""

from __future__ import annotations

from importlib.util import find_spec

from hybrid.errors import SettingError

LOCALE = "root"  # ICU chooses the dictionary by the script


def icu_problems() -> list[str]:
    """What is missing for `split_by_dictionary`, as messages for the user; none where ICU is installed.

    Examples
    --------
    >>> icu_problems()
    []
    """
    if find_spec("icu4py"):
        return []
    return [
        "--segmenter icu: expected the package icu4py, found none. Install it with: "
        "pip install 'hybrid-posters[icu]'; or leave the option out."
    ]


def split_by_dictionary(text: str) -> list[str]:
    """Split a text without spaces into words, as ICU's dictionaries of Chinese, Japanese, Thai, … know them.

    Parameters
    ----------
    text : str
        Letters of scripts without spaces.

    Returns
    -------
    list of str
        Joined, they are the text.

    Raises
    ------
    SettingError
        If ICU is not installed.

    Examples
    --------
    >>> split_by_dictionary("ภาพยนตร์ตลก"), split_by_dictionary("关于鬼魂")
    (['ภาพยนตร์', 'ตลก'], ['关于', '鬼魂'])
    """
    if problems := icu_problems():
        raise SettingError("\n".join(problems))
    from icu4py.breakers import WordBreaker

    return list(WordBreaker(text, LOCALE))
