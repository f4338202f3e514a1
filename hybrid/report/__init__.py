"""Reports on runs: a self-contained HTML page, CSV, JSON and model cards."""

from hybrid.report.build import make_report as make_report
from hybrid.report.build import report_runs as report_runs
from hybrid.report.comparison import Comparison as Comparison
from hybrid.report.exports import as_data as as_data
from hybrid.report.groups import Report as Report
from hybrid.report.model_card import model_card as model_card
from hybrid.report.summary_text import as_text as as_text
