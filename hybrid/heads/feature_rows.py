"""Where the features of the items are while a head is fitted: in memory, or on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from hybrid.cluster.connection import Cluster, current_cluster
from hybrid.errors import RowsError, SettingError
from hybrid.features.fusion import BlockData, Fusion, select_rows, take_rows
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.cross_fitting import Fold, FusionFolds
from hybrid.heads.halving import LEAST
from hybrid.heads.on_cluster.workers import rows_on
from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC
from hybrid.utils.abandoned import is_abandoned
from hybrid.utils.counts import counted
from hybrid.utils.files import TEMPORARY, remove_tree, writer_name
from hybrid.utils.progress import current_progress
from hybrid.utils.refusals import describe_refusal
from hybrid.utils.resources import usable_memory

Numbers = NDArray[np.int64]
# Most bytes of memory for each number of an embedding, and for each term of a text, while a head is fitted in
# memory: what is read, the features of all items and of some folds, copies of parts of them (docs/scale.md).
BYTES, TERM_BYTES = 24, 40
ROWS_FOLDER = f".hybrid-rows{TEMPORARY}"
CLUSTER = "cluster"  # where the rows are
SHARE = 0.5  # of the memory that a process may use, from which on rows stay on disk


class RowsInMemory:
    """Features of all items at once, in memory."""

    name = "memory"

    def order(self, fusion: Fusion, data: BlockData) -> Numbers | None:
        """The order in which n items are best read, of what `Fusion.look_up` found: None, as they come."""
        return None

    def take(self, data: BlockData) -> BlockData:
        """What `Fusion.look_up` found, read from disk."""
        return take_rows(data, slice(None))

    def folds(
        self, fusion: Fusion, data: BlockData, fold: Numbers, groups: NDArray[Any] | None
    ) -> Iterable[Fold]:
        """Folds of the items, their features by blocks that are fitted on the training items."""
        return FusionFolds(fusion, data, fold, groups)

    @contextmanager
    def encode(self, fusion: Fusion, data: BlockData) -> Iterator[FusionMatrix]:
        """Features of all items by a fitted fusion, while the block lasts."""
        yield fusion.transform(data)


class RowsOnDisk:
    """Embeddings stay in the cache, other features go to a temporary folder; rows are read in runs.

    Parameters
    ----------
    folder : str or Path, optional
        Where the temporary folders are made; by default where the system keeps temporary files (the
        variable TMPDIR).
    """

    name = "disk"

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = folder

    def order(self, fusion: Fusion, data: BlockData) -> Numbers | None:
        """The order in which their embeddings lie in the cache."""
        return fusion.storage_order(data)

    def take(self, data: BlockData) -> BlockData:
        """What `Fusion.look_up` found; embeddings are read when rows are taken."""
        return data

    def folds(
        self, fusion: Fusion, data: BlockData, fold: Numbers, groups: NDArray[Any] | None
    ) -> Iterable[Fold]:
        """As `RowsInMemory.folds`; one fold is on disk at a time."""
        return _FoldsOnDisk(self, fusion, data, fold, groups)

    @contextmanager
    def encode(self, fusion: Fusion, data: BlockData) -> Iterator[FusionMatrix]:
        """As `RowsInMemory.encode`; the folder is there while the block lasts."""
        with _temporary_folder(self.folder) as folder:
            yield fusion.transform_lazily(data, folder)


class RowsOnCluster(RowsOnDisk):
    """As `RowsOnDisk`; the solver sends the rows to the workers of a cluster.

    Parameters
    ----------
    cluster : Cluster
    """

    name = CLUSTER

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.cluster = cluster

    @contextmanager
    def encode(self, fusion: Fusion, data: BlockData) -> Iterator[FusionMatrix]:
        """As `RowsOnDisk.encode`."""
        with super().encode(fusion, data) as matrix, rows_on(self.cluster):
            yield matrix


@contextmanager
def _temporary_folder(base: str | Path | None) -> Iterator[Path]:
    """A folder while the block lasts; those of processes that were killed go, too."""
    try:
        place = Path(base or tempfile.gettempdir())
        for left in filter(is_abandoned, place.glob(f"{ROWS_FOLDER}*")):
            remove_tree(left)
        folder = place / f"{ROWS_FOLDER}{writer_name()}"
        folder.mkdir()
    except OSError as error:
        raise RowsError(describe_refusal(error.filename or "temporary files", error)) from error
    try:
        yield folder
    finally:
        remove_tree(folder)
        if folder.exists():
            current_progress().say(f"note: {folder} cannot be removed; nothing needs it any more.")


def choose_rows(classifier: Any, data: BlockData, items: int) -> RowsInMemory | RowsOnDisk:
    """`RowsInMemory` or `RowsOnDisk`, as asked for; for "auto" by the memory that the features would take.

    Where a cluster is connected to, `RowsOnCluster` for 8,192 items or more.

    Parameters
    ----------
    classifier : HybridClassifier
        ``rows="auto"`` is in memory if its estimator, or a chain, needs all rows there.
    data : dict
        What `Fusion.look_up` found.
    items : int

    Raises
    ------
    SettingError
        If the rows must be in memory and a cluster is connected to.
    """
    if (cluster := current_cluster()) is not None:
        check_cluster_head(classifier)
        if items >= LEAST:
            return RowsOnCluster(cluster)
        said = counted(items, "item is", "items are")
        current_progress().say(
            f"note: {said} fitted by this process, which takes no longer than a cluster below {LEAST:,}."
        )
    rows = classifier.rows
    if rows == "auto":
        able = reads_rows(classifier.estimator) and not classifier.chain
        needed = _bytes_needed(classifier.fusion, data, items) if able else 0
        rows = "disk" if needed > SHARE * usable_memory() else "memory"
        if rows == "disk":
            current_progress().say(
                f"note: features of {counted(items, 'item')} would take about {needed / 2**30:,.0f} GiB in "
                "memory: their rows stay on disk. --rows memory keeps them in memory."
            )
    return RowsOnDisk() if rows == "disk" else RowsInMemory()


def _bytes_needed(fusion: Fusion, data: BlockData, items: int) -> float:
    """About the memory that the features of so many items take while a head is fitted in memory."""
    found = 0.0
    for name, block in fusion.blocks:
        part = data[name]
        if not isinstance(part, pd.DataFrame):
            found += BYTES * items * part[:1].shape[1]
        elif items >= LEAST and hasattr(block, "entries_a_row"):  # fewer texts fit in any memory
            found += TERM_BYTES * items * block.entries_a_row(part)
    return found


def check_cluster_head(classifier: Any) -> None:
    """Check that the rows of a classifier can be on the workers of a cluster.

    Parameters
    ----------
    classifier : HybridClassifier

    Raises
    ------
    SettingError
    """
    problems = []
    if classifier.rows == "memory":
        problems.append("--rows: expected auto or disk with --cluster, found memory.")
    if classifier.chain:
        problems.append(
            "--chain: expected none with --cluster, whose workers fit genres side by side."
        )
    if not reads_rows(classifier.estimator):
        problems.append(
            "--cluster: expected the SVM or the logistic regression, whose rows can be on workers, found "
            f"{type(classifier.estimator).__name__}."
        )
    if problems:
        raise SettingError("\n".join(problems))


def reads_rows(estimator: Any) -> bool:
    """Whether a head can be fitted on rows that are read from disk.

    Examples
    --------
    >>> from hybrid.heads import MultilabelLinearSVC
    >>> reads_rows(MultilabelLinearSVC())
    True
    """
    return isinstance(estimator, MultilabelLinearSVC) or bool(
        getattr(estimator, "reads_rows", False)
    )


class _FoldsOnDisk:
    """As `FusionFolds`, but features of a fold are on disk until the next one is asked for."""

    def __init__(
        self,
        rows: RowsOnDisk,
        fusion: Fusion,
        data: BlockData,
        fold: Numbers,
        groups: NDArray[Any] | None,
    ) -> None:
        self.rows, self.fusion, self.data, self.fold, self.groups = rows, fusion, data, fold, groups

    def __iter__(self) -> Iterator[Fold]:
        for k in range(int(self.fold.max()) + 1):
            held_out = self.fold == k
            train = select_rows(self.data, np.flatnonzero(~held_out))
            test = select_rows(self.data, np.flatnonzero(held_out))
            groups = None if self.groups is None else self.groups[~held_out]
            fitted = clone(self.fusion).fit(train)
            with (
                self.rows.encode(fitted, train) as features,
                self.rows.encode(fitted, test) as others,
            ):
                yield Fold(held_out, features, others, groups)


def restore_order(classifier: Any, order: NDArray[np.int64] | None) -> None:
    """Bring what a fit told of each item to the order in which the items were given, not read.

    Parameters
    ----------
    classifier : HybridClassifier
    order : ndarray of shape (n,), int64, or None
        As `order` of the rows gave it.
    """
    place = None if order is None else np.argsort(order)
    for name in ("groups_", "fold_", "oof_scores_", "oof_probabilities_", "oof_labels_"):
        if place is not None and (found := getattr(classifier, name)) is not None:
            setattr(classifier, name, found[place])
