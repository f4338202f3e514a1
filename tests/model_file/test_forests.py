"""Trees of forests come back as scikit-learn grew them, in any order; what are no trees is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from hybrid.errors import RunError
from hybrid.model_file.arrays import ArrayReader, ArrayWriter
from hybrid.model_file.forests import LEAF, ForestTrees, children_in_preorder, finish_forest
from hybrid.model_file.place import Place

RANDOM = np.random.default_rng(0)
WIDTH, TREES = 5, 4
X = RANDOM.normal(size=(200, WIDTH)).astype(np.float32)
X[RANDOM.random(X.shape) < 0.1] = np.nan
Y = (np.nan_to_num(X[:, 0]) + RANDOM.normal(size=200) > 0).astype(int)


def fitted(**how: Any) -> RandomForestClassifier:
    return RandomForestClassifier(TREES, random_state=0, **how).fit(X, Y)


def written(
    model: RandomForestClassifier,
    folder: Path,
    change: Callable[[dict[str, Any]], None] = lambda found: None,
) -> tuple[dict[str, Any], Place]:
    """What is written of the trees, after a change of the arrays."""
    arrays: dict[int, Any] = {}

    class Collected(ArrayWriter):
        def add(self, array: Any) -> Any:
            arrays[len(arrays)] = array
            return len(arrays) - 1

    plain = ForestTrees().write(model.estimators_, Collected())
    found = {
        name: arrays.get(part) if name != "max_features" else part for name, part in plain.items()
    }
    change(found)
    out = ArrayWriter()
    plain = {
        name: part if name == "max_features" else out.add(part) for name, part in found.items()
    }
    out.write(folder / "model.npz")
    at = Place(folder / "model.json", ArrayReader(folder / "model.npz"), sizes={"D": WIDTH, "K": 2})
    return plain, at


@pytest.mark.parametrize(
    "how", [{}, {"max_leaf_nodes": 9}, {"max_depth": 1}, {"max_features": None}]
)
def test_trees_come_back_to_the_bit(how: dict[str, Any], tmp_path: Path) -> None:
    """A forest whose best splits were made first is not in preorder."""
    model = fitted(**how)
    plain, at = written(model, tmp_path)
    assert ("inner" in plain) == ("max_leaf_nodes" not in how)
    again = RandomForestClassifier(TREES, random_state=0, **how)
    again.classes_, again.n_features_in_ = model.classes_, WIDTH
    again.estimators_ = ForestTrees().read(plain, at)
    finish_forest(again, at)
    assert model.predict_proba(X).tobytes() == again.predict_proba(X).tobytes()
    for wanted, found in zip(model.estimators_, again.estimators_, strict=True):
        assert wanted.max_depth == found.max_depth
        assert wanted.random_state == found.random_state
        ours, theirs = found.tree_.__getstate__()["nodes"], wanted.tree_.__getstate__()["nodes"]
        for name in ("left_child", "right_child", "feature", "threshold"):
            assert ours[name].tobytes() == theirs[name].tobytes(), name
        inner = ours["left_child"] != LEAF
        missing = "missing_go_to_left"
        np.testing.assert_array_equal(ours[missing][inner], theirs[missing][inner])
        np.testing.assert_array_equal(found.tree_.apply(X), wanted.tree_.apply(X))


def test_children_of_a_tree_by_hand() -> None:
    r"""Two trees: ((leaf leaf) (leaf (leaf leaf))), and a leaf alone."""
    inner = np.array([1, 1, 0, 0, 1, 0, 1, 0, 0, 0], dtype=bool)
    found = children_in_preorder(inner, np.array([9, 1]))
    assert found is not None
    left, right = found
    assert left.tolist() == [1, 2, 5, 7]
    assert right.tolist() == [4, 3, 6, 8]


@pytest.mark.parametrize(
    ("inner", "counts"),
    [
        ([1, 0], [2]),  # a child is missing
        ([0, 0, 0], [3]),  # more than one tree
        ([0, 1, 0], [3]),
        ([0, 1, 0, 0, 1], [1, 4]),
        ([1, 0, 0, 0], [2, 2]),  # which goes on in the next
        ([1, 1, 0, 0, 0], [3, 2]),
    ],
)
def test_what_is_no_tree_has_no_children(inner: list[int], counts: list[int]) -> None:
    assert children_in_preorder(np.array(inner, dtype=bool), np.array(counts)) is None


def swap_first_and_last(found: dict[str, Any]) -> None:
    nodes = int(found["counts"].sum())
    inner = np.unpackbits(found["inner"], count=nodes)
    inner[0], inner[-1] = inner[-1], inner[0]
    found["inner"] = np.packbits(inner)


def shift_counts(found: dict[str, Any]) -> None:
    found["counts"] = found["counts"] + np.array([2, -2, 0, 0])


def lengthen(name: str) -> Callable[[dict[str, Any]], None]:
    def change(found: dict[str, Any]) -> None:
        found[name] = np.append(found[name], found[name][:1])

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swap_first_and_last, r"whole trees, each node before those below it at model\.inner"),
        (shift_counts, r"whole trees, each node before those below it at model\.inner"),
        (lengthen("inner"), r"truth values?, eight a byte at model\.inner"),
        (lengthen("missing_left"), r"truth values?, eight a byte at model\.missing_left"),
        (lengthen("leaves"), r"inner nodes and .* leaves at model\.inner"),
        (lengthen("feature"), r"\(I\) at model\.threshold"),
    ],
)
def test_what_are_no_trees_is_refused(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    plain, at = written(fitted(), tmp_path, change)
    with pytest.raises(RunError, match=message):
        ForestTrees().read(plain, at)


def test_few_values_make_little_more_of_a_file(tmp_path: Path) -> None:
    """Else a row of a megabyte would be terabytes of leaves."""
    classes, leaves = 4000, 10_000

    def change(found: dict[str, Any]) -> None:
        found["classes"] = np.arange(float(classes))
        found["values"] = np.zeros((1, classes))
        found["leaves"] = np.zeros(leaves, np.int32)

    plain, at = written(fitted(), tmp_path, change)
    del at.sizes["K"]
    with pytest.raises(RunError, match=r"values of leaves that take .* bytes at most"):
        ForestTrees().read(plain, at)
