"""Multi-label metrics with confidence intervals and significance tests. Pure: arrays in, records out."""

from hybrid.evaluation.calibration_curves import Reliability as Reliability
from hybrid.evaluation.calibration_curves import reliability as reliability
from hybrid.evaluation.classification_report import ClassificationReport as ClassificationReport
from hybrid.evaluation.classification_report import ReportRow as ReportRow
from hybrid.evaluation.classification_report import classification_report as classification_report
from hybrid.evaluation.evaluate import Evaluation as Evaluation
from hybrid.evaluation.evaluate import GenreScore as GenreScore
from hybrid.evaluation.evaluate import evaluate as evaluate
from hybrid.evaluation.evaluate import evaluate_all as evaluate_all
from hybrid.evaluation.evaluate import measure_all as measure_all
from hybrid.evaluation.evaluate import paired_difference as paired_difference
from hybrid.evaluation.metrics import LOSSES as LOSSES
from hybrid.evaluation.metrics import METRICS as METRICS
from hybrid.evaluation.multiclass import MULTICLASS_METRICS as MULTICLASS_METRICS
from hybrid.evaluation.multiclass import MultiClass as MultiClass
from hybrid.evaluation.multiclass import evaluate_multiclass as evaluate_multiclass
from hybrid.evaluation.multiclass import likeliest as likeliest
from hybrid.evaluation.multiple_comparisons import PairwiseComparisons as PairwiseComparisons
from hybrid.evaluation.multiple_comparisons import compare_pairs as compare_pairs
from hybrid.evaluation.multiple_comparisons import (
    compare_with_reference as compare_with_reference,
)
from hybrid.evaluation.outputs import Outputs as Outputs
from hybrid.evaluation.pareto import pareto_front as pareto_front
from hybrid.evaluation.repeated_runs import Spread as Spread
from hybrid.evaluation.repeated_runs import (
    corrected_resampled_interval as corrected_resampled_interval,
)
from hybrid.evaluation.repeated_runs import summarise_runs as summarise_runs
from hybrid.evaluation.resampling import DRAWS as DRAWS
from hybrid.evaluation.resampling import METHOD as METHOD
from hybrid.evaluation.selection import Selection as Selection
from hybrid.evaluation.selection import select_best as select_best
from hybrid.evaluation.significance import holm as holm
from hybrid.evaluation.significance import permutation_test as permutation_test
