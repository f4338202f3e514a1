"""Text of others on a terminal or a page: what would control it, or turn its direction, is shown instead.

On a terminal it is cut, too, where it would fill it.
"""

from __future__ import annotations

import re

from hybrid.utils.counts import counted

# Control characters but tab and line feed; line separators; the marks that embed, override or isolate a
# direction of writing; halves of surrogate pairs, which no UTF-8 has.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_ANY = re.compile(f"[{_CONTROLS}]")
_IN_LINE = re.compile(f"[\t\n{_CONTROLS}]")
WORD, LINE, CELL = 300, 4000, 80  # characters on a terminal; names of files have up to 255
_LONG_WORD = re.compile(rf"[^\s/]{{{WORD + 1},}}")
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


def bounded(text: str) -> str:
    """Cut what no terminal is for: words of more than 300 characters, and lines of more than 4,000.

    Examples
    --------
    >>> bounded("id " + "a" * 200_000 + " is there twice")[195:]
    'aaaaaaaa… (199,800 more characters) is there twice'
    """
    text = _LONG_WORD.sub(lambda found: shortened(found[0], WORD * 2 // 3), text)
    if len(text) <= LINE:
        return text
    return "\n".join(map(_short_line, text.split("\n")))


def shortened(text: str, most: int = CELL) -> str:
    """Cut a name to so many characters and say how many more it has; for a cell of a table.

    Examples
    --------
    >>> shortened("abcdef", 2), shortened("ab", 2)
    ('ab… (4 more characters)', 'ab')
    """
    if len(text) <= most:
        return text
    return f"{text[:most]}… ({counted(len(text) - most, 'more character')})"


def _short_line(line: str) -> str:
    """The beginning and the end, which says what to do."""
    if len(line) <= LINE:
        return line
    first, last = LINE * 3 // 4, LINE // 5
    return f"{line[:first]} … ({len(line) - first - last:,} more characters) … {line[-last:]}"
