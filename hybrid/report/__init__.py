"""Runs → one self-contained HTML page, and a CSV table."""

from hybrid.report.build import make_report as make_report
from hybrid.report.build import report_runs as report_runs
from hybrid.report.comparison import Comparison as Comparison
from hybrid.report.words import as_text as as_text
