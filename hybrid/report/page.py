"""A comparison → one self-contained HTML page."""

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
    """Where the templates are rendered: whatever is put into them is escaped."""
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
    """The page as a string. Everything that comes from a catalogue or a run is escaped.

    Parameters
    ----------
    comparison : Comparison
    command : str
        What makes the page.

    Returns
    -------
    str
        HTML without anything to load. Its policy allows the one style sheet and the one script, by their
        hashes, and images that are part of the page; the page can be read without the script.
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
    """A style sheet or script, and the hash of its very bytes, which escaping must leave alone."""
    text = made.get_template(name).render()
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"sha256-{digest}"


def check_html_path(path: Path) -> None:
    """Raise unless `path` is the name of a page; to be called before minutes of work."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise SettingError(f"--html: expected the name of a page (.html), found {path}.")


def write_page(path: Path, page: str) -> None:
    """Write a page.

    Raises
    ------
    SettingError
        If `path` is not the name of a page.
    RunError
        If it cannot be written.
    """
    check_html_path(path)
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}.") from error
