"""Trees of a forest: of each node what predictions need, an array for all trees of a label.

The nodes of a tree that was grown depth-first are in preorder: the left child is the next node, the right one
follows all that is below the left. Then a bit a node, whether it has children, says where they are. Of a tree
that was grown otherwise, the children are written. Leaves have few different values: these are written once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import NODE_DTYPE, Tree

from hybrid.model_file.arrays import MOST, RATIO, ArrayWriter
from hybrid.model_file.kinds import Array, Kind, Whole
from hybrid.model_file.place import Place, shown
from hybrid.model_file.trees import check_children, check_counts, check_features
from hybrid.utils.counts import counted

LEAF = -1
NO_FEATURE = -2  # and threshold, of a leaf
BITS = Array("uint8", "_")  # eight truth values each

# Sizes: N nodes, I of them with children, V leaves, R different values of leaves.
TREES: dict[str, Kind] = {
    "counts": Array("int64", "T", low=1),
    "random_state": Array("int64", "T", low=0),
    "max_depth": Array("int64", "T", low=0),
    "classes": Array("float64", "K"),
    "max_features": Whole(1),
}
SPLITS: dict[str, Kind] = {
    "feature": Array("int32", "I", low=0),
    "threshold": Array("float64", "I"),
}
CHILDREN: dict[str, Kind] = {
    "left": Array("int32", "N", low=LEAF),
    "right": Array("int32", "I", low=1),
}
LEAVES: dict[str, Kind] = {
    "values": Array("float64", "R K"),
    "leaves": Array("int32", "V", low=0, below="R"),
}
PREORDER = {**TREES, **SPLITS, **LEAVES, "missing_left": BITS, "inner": BITS}
ANY_ORDER = {**TREES, **SPLITS, **LEAVES, "missing_left": BITS, **CHILDREN}
FORMAT_3: dict[str, Kind] = {
    **{**TREES, **SPLITS, **CHILDREN},
    "missing_left": Array("uint8", "I"),
    "values": Array("float64", "V K"),
}
# Formats 1 and 2 have each of all nodes, and what only a description of a tree needs.
FORMAT_1: dict[str, Kind] = {
    **TREES,
    "left": Array("int32", "N", low=LEAF),
    "right": Array("int32", "N", low=LEAF),
    "feature": Array("int32", "N"),
    "threshold": Array("float64", "N"),
    "impurity": Array("float64", "N"),
    "items": Array("int32", "N"),
    "weight": Array("float64", "N"),
    "missing_left": Array("uint8", "N"),
    "values": Array("float64", "N K"),
}
OF_INNER = ("left", "right", "feature", "threshold", "missing_left")


class ForestTrees:
    """The trees of a forest of one label."""

    def write(self, value: Any, out: ArrayWriter) -> dict[str, Any]:
        """See `Kind`."""
        trees = [tree.tree_ for tree in value]
        states = [tree.__getstate__() for tree in trees]
        nodes = np.concatenate([state["nodes"] for state in states])
        inner = nodes["left_child"] != LEAF
        splits = nodes[inner]
        values, leaves = _different(np.concatenate([s["values"][:, 0] for s in states])[~inner])
        found = {
            "counts": np.array([len(state["nodes"]) for state in states], dtype=np.int64),
            "random_state": np.array([tree.random_state for tree in value], dtype=np.int64),
            "max_depth": np.array([tree.max_depth for tree in trees], dtype=np.int64),
            "classes": np.asarray(value[0].classes_, dtype=np.float64),
            "max_features": int(value[0].max_features_),
            "left": nodes["left_child"].astype(np.int32),
            "right": splits["right_child"].astype(np.int32),
            "feature": splits["feature"].astype(np.int32),
            "threshold": np.ascontiguousarray(splits["threshold"]),
            "missing_left": np.packbits(splits["missing_go_to_left"]),
            "values": values,
            "leaves": leaves,
            "inner": np.packbits(inner),
        }
        told = children_in_preorder(inner, found["counts"])
        own = splits["left_child"], splits["right_child"]
        same = told is not None and all(map(np.array_equal, told, own))
        kinds = PREORDER if same else ANY_ORDER
        return {name: kind.write(found[name], out) for name, kind in kinds.items()}

    def read(self, plain: Any, at: Place) -> dict[str, Any]:
        """See `Kind`; the trees are made when the forest is."""
        names = set(plain) if isinstance(plain, dict) else set()
        known = (PREORDER, ANY_ORDER, FORMAT_3, FORMAT_1)
        kinds = next((kinds for kinds in known if set(kinds) == names), None)
        if kinds is None:
            at.refuse(f"trees ({', '.join(PREORDER)})", shown(plain))
        own = at.of_object()
        own.sizes.update({name: size for name, size in at.sizes.items() if name in ("D", "K")})
        found = {name: kind.read(plain[name], own.inside(name)) for name, kind in kinds.items()}
        if kinds is FORMAT_1:
            _drop_others(found, at)
        else:
            _find_inner(found, at)
        check_counts(found["counts"], len(found["inner"]), at)
        if kinds is not PREORDER:
            check_children(found["counts"], found["inner"], found["left"], found["right"], at)
        check_features(found["feature"], at)
        return found


def children_in_preorder(
    inner: NDArray[np.bool_], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Children of the inner nodes of trees in preorder, each counted from the first node of its tree.

    Parameters
    ----------
    inner : ndarray of bool, shape (nodes,)
        Whether a node has children; tree by tree.
    counts : ndarray of int64, shape (trees,)
        Nodes of each tree; at least one.

    Returns
    -------
    tuple of ndarray or None
        Left and right children, each of shape (inner nodes,); None where these are no whole trees.
    """
    ends = np.cumsum(counts)
    starts, tree = ends - counts, np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    before = np.zeros(len(inner) + 1, dtype=np.int32)
    np.cumsum(np.where(inner, np.int8(1), np.int8(-1)), out=before[1:])
    # How many right children are still to come, where a node comes: each tree before left one too few.
    waiting = before[:-1] + tree
    if waiting.min(initial=0) < 0 or (before[ends] != -np.arange(1, len(counts) + 1)).any():
        return None
    # That of a node is the next for which as many wait. Short numbers are sorted in linear time.
    order = waiting.astype(np.min_scalar_type(waiting.max(initial=0))).argsort(kind="stable")
    following = np.empty_like(order)
    following[order[:-1]] = order[1:]
    place = np.flatnonzero(inner)
    first = starts[tree[place]]
    return place + 1 - first, following[place] - first


def _different(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Rows that differ in a bit, and which of them each row is."""
    rows = np.ascontiguousarray(values)
    whole = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    return rows[first], which.ravel().astype(np.int32)


def _find_inner(found: dict[str, Any], at: Place) -> None:
    """Find which nodes have children, the children of each, and the values of each leaf."""
    splits = len(found["feature"])
    if "left" in found:
        inner = found["left"] != LEAF
        found["left"] = found["left"][inner]
    else:
        nodes = sum(found["counts"].tolist())
        inner = _truths(found["inner"], nodes, at.inside("inner"))
    if "leaves" in found:
        size, stored = len(found["leaves"]) * found["values"].shape[1] * 8, found["leaves"].nbytes
        if size > max(MOST, RATIO * (stored + found["values"].nbytes)):
            at.inside("leaves").refuse(
                f"values of leaves that take {MOST:,} bytes at most", f"{size:,}"
            )
        found["values"] = found["values"].take(found["leaves"], axis=0)
        found["missing_left"] = _truths(found["missing_left"], splits, at.inside("missing_left"))
    sizes = int(np.count_nonzero(inner)), splits
    leaves = len(inner) - sizes[0], len(found["values"])
    if sizes[0] != sizes[1] or leaves[0] != leaves[1]:
        expected = f"{splits:,} inner nodes and {leaves[1]:,} leaves"
        at.inside("left" if "left" in found else "inner").refuse(
            expected, f"{sizes[0]:,} and {leaves[0]:,}"
        )
    found["inner"] = inner
    if "left" not in found:
        check_counts(found["counts"], len(inner), at)
        children = children_in_preorder(inner, found["counts"])
        if children is None:
            at.inside("inner").refuse("whole trees, each node before those below it", "others")
        found["left"], found["right"] = children


def _truths(bits: NDArray[np.uint8], count: int, at: Place) -> NDArray[np.uint8]:
    if len(bits) != -(-count // 8):
        at.refuse(f"{counted(count, 'truth value')}, eight a byte", counted(len(bits), "byte"))
    return np.unpackbits(bits, count=count)


def _drop_others(found: dict[str, Any], at: Place) -> None:
    """Keep of nodes with children, and of leaves, what predictions need of them."""
    inner = found["left"] != LEAF
    if (inner != (found["right"] != LEAF)).any():
        at.refuse("nodes with two children or none", "others")
    found |= {name: found[name][inner] for name in OF_INNER}
    found |= {"inner": inner, "values": found["values"][~inner]}


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
    nodes, values = _nodes(found)
    each_classes, made = np.array([classes], dtype=np.intp), []
    ends = np.cumsum(found["counts"])
    for start, end, seed, depth in zip(
        (ends - found["counts"]).tolist(), ends.tolist(), found["random_state"].tolist(),
        found["max_depth"].tolist(), strict=True,
    ):  # fmt: skip
        tree = Tree(width, each_classes, 1)
        state = {"max_depth": depth, "node_count": end - start}
        tree.__setstate__(state | {"nodes": nodes[start:end], "values": values[start:end]})
        own = DecisionTreeClassifier.__new__(DecisionTreeClassifier)
        own.__dict__ |= one.__dict__ | {"random_state": seed, "tree_": tree}
        made.append(own)
    model.estimators_, model.estimator_ = made, DecisionTreeClassifier()
    model.n_classes_, model.n_outputs_ = classes, 1


def _nodes(found: dict[str, Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Nodes of all trees as scikit-learn has them, and their values; those of inner nodes are 0."""
    inner, splits = found["inner"] != 0, len(found["feature"])
    kept = np.zeros(splits + 1, dtype=NODE_DTYPE)  # the last is any leaf
    for name, theirs, of_leaf in (
        ("left", "left_child", LEAF),
        ("right", "right_child", LEAF),
        ("feature", "feature", NO_FEATURE),
        ("threshold", "threshold", NO_FEATURE),
        ("missing_left", "missing_go_to_left", 0),
    ):
        kept[theirs][:splits], kept[theirs][splits] = found[name], of_leaf
    values = np.zeros((len(inner), 1, len(found["classes"])))
    values[np.flatnonzero(~inner), 0] = found["values"]
    return kept.take(np.where(inner, np.cumsum(inner) - 1, splits)), values


FOREST: dict[str, Kind] = {
    "classes_": Array("int64 uint8 float64 bool", "K"),
    "n_features_in_": Whole(1, size="D"),
    "estimators_": ForestTrees(),
}
