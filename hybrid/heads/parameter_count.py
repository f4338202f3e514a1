"""Number of parameters of a fitted head."""

from __future__ import annotations

from typing import Any

LEARNT = ("coef_", "intercept_", "feature_log_prob_", "class_log_prior_")


def count_parameters(head: Any) -> int | None:
    """Number of parameters of a fitted head; None where it is not known.

    A tree has a feature and a threshold for each inner node, and a value for each leaf.

    Examples
    --------
    >>> from sklearn.svm import LinearSVC
    >>> count_parameters(LinearSVC().fit([[0, 1], [1, 0]], [0, 1]))
    3
    """
    if hasattr(head, "tree_"):
        tree = head.tree_
        return int(2 * (tree.node_count - tree.n_leaves) + tree.n_leaves)
    parts = getattr(head, "estimators_", None)
    if parts is not None:
        counts = [count_parameters(part) for part in parts]
        return None if None in counts else sum(counts)  # type: ignore[arg-type]
    learnt = [getattr(head, name) for name in LEARNT if hasattr(head, name)]
    return sum(part.size for part in learnt) if learnt else None
