"""Text of others on a terminal or a page: what would control it, or turn its direction, is shown instead."""

from __future__ import annotations

import re

# Control characters but tab and line feed; line separators; the marks that embed, override or isolate a
# direction of writing; halves of surrogate pairs, which no UTF-8 has.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_ANY = re.compile(f"[{_CONTROLS}]")
_IN_LINE = re.compile(f"[\t\n{_CONTROLS}]")
_NAMES = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def visible(text: str) -> str:
    r"""Show control characters and directional marks by their escape sequences, as Python writes them.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        Tabs and line feeds are as they were.

    Examples
    --------
    >>> print(visible("a\x1b[31mb\u202ec"))
    a\x1b[31mb\u202ec
    """
    return _ANY.sub(_show, text)


def visible_line(text: str) -> str:
    r"""Like `visible`, for what must stay on one line: tabs and line feeds, too.

    Examples
    --------
    >>> print(visible_line("a\nerror: b"))
    a\nerror: b
    """
    return _IN_LINE.sub(_show, text)


def visible_json(text: str) -> str:
    r"""Like `visible`, for JSON: the escape sequences are those of JSON, so that it says the same.

    Examples
    --------
    >>> print(visible_json('["\u202e"]'))
    ["\u202e"]
    """
    return _ANY.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _show(found: re.Match[str]) -> str:
    number = ord(found[0])
    return _NAMES.get(found[0]) or (f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}")
