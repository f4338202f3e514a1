"""What can be named as a head: `fit-svm`, and each `fit-ovr --estimator NAME`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import BernoulliNB

from hybrid.errors import unknown_name
from hybrid.heads.multilabel_svc import MultilabelLinearSVC


@dataclass(frozen=True)
class HeadSpec:
    """A head by name.

    Parameters
    ----------
    name : str
        What the user types; also the default name of its run.
    build : callable
        Seed → scikit-learn classifier of one genre against the rest.
    grid : mapping of str to tuple
        Values of its parameters to choose from by cross-fitting.
    wide : mapping of str to tuple
        More values, in place of those of `grid`, where there is time to search.
    tuned : bool
        Whether thresholds are chosen and scores calibrated. The dummies answer as they are: a
        threshold chosen for F1 would turn each of them into "always yes".
    threads : bool
        Whether genres may be fitted in threads. liblinear draws from one generator for the whole
        process, so that with threads the same seed would not give the same model.
    weighs_blocks : bool
        Whether the scale of a column changes what it learns, so that block weights are worth choosing.
    """

    name: str
    build: Callable[[int], Any]
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    wide: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    tuned: bool = True
    threads: bool = True
    weighs_blocks: bool = True


def _svm(seed: int) -> MultilabelLinearSVC:
    # Each genre's objective is certified to be within a thousandth of the optimum.
    return MultilabelLinearSVC(class_weight="balanced", tol=1e-3, random_state=seed)


def _logistic(seed: int) -> LogisticRegression:
    # The dual is several times faster than L-BFGS where dense embeddings and sparse words meet.
    return LogisticRegression(
        class_weight="balanced",
        solver="liblinear",
        dual=True,
        tol=0.01,
        max_iter=1000,
        random_state=seed,
    )


def _sgd(seed: int) -> SGDClassifier:
    return SGDClassifier(loss="modified_huber", class_weight="balanced", random_state=seed)


def _forest(seed: int) -> RandomForestClassifier:
    return RandomForestClassifier(
        n_estimators=100, min_samples_leaf=3, class_weight="balanced_subsample", random_state=seed
    )


def _dummy(strategy: str) -> Callable[[int], Any]:
    return lambda seed: DummyClassifier(strategy=strategy, random_state=seed)


_SPECS = (
    HeadSpec("svm", _svm, {"C": (0.03, 0.1, 0.3, 1.0)}, {"C": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)}),
    HeadSpec(
        "logistic",
        _logistic,
        {"C": (1.0, 3.0, 10.0)},
        {"C": (0.3, 1.0, 3.0, 10.0, 30.0)},
        threads=False,
    ),
    HeadSpec(
        "sgd", _sgd, {"alpha": (1e-5, 1e-4, 1e-3)}, {"alpha": (3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3)}
    ),
    HeadSpec("forest", _forest, wide={"min_samples_leaf": (1, 3, 10)}, weighs_blocks=False),
    # Bernoulli asks only whether a feature is above 0, so it takes signed embeddings too.
    HeadSpec("naive-bayes", lambda seed: BernoulliNB(), weighs_blocks=False),
    HeadSpec("dummy-stratified", _dummy("stratified"), tuned=False),
    HeadSpec("dummy-uniform", _dummy("uniform"), tuned=False),
    HeadSpec("dummy-most-frequent", _dummy("most_frequent"), tuned=False),
)
HEADS: dict[str, HeadSpec] = {spec.name: spec for spec in _SPECS}


def get_head(name: str) -> HeadSpec:
    """Look a head up by name.

    Raises
    ------
    SettingError
        If it is unknown; the message lists close matches.
    """
    if name not in HEADS:
        raise unknown_name("estimator", name, HEADS)
    return HEADS[name]
