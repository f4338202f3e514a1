"""Registry of the heads: `fit-svm`, and the names of `fit-ovr --estimator`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import RidgeClassifier, SGDClassifier
from sklearn.naive_bayes import BernoulliNB

from hybrid.errors import unknown_name
from hybrid.heads.head_pipeline import BlockSVD, HeadPipeline
from hybrid.heads.kernel_svm import FusionNystroem, KernelSVC
from hybrid.heads.knn import MultilabelKNN
from hybrid.heads.logistic import MultilabelLogistic
from hybrid.heads.stacking import Stacking
from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC


@dataclass(frozen=True)
class HeadSpec:
    """A registered head: how it is built, and its default grid.

    Parameters
    ----------
    name : str
        As `--estimator` takes it; also the default name of its run.
    build : callable
        Seed → scikit-learn classifier of one genre against the rest, or a head of all genres.
    grid : mapping of str to tuple
        Parameter → values to choose from by cross-fitting.
    wide : mapping of str to tuple
        More values, which replace those of `grid` in an exhaustive search.
    tuned : bool, default=True
        Whether scores are calibrated and thresholds chosen. Not for the dummies: a threshold that
        is best for F1 would give each label to every item.
    threads : bool, default=True
        Whether genres may be fitted in threads: not where a fit uses all cores by itself, and not with
        liblinear, which has one random generator for the whole process.
    weighs_blocks : bool, default=True
        Whether the scale of the columns matters, so that block weights are worth choosing.
    chains : bool, default=True
        Whether `Chain` can be made of it.
    ignores_scale : bool, default=False
        Whether the scale of the columns changes nothing at all, so that a block cannot be weighted.
    takes_scores : bool, default=False
        Whether it has a parameter ``scores``: blocks that are scores of the genres.

    Examples
    --------
    >>> get_head("svm").grid
    {'C': (0.03, 0.1, 0.3, 1.0)}
    """

    name: str
    build: Callable[[int], Any]
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    wide: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    tuned: bool = True
    threads: bool = True
    weighs_blocks: bool = True
    chains: bool = True
    ignores_scale: bool = False
    takes_scores: bool = False


def _svm(seed: int) -> MultilabelLinearSVC:
    # Each genre's objective is certified to be within a thousandth of the optimum.
    return MultilabelLinearSVC(class_weight="balanced", tol=1e-3, random_state=seed)


def _logistic(seed: int) -> MultilabelLogistic:
    # A certified gap of a hundredth leaves the scores where they are to the third digit.
    return MultilabelLogistic(class_weight="balanced", tol=0.01)


def _sgd(seed: int) -> SGDClassifier:
    # The mean of the steps: the last one alone depends on the order of the items.
    return SGDClassifier(loss="hinge", average=True, class_weight="balanced", random_state=seed)


def _ridge(seed: int) -> RidgeClassifier:
    return RidgeClassifier(class_weight="balanced", solver="sparse_cg", tol=1e-3, random_state=seed)


def _forest(seed: int) -> RandomForestClassifier:
    return RandomForestClassifier(
        n_estimators=100, min_samples_leaf=3, class_weight="balanced_subsample", random_state=seed
    )


def _boosting(seed: int) -> HeadPipeline:
    # A tree looks at every column: of tens of thousands of words it would be days.
    trees = HistGradientBoostingClassifier(
        max_iter=50, max_leaf_nodes=8, class_weight="balanced", random_state=seed
    )
    return HeadPipeline(BlockSVD(components=30, random_state=seed), trees)


def _rbf(seed: int) -> HeadPipeline:
    return HeadPipeline(FusionNystroem(gamma=0.3, random_state=seed), _svm(seed))


def _stacking(seed: int) -> Stacking:
    return Stacking(_svm(seed), random_state=seed)


def _dummy(strategy: str) -> Callable[[int], Any]:
    return lambda seed: DummyClassifier(strategy=strategy, random_state=seed)


_SPECS = (
    HeadSpec("svm", _svm, {"C": (0.03, 0.1, 0.3, 1.0)}, {"C": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)}),
    # Of its own: C of each block's head, and of the second level. Weights matter to one head of several.
    HeadSpec("stacking", _stacking, weighs_blocks=False, chains=False, takes_scores=True),
    HeadSpec("logistic", _logistic, {"C": (1.0, 3.0, 10.0)}, {"C": (0.3, 1.0, 3.0, 10.0, 30.0)}),
    HeadSpec("sgd", _sgd, {"alpha": (1e-4, 3e-4, 1e-3)}, {"alpha": (3e-5, 1e-4, 3e-4, 1e-3, 3e-3)}),
    HeadSpec("ridge", _ridge, {"alpha": (1.0, 3.0, 10.0)}, {"alpha": (0.3, 1.0, 3.0, 10.0, 30.0)}),
    # Bernoulli asks only whether a feature is above 0, so it takes signed embeddings too.
    HeadSpec(
        "naive-bayes",
        lambda seed: BernoulliNB(),
        {"alpha": (0.03, 0.1, 0.3)},
        weighs_blocks=False,
        ignores_scale=True,
    ),
    HeadSpec(
        "knn", lambda seed: MultilabelKNN(), {"neighbours": (30, 100, 300), "power": (1.0, 4.0)}
    ),
    HeadSpec("rbf", _rbf, {"estimator__C": (1.0, 3.0, 10.0)}),
    HeadSpec("svc-rbf", lambda seed: KernelSVC(), {"C": (1.0, 3.0, 10.0), "gamma": (0.3, 1.0)}),
    HeadSpec(
        "forest",
        _forest,
        wide={"min_samples_leaf": (1, 3, 10)},
        weighs_blocks=False,
        ignores_scale=True,
    ),
    # Its trees use all cores as they are.
    HeadSpec("boosting", _boosting, threads=False, weighs_blocks=False, ignores_scale=True),
    HeadSpec("dummy-stratified", _dummy("stratified"), tuned=False, chains=False),
    HeadSpec("dummy-uniform", _dummy("uniform"), tuned=False, chains=False),
    HeadSpec("dummy-most-frequent", _dummy("most_frequent"), tuned=False, chains=False),
)
HEADS: dict[str, HeadSpec] = {spec.name: spec for spec in _SPECS}


def get_head(name: str) -> HeadSpec:
    """Look a head up by name.

    Raises
    ------
    SettingError
        If it is unknown; the message lists close matches.

    Examples
    --------
    >>> get_head("logistic").build(0).class_weight
    'balanced'
    """
    if name not in HEADS:
        raise unknown_name("estimator", name, HEADS)
    return HEADS[name]
