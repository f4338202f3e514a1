"""Schemas of the heads, the decision rule and the hybrid classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.multiclass import OneVsRestClassifier

from hybrid.heads import HybridClassifier
from hybrid.heads.calibration import METHODS, Calibration
from hybrid.heads.chain import Chain
from hybrid.heads.cross_fitting import Candidate
from hybrid.heads.decision_rule import ARGMAX, DecisionOptions, DecisionRule
from hybrid.heads.dummy import SingleLabelDummy
from hybrid.heads.head_pipeline import BlockSVD, HeadPipeline
from hybrid.heads.kernel_svm import FusionNystroem, KernelSVC
from hybrid.heads.knn import MultilabelKNN
from hybrid.heads.labelwise import LabelwiseLogistic
from hybrid.heads.logistic import MultilabelLogistic
from hybrid.heads.masked_fit import MaskedHead
from hybrid.heads.search import SearchResult
from hybrid.heads.stacking import Stacking
from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC
from hybrid.heads.thresholds import OBJECTIVES
from hybrid.model_file.arrays import ArrayWriter
from hybrid.model_file.blocks import MATRIX, columns_of
from hybrid.model_file.kinds import (
    Array,
    Flag,
    Kind,
    Maybe,
    OneOf,
    Real,
    Row,
    Several,
    Table,
    Texts,
    Whole,
    Word,
)
from hybrid.model_file.place import Place, shown
from hybrid.model_file.schema import PLAIN, SEED, WORKERS, Object, Schema, register
from hybrid.model_file.scikit_learn import ONE_LABEL
from hybrid.types import METRICS, ROWS, SEARCHES
from hybrid.utils.counts import counted

ALL_LABELS = (
    *("MultilabelLinearSVC", "MultilabelLogistic", "MultilabelKNN", "KernelSVC", "Stacking"),
    *("Chain", "HeadPipeline", "SingleLabelDummy"),
)
HEAD = Object((*ALL_LABELS, "OneVsRestClassifier", "MaskedHead"), shared=("L", "D"))
PART = Object((*ALL_LABELS, "OneVsRestClassifier"))  # of a head
ESTIMATOR = Object(tuple(dict.fromkeys((*ALL_LABELS, *ONE_LABEL))))
COUNT = Whole(1, 2**31 - 1)
READ: dict[str, Kind] = {"classes_": Array("int64", "L"), "n_features_in_": Whole(1, size="D")}
PER_LABEL = Array("float64", "L")
LABELS = OneOf(
    {"numbers": Array("", "_"), "words": Texts()},
    lambda labels: "words" if np.asarray(labels).dtype.kind in "OU" else "numbers",
)


class ClassWeight:
    """None, "balanced", or class → weight."""

    def write(self, value: Any, out: ArrayWriter) -> Any:
        """See `Kind`."""
        return PLAIN.write(value, out)

    def read(self, plain: Any, at: Place) -> Any:
        """See `Kind`."""
        found = PLAIN.read(plain, at)
        if not (found is None or found == "balanced" or isinstance(found, dict)):
            at.refuse("null, 'balanced' or weights of classes", shown(plain))
        return found


CLASS_WEIGHT = ClassWeight()


class SearchMethod(Word):
    """How settings are chosen; formats 1 to 3 say whether by all combinations."""

    def read(self, plain: Any, at: Place) -> str:
        """See `Kind`."""
        if type(plain) is bool:
            return "grid" if plain else "full"
        return super().read(plain, at)


SEARCH_METHOD = SearchMethod(SEARCHES)
FORESEEN: dict[str, Kind] = {
    "tol": Real(),
    "class_weight": CLASS_WEIGHT,
    "n_jobs": Maybe(WORKERS),
}


def _finish_svm(model: Any, at: Place) -> None:
    labels = len(model.classes_) if model._multilabel or len(model.classes_) > 2 else 1
    if len(model.coef_) != labels:
        at.inside("coef_").refuse(counted(labels, "row"), f"{len(model.coef_)}")


def _finish_masked(head: MaskedHead, at: Place) -> None:
    labels = sorted(j for columns in head.labels for j in columns)
    if labels != list(range(len(labels))) or len(head.heads) != len(head.labels):
        at.refuse("each label in one head", "others")
    at.bind("L", len(labels))


def _finish_kernel(model: KernelSVC, at: Place) -> None:
    known = {len(model.items_), *(m.n_features_in_ for m in model.machines_ if m is not None)}
    if len(known) > 1 or model.items_.shape[1] != model.n_features_in_:
        at.refuse("machines of the items that are there", "others")


def _finish_labelwise(head: LabelwiseLogistic, at: Place) -> None:
    """Every label has its scores among the columns, and what comes behind them."""
    labels, own = head.coef_.shape
    further = head.n_features_in_ - head.heads * labels
    if further < 0 or own != head.heads + further:
        at.refuse(f"{head.heads + max(further, 0)} coefficients of a label", str(own))


def _finish_chain(model: Chain, at: Place) -> None:
    if sorted(model.order_.tolist()) != list(range(len(model.order_))):
        at.inside("order_").refuse("each label once", "others")


def _finish_binary(model: OneVsRestClassifier, at: Place) -> None:
    if model.multilabel_ and len(model.classes_) != len(model.estimators_):
        at.refuse(f"{len(model.classes_)} classifiers", f"{len(model.estimators_)}")


def _finish_calibration(curves: Calibration, at: Place) -> None:
    if len(curves.knots) not in (0, len(curves.prior)):
        at.inside("knots").refuse(f"{len(curves.prior)} curves", f"{len(curves.knots)}")
    for scores, probabilities in filter(None, curves.knots):
        if not scores or len(scores) != len(probabilities):
            at.inside("knots").refuse("as many probabilities as scores", "others")


def _finish_hybrid(model: HybridClassifier, at: Place) -> None:
    """What parts have in common, and what has two names."""
    at.bind("D", columns_of(model.fusion_))
    rule, labels = model.decision_, len(model.prior_)
    for name, found, wanted in (
        ("thresholds", rule.thresholds, 0 if rule.options.one_label else labels),
        ("calibration", rule.calibration.prior if rule.calibration else model.prior_, labels),
    ):
        if len(found) != wanted:
            at.inside("decision_").inside(name).refuse(counted(wanted, "label"), f"{len(found)}")
    model.thresholds_, model.calibration_ = rule.thresholds, rule.calibration


register(
    Schema(Candidate, {"parameters": Table(PLAIN), "weights": Table(Real())}),
    Schema(
        SearchResult,
        {
            "choice": Object(("Candidate",)),
            "quality": Real(),
            "spread": Real(),
            "seconds": Real(),
            "items": Maybe(COUNT),
        },
        optional=("items",),
    ),
    Schema(
        DecisionOptions,
        {
            "objective": Maybe(Word((*OBJECTIVES, ARGMAX))),
            "shrinkage": Maybe(Real()),
            "calibration": Word(METHODS),
            "max_labels": Maybe(COUNT),
            "at_least_one": Flag(),
        },
    ),
    Schema(
        Calibration,
        {
            "slope": PER_LABEL,
            "intercept": PER_LABEL,
            "prior": PER_LABEL,
            "knots": Several(Maybe(Row((Several(Real()), Several(Real()))))),
        },
        finish=_finish_calibration,
    ),
    Schema(
        DecisionRule,
        {
            "calibration": Maybe(Object(("Calibration",))),
            "thresholds": Array("float64", "_"),
            "options": Object(("DecisionOptions",)),
        },
    ),
    Schema(
        MultilabelLinearSVC,
        {
            "C": Real(),
            **FORESEEN,
            "fit_intercept": Flag(),
            "max_iter": COUNT,
            "random_state": Maybe(SEED),
        },
        {
            "classes_": Array("", "_"),
            "n_features_in_": Whole(1, size="D"),
            "_multilabel": Flag(),
            "coef_": Array("float64", "L D"),
            "intercept_": PER_LABEL,
            "dual_gap_": PER_LABEL,
            "n_iter_": Array("int64 int32", "L"),
        },
        finish=_finish_svm,
    ),
    Schema(
        MultilabelLogistic,
        {"C": Real(), "class_weight": CLASS_WEIGHT, "tol": Real(), "max_iter": COUNT},
        {
            **READ,
            "coef_": Array("float64", "L D"),
            "intercept_": PER_LABEL,
            "dual_gap_": PER_LABEL,
            "n_iter_": Whole(0),
        },
    ),
    Schema(
        LabelwiseLogistic,
        {"heads": COUNT, "C": Real()},
        {**READ, "coef_": Array("float64", "L F"), "intercept_": PER_LABEL},
        finish=_finish_labelwise,
    ),
    Schema(
        MultilabelKNN,
        {"neighbours": COUNT, "power": Real()},
        {
            **READ,
            "items_": Several(Row((MATRIX, Array("float32", "_"))), size="B"),
            "present_": Array("bool", "N B"),
            "labels_": Array("float32", "N L"),
            "prior_": PER_LABEL,
        },
    ),
    Schema(
        KernelSVC,
        {
            "C": Real(),
            "gamma": Real(),
            "class_weight": CLASS_WEIGHT,
            "n_jobs": Maybe(WORKERS),
        },
        {
            **READ,
            "gamma_": Real(),
            "items_": Object(("FusionMatrix",)),
            "machines_": Several(Maybe(Object(("SVC",))), size="L"),
        },
        finish=_finish_kernel,
    ),
    Schema(
        FusionNystroem,
        {"gamma": Real(), "components": COUNT, "random_state": SEED},
        {
            "gamma_": Real(),
            "landmarks_": Object(("FusionMatrix",)),
            "normalization_": Array("float64 float32", "_ _"),
        },
    ),
    Schema(
        BlockSVD,
        {"components": COUNT, "random_state": SEED},
        {"decompositions_": Several(Maybe(Object(("TruncatedSVD",))))},
    ),
    Schema(
        HeadPipeline,
        {
            "transformer": Object(("BlockSVD", "FusionNystroem")),
            "estimator": ESTIMATOR,
            "n_jobs": Maybe(WORKERS),
        },
        {**READ, "transformer_": Object(("BlockSVD", "FusionNystroem")), "head_": PART},
    ),
    Schema(
        Chain,
        {
            "estimator": ESTIMATOR,
            "folds": COUNT,
            "n_jobs": Maybe(WORKERS),
            "random_state": SEED,
        },
        {
            **READ,
            "order_": Array("int64", "L", low=0, below="L"),
            "links_": Several(PART, size="L"),
            "centre_": PER_LABEL,
            "scale_": PER_LABEL,
        },
        finish=_finish_chain,
    ),
    Schema(
        Stacking,
        {
            "estimator": ESTIMATOR,
            "cs": Several(Real()),
            "penalties": Several(Real()),
            "folds": COUNT,
            "n_jobs": Maybe(WORKERS),
            "random_state": SEED,
            "scores": Several(Word()),
        },
        {
            **READ,
            "heads_": Table(PART),
            "combiner_": Object(("LabelwiseLogistic", "MultilabelLogistic"), shared=("L",)),
            "chosen_": Table(Real()),
            "centre_": Array("float64", "H L"),
            "scale_": Array("float64", "H L", positive=True),
        },
        optional=("scores",),
    ),
    Schema(
        SingleLabelDummy,
        {"strategy": Word(), "random_state": SEED},
        {**READ, "dummy_": Object(("DummyClassifier",))},
    ),
    Schema(
        MaskedHead,
        {"labels": Several(Several(Whole(0))), "heads": Several(PART)},
        finish=_finish_masked,
    ),
    Schema(
        OneVsRestClassifier,
        {"estimator": ESTIMATOR, "n_jobs": Maybe(WORKERS), "verbose": Whole(0)},
        {
            "n_features_in_": Whole(1, size="D"),
            "estimators_": Several(Object(ONE_LABEL, shared=("D",)), size="L"),
            "label_binarizer_": Object(("LabelBinarizer",)),
            "classes_": Array("", "_"),
        },
        optional=("n_features_in_",),
        finish=_finish_binary,
    ),
    Schema(
        HybridClassifier,
        {
            "fusion": Object(("Fusion",)),
            "estimator": ESTIMATOR,
            "grid": Maybe(Table(Several(PLAIN))),
            "block_weights": Several(Real()),
            "metric": Word(METRICS),
            "search": SEARCH_METHOD,
            "folds": COUNT,
            "tuned": Flag(),
            "chain": Flag(),
            "n_jobs": Maybe(WORKERS),
            "random_state": SEED,
            "decision": Maybe(Object(("DecisionOptions",))),
            "rows": Word(ROWS),
        },
        {
            "n_features_in_": Whole(1, size="F"),
            "feature_names_in_": Texts(size="F"),
            "classes_": Array("int64", "L"),
            "fusion_": Object(("Fusion",)),
            "head_": HEAD,
            "chosen_": Object(("Candidate",)),
            "search_results_": Several(Object(("SearchResult",))),
            "decision_": Object(("DecisionRule",)),
            "groups_": Maybe(LABELS),
            "fold_": Array("int64", "N"),
            "oof_scores_": Array("float64", "N L"),
            "oof_probabilities_": Array("float64", "N L"),
            "oof_labels_": Array("uint8", "N L"),
            "constant_": Array("bool", "L"),
            "prior_": PER_LABEL,
            "rows_": Word(ROWS),
        },
        optional=("feature_names_in_", "rows", "rows_"),
        finish=_finish_hybrid,
    ),
)
