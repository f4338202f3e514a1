"""Render a comparison as a self-contained HTML page."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hybrid._version import __version__
from hybrid.errors import RunError, SettingError
from hybrid.evaluation import LOSSES
from hybrid.report.comparison import Comparison
from hybrid.report.front import make_front
from hybrid.report.groups import NOT_COMPARABLE
from hybrid.report.plots import RUN_COLOURS
from hybrid.report.sections import SECTIONS
from hybrid.report.sentences import unknown_training
from hybrid.report.summary_text import metric_names
from hybrid.report.wording import (
    DASH,
    chance,
    duration,
    number,
    p_value_text,
    percent,
    with_interval,
)
from hybrid.utils.counts import counted
from hybrid.utils.outputs import write_output
from hybrid.utils.progress import shows_step
from hybrid.utils.refusals import describe_refusal
from hybrid.utils.visible import visible
from hybrid.utils.writable import check_new_file

# What comes before an id where HTML and SVG define it or refer to it.
ID = re.compile(r'(\s(?:id|for|aria-labelledby|data-of)="|\shref="#|"url\(#)')


@functools.cache
def make_environment() -> Environment:
    """Jinja environment of the templates, with escaping; it keeps those that it has compiled.

    Returns
    -------
    jinja2.Environment

    Examples
    --------
    >>> make_environment().from_string("{{ x }}").render(x="<b>")
    '&lt;b&gt;'
    """
    made = Environment(
        loader=PackageLoader("hybrid.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    made.filters |= {"number": number, "percent": percent, "with_interval": with_interval}
    made.filters |= {"duration": duration, "counted": counted, "p_value": p_value_text}
    made.filters["chance"] = chance
    made.globals |= {"dash": DASH, "losses": LOSSES, "run_colours": RUN_COLOURS}
    return made


def _visible(value: Any) -> Any:
    """What stands on a page, without what would control it: names and titles may hold anything."""
    if isinstance(value, Markup):
        return Markup(visible(str(value)))
    return visible(value) if isinstance(value, str) else value


@shows_step("drawing the page")
def render(compared: Comparison | Sequence[Comparison], command: str = "") -> str:
    """Render one comparison, or several below each other, as HTML. Text from catalogue and runs is escaped.

    Parameters
    ----------
    compared : Comparison or sequence of Comparison
    command : str, default=""
        Command that makes the page; shown on it.

    Returns
    -------
    str
        HTML without external resources, readable without scripts. Its content security policy allows the
        style sheet and the script, by their hashes, and embedded images.

    Examples
    --------
    >>> "<h1>" in render(comparison, "hybrid report")  # doctest: +SKIP
    True
    """
    groups = (compared,) if isinstance(compared, Comparison) else tuple(compared)
    made = make_environment()
    style, style_hash = render_asset(made, "style.css.j2")
    script, script_hash = render_asset(made, "page.js.j2")
    return made.get_template("report.html.j2").render(
        groups=[_render_group(made, group, i, command) for i, group in enumerate(groups)],
        runs=sum(len(group.runs) for group in groups),
        contents=[(f"{_prefix(i)}top", group) for i, group in enumerate(groups)],
        not_comparable=NOT_COMPARABLE,
        style=style,
        style_hash=style_hash,
        script=script,
        script_hash=script_hash,
        version=__version__,
    )


def _render_group(made: Environment, comparison: Comparison, i: int, command: str) -> Markup:
    """Front page and folded sections of one comparison; its ids are unique among the groups."""
    found = [(section, section.make(comparison)) for section in SECTIONS]
    items, genres = counted(comparison.items, "test item"), counted(len(comparison.genres), "genre")
    one = ", one an item" if comparison.task.multiclass else ""
    more = f"; {comparison.distinction}" if comparison.distinction else ""
    text = made.get_template("group.html.j2").render(
        comparison=comparison,
        metric_names=metric_names(comparison),
        title=f"{counted(len(comparison.runs), 'model')} on {items} with {genres}{one}{more}",
        front=make_front(comparison),
        leakage=_leakage(comparison),
        sections=[(section, data) for section, data in found if data is not None],
        command=command,
        version=__version__,
    )
    return Markup(prefix_ids(text, _prefix(i)))


def _leakage(comparison: Comparison) -> str:
    """Class of the box that says whether the split is clean."""
    if comparison.leaks or not comparison.audited:
        return "leaky"
    unknown = any(run.external or unknown_training(run) for run in comparison.runs)
    return "unsure" if unknown else "clean"


def _prefix(i: int) -> str:
    """Prefix of the ids of a group; none for the first."""
    return f"group-{i + 1}-" if i else ""


def prefix_ids(text: str, prefix: str) -> str:
    """Put a prefix before each id of some HTML, and before each reference to one.

    Parameters
    ----------
    text : str
        With quoted attributes. A quotation mark in the text of a catalogue or run is escaped, so no such
        text is taken for an attribute.
    prefix : str

    Returns
    -------
    str

    Examples
    --------
    >>> prefix_ids('<h2 id="runs">Runs</h2><a href="#runs">', "group-2-")
    '<h2 id="group-2-runs">Runs</h2><a href="#group-2-runs">'
    """
    return ID.sub(rf"\g<1>{prefix}", text)


def render_asset(made: Environment, name: str) -> tuple[Markup, str]:
    """Render a style sheet or script, and compute its hash for the content security policy.

    Parameters
    ----------
    made : jinja2.Environment
    name : str
        Of the template.

    Returns
    -------
    text : Markup
    digest : str
        ``sha256-`` and the digest in Base64.

    Examples
    --------
    >>> _, digest = render_asset(make_environment(), "style.css.j2")
    >>> digest[:7]
    'sha256-'
    """
    text = made.get_template(name).render()
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"sha256-{digest}"


def check_html_path(path: Path, kind: str) -> None:
    """Check the name of an HTML file, before any long computation.

    Parameters
    ----------
    path : Path

    Raises
    ------
    SettingError
        If `path` does not end in ``.html`` or ``.htm``.
    RunError
        If it cannot be written.

    Examples
    --------
    >>> check_html_path(Path("card.html"), "explanation")
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise SettingError(f"--html: expected the name of a page (.html), found {path}.")
    check_new_file("--html", path, kind)


def write_page(path: Path, page: str, kind: str) -> None:
    """Write an HTML file atomically.

    Parameters
    ----------
    path : Path
    page : str
    kind : str
        What it is, in a word or two; see `hybrid.utils.outputs.write_output`.

    Raises
    ------
    SettingError
        If `path` does not end in ``.html`` or ``.htm``.
    RunError
        If the file cannot be written.

    Examples
    --------
    >>> write_page(Path("page.html"), "<p>text</p>", "explanation")
    """
    check_html_path(path, kind)
    try:
        write_output(path, page.encode(), kind)
    except OSError as error:
        raise RunError(describe_refusal(path, error)) from error
