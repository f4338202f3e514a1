"""Trees of forests and of boosting, whose nodes scikit-learn keeps in records that change between versions.

The fields of all trees of a model are an array each; of a forest only those that predictions need, of the
inner nodes or of the leaves. They are put into the records of the installed version, a field that is not in
the file being 0. scikit-learn follows children and features without a look at their bounds, so they are
checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.preprocessing import LabelEncoder
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import NODE_DTYPE, Tree

from hybrid.errors import SettingError
from hybrid.model_file.arrays import ArrayWriter
from hybrid.model_file.kinds import Array, Kind, Whole
from hybrid.model_file.place import Place, shown

LEAF = -1
NO_FEATURE = -2  # and threshold, of a leaf
# Of all nodes, "N"; of those with children, "I".
FOREST_NODES: dict[str, tuple[str, Array]] = {
    "left": ("left_child", Array("int32", "N", low=LEAF)),
    "right": ("right_child", Array("int32", "I", low=1)),
    "feature": ("feature", Array("int32", "I", low=0)),
    "threshold": ("threshold", Array("float64", "I")),
    "missing_left": ("missing_go_to_left", Array("uint8", "I")),
}
# Formats 1 and 2 have each of all nodes, and what only a description of a tree needs.
EARLIER_FOREST_NODES: dict[str, tuple[str, Array]] = {
    "left": ("left_child", Array("int32", "N", low=LEAF)),
    "right": ("right_child", Array("int32", "N", low=LEAF)),
    "feature": ("feature", Array("int32", "N")),
    "threshold": ("threshold", Array("float64", "N")),
    "impurity": ("impurity", Array("float64", "N")),
    "items": ("n_node_samples", Array("int32", "N")),
    "weight": ("weighted_n_node_samples", Array("float64", "N")),
    "missing_left": ("missing_go_to_left", Array("uint8", "N")),
}
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


class ForestTrees:
    """The trees of a forest of one label."""

    def write(self, value: Any, out: ArrayWriter) -> dict[str, Any]:
        """See `Kind`."""
        trees = [tree.tree_ for tree in value]
        states = [tree.__getstate__() for tree in trees]
        records = np.concatenate([state["nodes"] for state in states])
        inner = records["left_child"] != LEAF
        parts = {name: records[theirs] for name, (theirs, _) in FOREST_NODES.items()}
        parts |= {name: part[inner] for name, part in parts.items() if name != "left"}
        values = np.concatenate([state["values"][:, 0] for state in states])[~inner]
        seeds = np.array([tree.random_state for tree in value], dtype=np.int64)
        depths = np.array([tree.max_depth for tree in trees], dtype=np.int64)
        return {
            "counts": out.add(np.array([len(state["nodes"]) for state in states], dtype=np.int64)),
            **{n: out.add(part.astype(FOREST_NODES[n][1].dtypes)) for n, part in parts.items()},
            "values": out.add(values),
            "random_state": out.add(seeds),
            "max_depth": out.add(depths),
            "classes": out.add(np.asarray(value[0].classes_, dtype=np.float64)),
            "max_features": int(value[0].max_features_),
        }

    def read(self, plain: Any, at: Place) -> dict[str, Any]:
        """See `Kind`; the trees are made when the forest is."""
        earlier = isinstance(plain, dict) and "impurity" in plain
        further: dict[str, Kind] = {
            "values": Array("float64", "N K" if earlier else "V K"),
            "random_state": Array("int64", "T", low=0),
            "max_depth": Array("int64", "T", low=0),
            "classes": Array("float64", "K"),
            "max_features": Whole(1),
        }
        nodes = EARLIER_FOREST_NODES if earlier else FOREST_NODES
        found = _read_nodes(nodes, further, plain, at)
        inner = found["left"] != LEAF
        if earlier:
            if (inner != (found["right"] != LEAF)).any():
                at.refuse("nodes with two children or none", "others")
        else:
            _spread(found, inner, at)
        _check_nodes(found, inner, at)
        return found


def _spread(found: dict[str, Any], inner: NDArray[np.bool_], at: Place) -> None:
    """Give what is only of inner nodes, or of leaves, a place for each node."""
    sizes = int(inner.sum()), int((~inner).sum())
    if sizes != (len(found["right"]), len(found["values"])):
        expected = f"{len(found['right']):,} inner nodes and {len(found['values']):,} leaves"
        at.inside("left").refuse(expected, f"{sizes[0]:,} and {sizes[1]:,}")
    for name, leaf in (
        ("right", LEAF),
        ("feature", NO_FEATURE),
        ("threshold", NO_FEATURE),
        ("missing_left", 0),
    ):
        spread = np.full(len(inner), leaf, dtype=found[name].dtype)
        spread[inner] = found[name]
        found[name] = spread
    values = np.zeros((len(inner), found["values"].shape[1]))
    values[~inner] = found["values"]
    found["values"] = values


def finish_forest(model: Any, at: Place) -> None:
    """Make the trees of a forest."""
    found = model.estimators_
    if model.n_estimators != len(found["counts"]):
        at.refuse(f"{model.n_estimators} trees", f"{len(found['counts'])}")
    names = [name for name in model.estimator_params if name != "random_state"]
    classes, width = len(found["classes"]), model.n_features_in_
    one = DecisionTreeClassifier(**{name: getattr(model, name) for name in names})
    one.classes_, one.n_classes_, one.n_outputs_ = found["classes"], np.int64(classes), 1
    one.n_features_in_, one.max_features_ = width, found["max_features"]
    records, ends = _records(EARLIER_FOREST_NODES, found, NODE_DTYPE), np.cumsum(found["counts"])
    each_classes, made = np.array([classes], dtype=np.intp), []
    for start, end, seed, depth in zip(
        (ends - found["counts"]).tolist(), ends.tolist(), found["random_state"].tolist(),
        found["max_depth"].tolist(), strict=True,
    ):  # fmt: skip
        tree, values = Tree(width, each_classes, 1), found["values"][start:end, None]
        state = {"max_depth": depth, "node_count": end - start}
        tree.__setstate__(state | {"nodes": records[start:end], "values": values})
        own = DecisionTreeClassifier()
        own.__dict__ |= one.__dict__ | {"random_state": seed, "tree_": tree}
        made.append(own)
    model.estimators_, model.estimator_ = made, DecisionTreeClassifier()
    model.n_classes_, model.n_outputs_ = classes, 1


class BoostedTrees:
    """The trees of gradient boosting with two classes: one an iteration."""

    def write(self, value: Any, out: ArrayWriter) -> dict[str, Any]:
        """See `Kind`."""
        if any(len(trees) != 1 or trees[0].nodes["is_categorical"].any() for trees in value):
            raise SettingError(
                "boosting of several classes or categories cannot be saved in a run."
            )
        return _write_nodes(BOOSTED_NODES, [trees[0].nodes for trees in value], out)

    def read(self, plain: Any, at: Place) -> list[list[TreePredictor]]:
        """See `Kind`."""
        found = _read_nodes(BOOSTED_NODES, {}, plain, at)
        _check_nodes(found, found["leaf"] == 0, at)
        records = _records(BOOSTED_NODES, found, PREDICTOR_RECORD_DTYPE)
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


def _write_nodes(
    fields: Mapping[str, tuple[str, Array]], nodes: list[NDArray[Any]], out: ArrayWriter
) -> dict[str, Any]:
    records = np.concatenate(nodes)
    counts = np.array([len(part) for part in nodes], dtype=np.int64)
    plain = {
        name: out.add(np.ascontiguousarray(records[theirs]).astype(kind.dtypes))
        for name, (theirs, kind) in fields.items()
    }
    return {"counts": out.add(counts), **plain}


def _read_nodes(
    fields: Mapping[str, tuple[str, Array]], further: Mapping[str, Kind], plain: Any, at: Place
) -> dict[str, Any]:
    kinds: dict[str, Kind] = {"counts": Array("int64", "T", low=1)}
    kinds |= {name: kind for name, (_, kind) in fields.items()}
    kinds |= further
    if not isinstance(plain, dict) or set(plain) != set(kinds):
        at.refuse(f"trees ({', '.join(kinds)})", shown(plain))
    own = at.of_object()
    own.sizes.update({name: size for name, size in at.sizes.items() if name in ("D", "K")})
    return {name: kind.read(plain[name], own.inside(name)) for name, kind in kinds.items()}


def _check_nodes(found: dict[str, Any], inner: NDArray[np.bool_], at: Place) -> None:
    """Each child is a later node of its tree, so that every walk ends; each feature is there."""
    counts = found["counts"]
    if sum(counts.tolist()) != len(inner):
        at.refuse(f"counts of {len(inner):,} nodes in sum", f"{sum(counts.tolist()):,}")
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    own, size = np.arange(len(inner)) - starts, np.repeat(counts, counts)
    for name in ("left", "right"):
        child = found[name].astype(np.int64)
        if (inner & ((child <= own) | (child >= size))).any():
            at.inside(name).refuse("nodes after their parents in the same tree", "others")
    feature, width = found["feature"], at.sizes["D"]
    if (inner & ((feature < 0) | (feature >= width))).any():
        at.inside("feature").refuse(f"features from 0 to {width - 1}", "others")


def _records(
    fields: Mapping[str, tuple[str, Array]], found: dict[str, Any], dtype: np.dtype[Any]
) -> NDArray[Any]:
    records = np.zeros(len(found["left"]), dtype=dtype)
    for name, (theirs, _) in fields.items():
        if name in found and theirs in (dtype.names or ()):
            records[theirs] = found[name]
    return records


CLASSES = Array("int64 uint8 float64 bool", "K")
FOREST: dict[str, Kind] = {
    "classes_": CLASSES,
    "n_features_in_": Whole(1, size="D"),
    "estimators_": ForestTrees(),
}
BOOSTED: dict[str, Kind] = {
    "classes_": CLASSES,
    "n_features_in_": Whole(1, size="D"),
    "_baseline_prediction": Array("float64", "1 1"),
    "_predictors": BoostedTrees(),
    "train_score_": Array("float64", "_"),
    "validation_score_": Array("float64", "_"),
}
