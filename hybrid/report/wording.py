"""Numbers and lists as words: the formats that page, terminal and model card share."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid.types import Interval

DASH = "–"
SPACE = "\u00a0"  # does not break: a figure stays with its unit
FRACTIONS = (
    (0.9, "almost as much"),
    (0.6, "about two thirds of that"),
    (0.4, "about half of that"),
    (0.29, "about a third of that"),
    (0.22, "about a quarter of that"),
    (0.15, "about a fifth of that"),
    (0.07, "about a tenth of that"),
    (0.035, "about a twentieth of that"),
    (0.015, "about a fiftieth of that"),
    (0.0075, "about a hundredth of that"),
)


def number(value: float | None, form: str) -> str:
    """Format a number; a dash where it is None or NaN.

    Parameters
    ----------
    value : float or None
    form : str
        Format specification.

    Returns
    -------
    str

    Examples
    --------
    >>> number(0.1234, ".2f"), number(None, ".2f")
    ('0.12', '–')
    """
    return DASH if value is None or value != value else format(value, form)


def p_value_text(p_value: float | None) -> str:
    """Format a p-value: never as 0, since no test gives that.

    Parameters
    ----------
    p_value : float or None

    Returns
    -------
    str

    Examples
    --------
    >>> p_value_text(0.0312), p_value_text(0.0005), p_value_text(None)
    ('p = 0.031', 'p < 0.001', '–')
    """
    if p_value is None or p_value != p_value:
        return DASH
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def percent(share: float | None, digits: int = 0) -> str:
    r"""Format a share as a percentage; a dash where it is None or NaN.

    Parameters
    ----------
    share : float or None
    digits : int, default=0
        After the point.

    Returns
    -------
    str

    Examples
    --------
    >>> percent(0.075, 1), percent(None)
    ('7.5\xa0%', '–')
    """
    found = number(None if share is None else 100 * share, f".{digits}f")
    return found if found == DASH else f"{found}{SPACE}%"


def chance(share: float | None) -> str:
    r"""Format an estimated probability: never as 0 or 100 %, since no estimate is that sure.

    Parameters
    ----------
    share : float or None

    Returns
    -------
    str

    Examples
    --------
    >>> chance(0.9999), chance(0.612), chance(0.0)
    ('>\xa099\xa0%', '61\xa0%', '<\xa01\xa0%')
    """
    if share is not None and share > 0.99:
        return f">{SPACE}{percent(0.99)}"
    if share is not None and share < 0.01:
        return f"<{SPACE}{percent(0.01)}"
    return percent(share)


def with_interval(value: Interval) -> str:
    """Format a value with its 95 % interval; a dash where it is NaN.

    Parameters
    ----------
    value : Interval

    Returns
    -------
    str

    Examples
    --------
    >>> with_interval(Interval(0.6151, 0.595, 0.634))
    '0.615 (0.595 to 0.634)'
    """
    if value.value != value.value:
        return DASH
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def duration(seconds: float | None) -> str:
    """Format seconds.

    Parameters
    ----------
    seconds : float or None

    Returns
    -------
    str

    Examples
    --------
    >>> duration(4.06), duration(125), duration(4800)
    ('4.1 s', '2 min 5 s', '1 h 20 min')
    """
    if seconds is None or seconds < 59.95:
        return f"{number(seconds, '.1f')} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def listed(names: Sequence[str], most: int = 3) -> str:
    """List names in a sentence.

    Parameters
    ----------
    names : sequence of str
    most : int, default=3
        Names that are written out; the others are counted.

    Returns
    -------
    str

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"]), listed(list("abcdef"))
    ('a', 'a and b', 'a, b and c', 'a, b, c and 3 others')
    """
    shown, rest = list(names[:most]), len(names) - most
    if rest > 0:
        shown.append(f"{rest} other{'' if rest == 1 else 's'}")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def fraction(part: float) -> str:
    """Say a ratio below 1 in words.

    Parameters
    ----------
    part : float

    Returns
    -------
    str

    Examples
    --------
    >>> fraction(0.11), fraction(0.5), fraction(0.0001)
    ('about a tenth of that', 'about half of that', 'less than a hundredth of that')
    """
    return next(
        (words for least, words in FRACTIONS if part >= least), "less than a hundredth of that"
    )
