"""Schemas of the classes of scikit-learn that heads consist of.

Only what a prediction, a description or an explanation needs is written: it has been there in all supported
versions, so that a model survives an upgrade.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.multiclass import _ConstantPredictor
from sklearn.naive_bayes import BernoulliNB
from sklearn.preprocessing import LabelBinarizer
from sklearn.svm import SVC, LinearSVC

from hybrid.model_file.forests import FOREST, finish_forest
from hybrid.model_file.kinds import Array, Flag, Kind, Maybe, OneOf, Real, Whole, Word
from hybrid.model_file.place import Place
from hybrid.model_file.schema import Schema, register
from hybrid.model_file.trees import BOOSTED, finish_boosting

WIDTH = Whole(1, size="D")
CLASSES = Array("int64 uint8 float64 bool", "K")
FLOATS = "float32 float64"
ITERATIONS = Maybe(
    OneOf(
        {"one": Whole(0), "each": Array("int32 int64", "_")},
        lambda found: "each" if np.ndim(found) else "one",
    )
)
LINEAR: dict[str, Kind] = {
    "classes_": CLASSES,
    "n_features_in_": WIDTH,
    "coef_": Array(FLOATS, "1 D"),
    "intercept_": Array(FLOATS, "1"),
    "n_iter_": ITERATIONS,
}
ONE_LABEL = (
    "SGDClassifier",
    "RidgeClassifier",
    "RandomForestClassifier",
    "HistGradientBoostingClassifier",
    "BernoulliNB",
    "DummyClassifier",
    "LinearSVC",
    "LogisticRegression",
    "MultilabelLinearSVC",
    "_ConstantPredictor",
)


def _finish_ridge(model: Any, at: Place) -> None:
    """What it derives from its classes."""
    if len(model.classes_) != 2:
        at.refuse("two classes", f"{len(model.classes_)}")
    binarizer = LabelBinarizer(pos_label=1, neg_label=-1)
    model._label_binarizer = binarizer.fit(model.classes_)


def _finish_svc(model: Any, at: Place) -> None:
    """Set what follows: libsvm reads memory by the numbers here, so each of them has been checked."""
    if int(model._n_support.sum()) != len(model.support_) or len(model._n_support) != 2:
        at.refuse(f"{len(model.support_)} support vectors in sum", f"{model._n_support.tolist()}")
    model._dual_coef_, model._intercept_ = -model.dual_coef_, -model.intercept_
    model._sparse, model._effective_probability = False, False
    model.support_vectors_ = np.empty((0, 0))
    model._probA, model._probB, model._gamma = np.empty(0), np.empty(0), 0.0
    model.shape_fit_, model.fit_status_ = (model.n_features_in_, model.n_features_in_), 0


def _check_binary(model: Any, at: Place) -> None:
    if len(model.classes_) != 2:
        at.refuse("two classes", f"{len(model.classes_)}")


register(
    Schema(SGDClassifier, fitted={**LINEAR, "t_": Real()}, finish=_check_binary),
    Schema(LinearSVC, fitted=LINEAR, finish=_check_binary),
    Schema(LogisticRegression, fitted=LINEAR, finish=_check_binary),
    Schema(
        RidgeClassifier,
        fitted={
            **LINEAR,
            "coef_": OneOf(
                {"one": Array(FLOATS, "D"), "rows": Array(FLOATS, "1 D")},
                lambda c: "one" if c.ndim == 1 else "rows",
            ),
            "solver_": Word(),
        },
        optional=("solver_",),
        finish=_finish_ridge,
    ),
    Schema(
        BernoulliNB,
        fitted={
            "classes_": CLASSES,
            "n_features_in_": WIDTH,
            "class_log_prior_": Array(FLOATS, "K"),
            "feature_log_prob_": Array(FLOATS, "K D"),
        },
        earlier={"class_count_": Array(FLOATS, "K"), "feature_count_": Array(FLOATS, "K D")},
    ),
    Schema(
        DummyClassifier,
        fitted={
            "_strategy": Word(("most_frequent", "prior", "stratified", "uniform")),
            "classes_": CLASSES,
            "class_prior_": Array("float64", "K"),
            "n_classes_": Whole(1, size="K"),
            "n_features_in_": WIDTH,
            "n_outputs_": Whole(1, 1),
            "sparse_output_": Flag(),
        },
        optional=("n_features_in_",),
    ),
    Schema(
        SVC,
        forced={"kernel": ("precomputed",), "probability": (False, "deprecated")},
        fitted={
            "n_features_in_": WIDTH,
            "classes_": CLASSES,
            "class_weight_": Array("float64", "K"),
            "dual_coef_": Array("float64", "1 S"),
            "intercept_": Array("float64", "1"),
            "support_": Array("int32", "S", low=0, below="D"),
            "_n_support": Array("int32", "K", low=0),
            "n_iter_": ITERATIONS,
            "_num_iter": Array("int32", "_"),
        },
        finish=_finish_svc,
    ),
    Schema(
        TruncatedSVD,
        fitted={
            "n_features_in_": WIDTH,
            "components_": Array(FLOATS, "C D"),
            "explained_variance_": Array(FLOATS, "C"),
            "explained_variance_ratio_": Array(FLOATS, "C"),
            "singular_values_": Array(FLOATS, "C"),
        },
    ),
    Schema(RandomForestClassifier, fitted=FOREST, finish=finish_forest),
    Schema(
        HistGradientBoostingClassifier,
        forced={"categorical_features": ("from_dtype",), "interaction_cst": (None,)},
        fitted=BOOSTED,
        finish=finish_boosting,
    ),
    Schema(
        LabelBinarizer,
        fitted={
            "classes_": CLASSES,
            "sparse_input_": Flag(),
            "y_type_": Word(("binary", "multiclass", "multilabel-indicator")),
        },
    ),
    Schema(
        _ConstantPredictor,
        {},
        {"y_": Array("", "1"), "n_features_in_": WIDTH},
        optional=("n_features_in_",),
    ),
)
