"""Runs → one self-contained page, a CSV beside it, and a table for the terminal."""

from hybrid.report.build import make_report, report_runs
from hybrid.report.comparison import Comparison, RunResult, compare
from hybrid.report.page import render_page
from hybrid.report.text import as_text

__all__ = [
    "Comparison",
    "RunResult",
    "as_text",
    "compare",
    "make_report",
    "render_page",
    "report_runs",
]
