"""What is inside a fitted head."""

from __future__ import annotations

from typing import Any

LEARNT = ("coef_", "intercept_", "feature_log_prob_", "class_log_prior_")


def count_parameters(head: Any) -> int | None:
    """How many numbers a fitted head has learnt; None for a head of which that is not known.

    Of a tree, the split and threshold of each inner node, and the value of each leaf.
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
