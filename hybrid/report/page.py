"""Render a comparison as a self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hybrid._version import __version__
from hybrid.errors import RunError, SettingError
from hybrid.report.comparison import Comparison
from hybrid.report.plots import RUN_COLOURS
from hybrid.report.sections import SECTIONS
from hybrid.report.summary_text import (
    DASH,
    METRIC_NAMES,
    audit_sentence,
    best_run_sentence,
    cost_sentence,
    duration,
    number,
    with_interval,
)
from hybrid.utils.files import write_atomically


def make_environment() -> Environment:
    """Jinja environment of the templates, with escaping.

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
    )
    made.filters |= {"number": number, "with_interval": with_interval, "duration": duration}
    made.globals |= {"dash": DASH, "metric_names": METRIC_NAMES, "run_colours": RUN_COLOURS}
    return made


def render(comparison: Comparison, command: str = "") -> str:
    """Render a comparison as HTML. Text from catalogue and runs is escaped.

    Parameters
    ----------
    comparison : Comparison
    command : str, default=""
        Command that makes the page; shown on it.

    Returns
    -------
    str
        HTML without external resources, readable without scripts. Its content security policy allows the
        style sheet and the script, by their hashes, and embedded images.

    Examples
    --------
    >>> "<h1>hybrid" in render(comparison, "hybrid report")  # doctest: +SKIP
    True
    """
    made = make_environment()
    style, style_hash = render_asset(made, "style.css.j2")
    script, script_hash = render_asset(made, "page.js.j2")
    found = [(section, section.make(comparison)) for section in SECTIONS]
    return made.get_template("report.html.j2").render(
        comparison=comparison,
        clean=comparison.audited and not comparison.leaks,
        sentences=(
            audit_sentence(comparison) + ".",
            best_run_sentence(comparison),
            cost_sentence(comparison),
        ),
        sections=[(section, data) for section, data in found if data is not None],
        style=style,
        style_hash=style_hash,
        script=script,
        script_hash=script_hash,
        command=command,
        version=__version__,
    )


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


def check_html_path(path: Path) -> None:
    """Check the name of an HTML file, before any long computation.

    Parameters
    ----------
    path : Path

    Raises
    ------
    SettingError
        If `path` does not end in ``.html`` or ``.htm``.

    Examples
    --------
    >>> check_html_path(Path("card.html"))
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise SettingError(f"--html: expected the name of a page (.html), found {path}.")


def write_page(path: Path, page: str) -> None:
    """Write an HTML file atomically.

    Parameters
    ----------
    path : Path
    page : str

    Raises
    ------
    SettingError
        If `path` does not end in ``.html`` or ``.htm``.
    RunError
        If the file cannot be written.

    Examples
    --------
    >>> write_page(Path("page.html"), "<p>text</p>")
    """
    check_html_path(path)
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}.") from error
