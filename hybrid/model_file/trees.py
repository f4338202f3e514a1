"""Trees of boosting, whose nodes scikit-learn keeps in records that change between versions.

The fields of all trees of a model are an array each. They are put into the records of the installed version,
a field that is not in the file being 0. scikit-learn follows children and features without a look at their
bounds, so they are checked here, those of forests, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.preprocessing import LabelEncoder

from hybrid.errors import SettingError
from hybrid.model_file.arrays import ArrayWriter
from hybrid.model_file.kinds import Array, Kind, Whole
from hybrid.model_file.place import Place, shown

BOOSTED_NODES: dict[str, tuple[str, Array]] = {
    "left": ("left", Array("uint32", "N")),
    "right": ("right", Array("uint32", "N")),
    "feature": ("feature_idx", Array("int32", "N")),
    "threshold": ("num_threshold", Array("float64", "N")),
    "value": ("value", Array("float64", "N")),
    "items": ("count", Array("uint32", "N")),
    "depth": ("depth", Array("uint32", "N")),
    "leaf": ("is_leaf", Array("uint8", "N")),
    "missing_left": ("missing_go_to_left", Array("uint8", "N")),
}


class BoostedTrees:
    """The trees of gradient boosting with two classes: one an iteration."""

    def write(self, value: Any, out: ArrayWriter) -> dict[str, Any]:
        """See `Kind`."""
        if any(len(trees) != 1 or trees[0].nodes["is_categorical"].any() for trees in value):
            raise SettingError(
                "boosting of several classes or categories cannot be saved in a run."
            )
        nodes = [trees[0].nodes for trees in value]
        records = np.concatenate(nodes)
        counts = np.array([len(part) for part in nodes], dtype=np.int64)
        plain = {
            name: out.add(np.ascontiguousarray(records[theirs]).astype(kind.dtypes))
            for name, (theirs, kind) in BOOSTED_NODES.items()
        }
        return {"counts": out.add(counts), **plain}

    def read(self, plain: Any, at: Place) -> list[list[TreePredictor]]:
        """See `Kind`."""
        kinds = {name: kind for name, (_, kind) in BOOSTED_NODES.items()}
        kinds = {"counts": Array("int64", "T", low=1), **kinds}
        if not isinstance(plain, dict) or set(plain) != set(kinds):
            at.refuse(f"trees ({', '.join(kinds)})", shown(plain))
        own = at.of_object()
        found = {name: kind.read(plain[name], own.inside(name)) for name, kind in kinds.items()}
        inner = found["leaf"] == 0
        check_counts(found["counts"], len(inner), at)
        left, right = found["left"][inner], found["right"][inner]
        check_children(found["counts"], inner, left, right, at)
        check_features(found["feature"][inner], at)
        records = np.zeros(len(inner), dtype=PREDICTOR_RECORD_DTYPE)
        for name, (theirs, _) in BOOSTED_NODES.items():
            if theirs in (PREDICTOR_RECORD_DTYPE.names or ()):
                records[theirs] = found[name]
        none = np.empty((0, 8), dtype=np.uint32)
        parts = np.split(records, np.cumsum(found["counts"])[:-1]) if len(found["counts"]) else []
        return [[TreePredictor(part.copy(), none, none)] for part in parts]


def finish_boosting(model: Any, at: Place) -> None:
    """Set what a boosting model derives from the rest; its features are all numbers."""
    if len(model.classes_) != 2:
        at.refuse("two classes", f"{len(model.classes_)}")
    mapper = _BinMapper()
    mapper.is_categorical_ = np.zeros(model.n_features_in_, dtype=np.uint8)
    mapper.bin_thresholds_ = []
    model._bin_mapper, model._preprocessor, model.is_categorical_ = mapper, None, None
    model._n_features, model.n_trees_per_iteration_ = model.n_features_in_, 1
    model._label_encoder = LabelEncoder().fit(model.classes_)
    model._loss = model._get_loss(sample_weight=None)
    model.do_early_stopping_ = False


def check_counts(counts: NDArray[np.int64], nodes: int, at: Place) -> None:
    """Each node is of one tree."""
    if sum(counts.tolist()) != nodes:
        at.refuse(f"counts of {nodes:,} nodes in sum", f"{sum(counts.tolist()):,}")


def check_children(
    counts: NDArray[np.int64],
    inner: NDArray[Any],
    left: NDArray[Any],
    right: NDArray[Any],
    at: Place,
) -> None:
    """Each child, of an inner node, is a later node of its tree, so that every walk ends."""
    place = np.flatnonzero(inner)
    own = (place - np.repeat(np.cumsum(counts) - counts, counts)[place]).astype(np.int64)
    size = np.repeat(counts, counts)[place]
    for name, child in (("left", left.astype(np.int64)), ("right", right.astype(np.int64))):
        if ((child <= own) | (child >= size)).any():
            at.inside(name).refuse("nodes after their parents in the same tree", "others")


def check_features(feature: NDArray[Any], at: Place) -> None:
    """The features of inner nodes are there."""
    width = at.sizes["D"]
    if feature.size and not (int(feature.min()) >= 0 and int(feature.max()) < width):
        at.inside("feature").refuse(f"features from 0 to {width - 1}", "others")


BOOSTED: dict[str, Kind] = {
    "classes_": Array("int64 uint8 float64 bool", "K"),
    "n_features_in_": Whole(1, size="D"),
    "_baseline_prediction": Array("float64", "1 1"),
    "_predictors": BoostedTrees(),
    "train_score_": Array("float64", "_"),
    "validation_score_": Array("float64", "_"),
}
