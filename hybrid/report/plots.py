"""Curves → inline SVG in the page's own colours; the one module that uses matplotlib.

No text from a catalogue or run goes into a plot: names stand beside it, as HTML. So nothing is to be
escaped here, and no font has to have the letters.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RUN_COLOURS = 8  # as many as the style sheet has; further runs have the same ones, dashed
DASHES = ("-", "--", ":")
SIZE = (3.4, 2.9)  # inches of 72 units
MARGINS = {"left": 0.15, "right": 0.97, "bottom": 0.17, "top": 0.96}
# matplotlib wants numbers for colours; these stand for the style sheet's until `_inline` puts its names.
INK, SOFT, LINE = "#000001", "#000002", "#000003"
RUNS = tuple(f"#0001{k:02x}" for k in range(RUN_COLOURS))
VARIABLES = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    **{colour: f"var(--run-{k + 1})" for k, colour in enumerate(RUNS)},
}
# What a hash in matplotlib's names is made from: same input, same bytes.
SETTINGS: Any = {"svg.hashsalt": "hybrid", "svg.fonttype": "none", "text.parse_math": False}


@dataclass(frozen=True)
class Curve:
    """One line of a plot.

    Parameters
    ----------
    run : int or None
        Its number among the runs, from 0: its colour, and what hides it; None for a line of no run.
    x, y : sequence of float
    low, high : sequence of float
        Bounds of an interval around `y`; empty: none is drawn.
    steps : bool
        Whether `y` holds until the next `x`, as in a precision-recall curve.
    soft : bool
        Whether to draw it thinner, as what the main curve is compared with.
    label : str
        Figures beside the first point.
    """

    run: int | None
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    steps: bool = False
    soft: bool = False
    label: str = ""


def draw(
    curves: Sequence[Curve],
    name: str,
    words: str,
    *,
    axes: tuple[str, str],
    unit_square: bool = True,
    diagonal: bool = False,
    log: bool = False,
) -> Markup:
    """Draw curves into one pair of axes.

    Parameters
    ----------
    curves : sequence of Curve
    name : str
        Letters and digits, of no other plot on the page.
    words : str
        What a reader who cannot see it should know.
    axes : (str, str)
        Names of x and y.
    unit_square : bool
        Whether both axes go from 0 to 1.
    diagonal : bool
        Whether to draw the line of ``x = y``.
    log : bool
        Whether the scale of x is logarithmic.

    Returns
    -------
    Markup
        An ``<svg>`` with presentation attributes only, so that a page's policy need not allow styles.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=SIZE)
        figure.patch.set_visible(False)
        plot = figure.add_axes(
            (
                MARGINS["left"],
                MARGINS["bottom"],
                MARGINS["right"] - MARGINS["left"],
                MARGINS["top"] - MARGINS["bottom"],
            )
        )
        plot.patch.set_visible(False)
        plot.grid(color=LINE, linewidth=0.7)
        plot.tick_params(colors=SOFT, labelsize=9, length=0)
        for side, spine in plot.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(LINE)
        plot.set_xlabel(axes[0], color=SOFT, fontsize=9)
        plot.set_ylabel(axes[1], color=SOFT, fontsize=9)
        if unit_square:
            plot.set_xlim(-0.01, 1.01)
            plot.set_ylim(-0.01, 1.01)
        elif log:
            _decades(plot, curves)
        else:
            plot.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if diagonal:
            plot.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (2, 3)))
        places = {x for curve in curves for x in curve.x}
        if len(places) == 1 and not unit_square:  # else both ends of the axis would be the same
            (x,) = places
            plot.set_xlim(*((x / 2, 2 * x) if log else (x - 0.5, x + 0.5)))
        for curve in curves:
            _add(plot, curve)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return _inline(file.getvalue(), name, words)


def _decades(plot: Axes, curves: Sequence[Curve]) -> None:
    """A logarithmic scale over whole decades, so that there are always figures to read it by."""
    from matplotlib.ticker import LogLocator, NullFormatter

    known = [x for curve in curves for x in curve.x]
    low, high = math.floor(math.log10(min(known))), math.floor(math.log10(max(known))) + 1
    plot.set_xscale("log")
    plot.set_xlim(10.0**low, 10.0**high)
    plot.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high - low < 3 else (1,)))
    plot.xaxis.set_major_formatter("{x:g}")
    plot.xaxis.set_minor_formatter(NullFormatter())


def _add(plot: Axes, curve: Curve) -> None:
    number = curve.run or 0
    colour = SOFT if curve.run is None else RUNS[number % RUN_COLOURS]
    gid = None if curve.run is None else f"run-{curve.run}"
    marker = "o" if len(curve.x) == 1 else None
    plot.plot(
        curve.x,
        curve.y,
        color=colour,
        linewidth=1 if curve.soft else 1.8,
        linestyle=DASHES[number // RUN_COLOURS % len(DASHES)],
        drawstyle="steps-post" if curve.steps else "default",
        alpha=0.6 if curve.soft else None,
        marker=marker,
        gid=gid,
    )
    if len(curve.low):
        plot.vlines(curve.x, curve.low, curve.high, color=colour, linewidth=1, alpha=0.6, gid=gid)
    if curve.label:
        place = (curve.x[0], curve.y[0])
        said = plot.annotate(
            curve.label, place, (6, 4), textcoords="offset points", color=colour, fontsize=9
        )
        said.set_gid(gid)


def _inline(svg: str, name: str, words: str) -> Markup:
    """Matplotlib's document as a part of a page."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if _plain(child.tag) in ("metadata", "style"):
                parent.remove(child)
    numbers: dict[str, str] = {}
    for element in root.iter():
        element.tag = _plain(element.tag)
        found = {_plain(key): value for key, value in element.attrib.items()}
        element.attrib.clear()
        found |= _properties(found.pop("style", ""))
        for key, value in found.items():
            element.set(key, _attribute(key, value, name, numbers))
        run = re.fullmatch(r"run-(\d+)", found.get("id", ""))
        if run:
            element.set("data-run", run[1])
    used = {element.get("href", "")[1:] for element in root.iter()}
    used |= {element.get("clip-path", "")[5:-1] for element in root.iter()}
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib |= {"class": "plot", "role": "img", "aria-label": words}
    text = ElementTree.tostring(root, encoding="unicode")
    return Markup(re.sub(r">\s+<", "><", text))


def _properties(style: str) -> dict[str, str]:
    """A style attribute as presentation attributes; the font is the page's."""
    pairs = (part.partition(":") for part in style.split(";") if part.strip())
    found = {key.strip(): value.strip() for key, _, value in pairs}
    return {key: value for key, value in found.items() if key not in ("font-family", "font")}


def _attribute(key: str, value: str, name: str, numbers: dict[str, str]) -> str:
    if key in ("d", "x", "y", "transform", "x1", "x2", "y1", "y2", "points"):
        return re.sub(r"-?\d+\.\d+", _short, value)
    value = VARIABLES.get(value, value)
    if key == "id" or value.startswith(("#", "url(#")):
        plain = value.removeprefix("url(").removesuffix(")").removeprefix("#")
        number = numbers.setdefault(plain, f"{name}-{len(numbers)}")
        return value.replace(plain, number)
    return value


def _short(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


def _plain(tag: str) -> str:
    """A name without its namespace, which HTML does not have."""
    return tag.rpartition("}")[2]
