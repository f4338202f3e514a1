"""Charts as inline SVG in the colours of the page; the only module that uses matplotlib.

No text from a catalogue or run goes into a chart: names are beside it, as HTML. So nothing has to be
escaped here, and no font has to have the letters.
"""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import get_ident
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

from hybrid.report.chart_labels import FONT_SIZE, place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RUN_COLOURS = 8  # as many as the style sheet has; further runs have the same ones, dashed
DASHES = ("-", "--", ":")
SIZE = (3.4, 2.9)  # inches of 72 units
MARGINS = {"left": 0.19, "right": 0.95, "bottom": 0.17, "top": 0.96}
# Placeholders, since matplotlib needs colour codes: `_inline` replaces them by variables of the style sheet.
INK, SOFT, LINE = "#000001", "#000002", "#000003"
RUNS = tuple(f"#0001{k:02x}" for k in range(RUN_COLOURS))
VARIABLES = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    **{colour: f"var(--run-{k + 1})" for k, colour in enumerate(RUNS)},
}
# A fixed salt makes the ids in the SVG, and so its bytes, reproducible.
SETTINGS: Any = {"svg.hashsalt": "hybrid", "svg.fonttype": "none", "text.parse_math": False}


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Parameters
    ----------
    run : int or None
        Position of its run in the comparison, from 0, which gives its colour and the element that hides it;
        None for a line of no run.
    x, y : sequence of float
    low, high : sequence of float, default=()
        Bounds of an interval around `y`. Empty: no interval is drawn.
    steps : bool, default=False
        Whether `y` holds until the next `x`, as in a precision-recall curve.
    soft : bool, default=False
        Whether to draw a thinner line, for what the main line is compared with.
    label : str, default=""
        Text beside the first point.
    marker : bool, default=False
        Whether to mark each point. A single point is always marked.

    Examples
    --------
    >>> Curve(0, [0.0, 1.0], [0.2, 0.8]).soft
    False
    """

    run: int | None
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    steps: bool = False
    soft: bool = False
    label: str = ""
    marker: bool = False


def draw(
    curves: Sequence[Curve],
    name: str,
    words: str,
    *,
    axes: tuple[str, str],
    unit_square: bool = True,
    diagonal: bool = False,
    log: bool = False,
    x_ticks: Sequence[float] = (),
    y_step: float | None = None,
    y_limits: tuple[float, float] | None = None,
    boundaries: Sequence[float] = (),
) -> Markup:
    """Draw curves into one chart.

    Parameters
    ----------
    curves : sequence of Curve
    name : str
        Letters, digits and hyphens; unique on the page.
    words : str
        Text alternative for readers who cannot see the chart.
    axes : (str, str)
        Labels of x and y.
    unit_square : bool, default=True
        Whether both axes go from 0 to 1.
    diagonal : bool, default=False
        Whether to draw the line ``x = y``.
    log : bool, default=False
        Whether x has a logarithmic scale over whole decades.
    x_ticks : sequence of float, default=()
        Positions of the only ticks of a logarithmic x axis.
    y_step : float, optional
        Distance of the ticks of y, whose limits are multiples of it.
    y_limits : (float, float), optional
        Limits of y with `y_step`. By default those of the curves.
    boundaries : sequence of float, default=()
        Positions on x of dotted vertical lines; the parts that they divide the chart into are numbered.

    Returns
    -------
    Markup
        An ``<svg>`` with presentation attributes only, so that a content security policy need not allow
        inline styles.

    Examples
    --------
    >>> svg = draw([Curve(0, [0, 1], [0.2, 0.8])], "demo", "A rising line", axes=("Recall", "Precision"))
    >>> svg.startswith("<svg"), 'aria-label="A rising line"' in svg, "style=" in svg
    (True, True, False)
    """
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        if unit_square and not y_step and not boundaries:
            figure, plot = _unit_square(axes, get_ident())
            for artist in (*plot.lines, *plot.collections, *plot.texts):  # of the chart before
                artist.remove()
        else:
            figure, plot = _add_axes(axes)
            if unit_square:
                _set_unit_square(plot)
            else:
                _scale_x(plot, curves, log, x_ticks)
        if y_step:
            _scale_y(plot, curves, y_step, y_limits)
        if boundaries:
            _divide(plot, curves, boundaries)
        if diagonal:
            plot.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (2, 3)))
        for curve in curves:
            _add(plot, curve)
        _add_labels(plot, curves)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return _inline(file.getvalue(), name, words)


@lru_cache(maxsize=8)
def _unit_square(labels: tuple[str, str], thread: int) -> tuple[Figure, Axes]:
    """Axes from 0 to 1, of a thread. A page has dozens of charts with the same, which take half the time."""
    figure, plot = _add_axes(labels)
    _set_unit_square(plot)
    return figure, plot


def _set_unit_square(plot: Axes) -> None:
    plot.set_xlim(-0.01, 1.01)
    plot.set_ylim(-0.01, 1.01)


def _add_axes(labels: tuple[str, str]) -> tuple[Figure, Axes]:
    """A figure with a pair of axes in the style of the page."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=72)
    figure.patch.set_visible(False)
    width, height = MARGINS["right"] - MARGINS["left"], MARGINS["top"] - MARGINS["bottom"]
    plot = figure.add_axes((MARGINS["left"], MARGINS["bottom"], width, height))
    plot.patch.set_visible(False)
    plot.grid(color=LINE, linewidth=0.7)
    plot.tick_params(colors=SOFT, labelsize=9, length=0)
    plot.tick_params(axis="x", pad=6)  # its first label clears that of y
    for side, spine in plot.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(LINE)
    plot.set_xlabel(labels[0], color=SOFT, fontsize=9)
    plot.set_ylabel(labels[1], color=SOFT, fontsize=9)
    return figure, plot


def _scale_x(plot: Axes, curves: Sequence[Curve], log: bool, ticks: Sequence[float]) -> None:
    """Set scale, ticks and limits of x."""
    from matplotlib.ticker import MaxNLocator

    if ticks:
        _ticks(plot, ticks)
    elif log:
        _decades(plot, curves)
    else:
        plot.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    places = {x for curve in curves for x in curve.x}
    if len(places) == 1:  # both ends of the axis would be the same
        (x,) = places
        plot.set_xlim(*((x / 2, 2 * x) if log or ticks else (x - 0.5, x + 0.5)))


def _scale_y(
    plot: Axes, curves: Sequence[Curve], step: float, limits: tuple[float, float] | None
) -> None:
    """Set the limits of y to multiples of a step, unless they are given, and ticks at each multiple."""
    from matplotlib.ticker import MultipleLocator

    bounds = [y for curve in curves for side in (curve.low, curve.high, curve.y) for y in side]
    # The tolerance keeps a bound at a multiple from being rounded to the next one.
    low = step * math.floor(min(bounds) / step + 1e-9)
    high = max(step * math.ceil(max(bounds) / step - 1e-9), low + step)
    plot.set_ylim(*(limits or (low, high)))
    plot.yaxis.set_major_locator(MultipleLocator(step))


def _divide(plot: Axes, curves: Sequence[Curve], boundaries: Sequence[float]) -> None:
    """Draw dotted lines at the boundaries, and the number of each part at its top."""
    places = [x for curve in curves for x in curve.x]
    plot.set_xlim(min(places) - 0.5, max(places) + 0.5)
    edges = [min(places) - 0.5, *boundaries, max(places) + 0.5]
    for x in boundaries:
        plot.axvline(x, color=SOFT, linewidth=1, linestyle=(0, (1, 2)))
    for number, (left, right) in enumerate(itertools.pairwise(edges), start=1):
        plot.annotate(
            str(number),
            ((left + right) / 2, 1),
            (0, -9),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            color=SOFT,
            fontsize=9,
        )


def _ticks(plot: Axes, ticks: Sequence[float]) -> None:
    """Set a logarithmic scale with these ticks, and a margin on both sides."""
    from matplotlib.ticker import FixedLocator, NullLocator

    plot.set_xscale("log")
    plot.xaxis.set_major_locator(FixedLocator(list(ticks)))
    plot.xaxis.set_minor_locator(NullLocator())
    plot.xaxis.set_major_formatter("{x:,.0f}")
    if len(ticks) > 1:
        margin = (max(ticks) / min(ticks)) ** 0.06
        plot.set_xlim(min(ticks) / margin, max(ticks) * margin)


def _decades(plot: Axes, curves: Sequence[Curve]) -> None:
    """Set a logarithmic scale over whole decades, which always has tick labels."""
    from matplotlib.ticker import LogLocator, NullLocator

    known = [x for curve in curves for x in curve.x]
    low, high = math.floor(math.log10(min(known))), math.floor(math.log10(max(known))) + 1
    plot.set_xscale("log")
    plot.set_xlim(10.0**low, 10.0**high)
    plot.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high - low < 3 else (1,)))
    plot.xaxis.set_major_formatter("{x:g}")
    plot.xaxis.set_minor_locator(NullLocator())  # its ticks take a third of the time


def _add(plot: Axes, curve: Curve) -> None:
    number, (colour, gid) = curve.run or 0, _identity(curve)
    marker = "o" if curve.marker or len(curve.x) == 1 else None
    plot.plot(
        curve.x,
        curve.y,
        color=colour,
        linewidth=1 if curve.soft else 1.8,
        linestyle=DASHES[number // RUN_COLOURS % len(DASHES)],
        drawstyle="steps-post" if curve.steps else "default",
        alpha=0.6 if curve.soft else None,
        marker=marker,
        markersize=4 if curve.marker else None,
        gid=gid,
    )
    if len(curve.low):
        plot.vlines(curve.x, curve.low, curve.high, color=colour, linewidth=1, alpha=0.6, gid=gid)


def _add_labels(plot: Axes, curves: Sequence[Curve]) -> None:
    """Write the labels beside their first points, where they cover neither points nor each other."""
    labelled = [curve for curve in curves if curve.label]
    if not labelled:
        return
    bounds = (*plot.get_xlim(), *plot.get_ylim())  # computes the limits, which the transform needs
    to_units = plot.transData.transform
    corners = to_units([bounds[::2], bounds[1::2]])
    points = to_units([(curve.x[0], curve.y[0]) for curve in labelled])
    offsets = place_labels(points, [curve.label for curve in labelled], tuple(corners.ravel()))
    for curve, (dx, dy, far) in zip(labelled, offsets, strict=True):
        colour, gid = _identity(curve)
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.6} if far else None
        text = plot.annotate(
            curve.label, (curve.x[0], curve.y[0]), (dx, dy), textcoords="offset points", color=colour,
            fontsize=FONT_SIZE, ha="center", va="center", arrowprops=line,
        )  # fmt: skip
        text.set_gid(gid)
        if text.arrow_patch is not None:
            text.arrow_patch.set_gid(gid)


def _identity(curve: Curve) -> tuple[str, str | None]:
    """Colour of a curve, and the name that hides it with its run."""
    if curve.run is None:
        return SOFT, None
    return RUNS[curve.run % RUN_COLOURS], f"run-{curve.run}"


def _inline(svg: str, name: str, words: str) -> Markup:
    """Turn an SVG document of matplotlib into an element of the page."""
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
    """Split a style attribute into presentation attributes, without the font, which is that of the page."""
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
    """Remove the namespace of a name."""
    return tag.rpartition("}")[2]
