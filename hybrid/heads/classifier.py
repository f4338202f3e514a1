"""Multi-label classifier of fused blocks, with cross-fitted settings, calibration and thresholds."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from hybrid.features.frames import frame_tags
from hybrid.features.fusion import BlockData, Fusion, select_rows, take_rows
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.chain import Chain
from hybrid.heads.classifier_checks import (
    check_frame,
    check_labels,
    check_weight,
    decision_options,
)
from hybrid.heads.cross_fitting import Candidate as Candidate
from hybrid.heads.cross_fitting import (
    CrossFitting,
    Fold,
    FusionFolds,
    assign_folds,
    unique_names,
)
from hybrid.heads.decision_rule import (
    DecisionOptions,
    crossfit_decision,
    fit_decision,
    plain_decision,
)
from hybrid.heads.feature_rows import choose_rows, restore_order
from hybrid.heads.fitting import each_piece, fit_head, head_scores
from hybrid.heads.halving import (
    HalvingResult,
    HalvingSearch,
    Sample,
    choose_at_full_size,
    halving_samples,
    halving_sizes,
)
from hybrid.heads.search import Evaluate, Search, Trial, choose, count_candidates, count_climbs
from hybrid.types import METRIC, SEARCH
from hybrid.utils.progress import Advance, current_progress
from hybrid.utils.unknown_labels import known_mean, same_for_all

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]


class HybridClassifier(ClassifierMixin, BaseEstimator):
    """Multi-label classifier: blocks of features, fused, a head, calibration and thresholds.

    `fit` assigns its items to folds. For each fold, blocks and head are fitted on the other folds alone, and
    score the items held out. These out-of-fold scores choose the head's parameters and the weights of
    the blocks, and calibration and thresholds are fitted to them. Then blocks and head are fitted on all
    items.

    Parameters
    ----------
    fusion : Fusion
    estimator : scikit-learn classifier
        Of one genre against the rest; or a `MultilabelLinearSVC`, which fits all genres together.
    grid : mapping of str to sequence, optional
        Parameter of `estimator` → values to choose from.
    block_weights : sequence of float, default=(0.5, 2.0)
        Factors to try on the weight of each block in turn, where there are several; the next round
        tries their square roots. Empty keeps the fusion's weights.
    metric : str, default="weighted-f1"
        What is maximised: ``weighted-f1``, ``macro-f1``, ``micro-f1``, ``map`` or ``map-weighted``; see
        `hybrid.heads.scoring.score_out_of_fold`. For micro-f1 the thresholds of all genres are chosen
        together; else each for its own genre's F1, which makes both means of them best.
    search : {"auto", "halving", "full", "grid"}, default="auto"
        How settings are chosen. ``"full"``: one after the other, each candidate evaluated on all items.
        ``"grid"``: all combinations of `grid` and `block_weights` first. ``"halving"``: one after the
        other, by successive halving on samples of 1,024 items, 4,096 and more; then the parameters of the
        head are compared with their neighbours at full size, on one fold. ``"auto"``: halving from 8,192
        items on, else full.
    folds : int, default=4
    tuned : bool, default=True
        False: the estimator's own labels, without thresholds and calibration (for dummies).
    chain : bool, default=False
        Make a `Chain` of the chosen head. Its settings are chosen without the chain.
    n_jobs : int or None, default=None
        Threads over genres.
    random_state : int, default=0
        Assigns the folds.
    decision : DecisionOptions, optional
        Options of calibration and thresholds. With the objective ``"argmax"`` the classifier is multi-class:
        `y` has one 1 in each row, and so has what it predicts.
    rows : {"auto", "memory", "disk"}, default="auto"
        Where the features are during a fit. ``"disk"``: embeddings stay in the cache, other features go to a
        temporary folder; for the linear SVM and the logistic regression. ``"auto"``: on disk where the
        features would take more than half of the memory.

    Attributes
    ----------
    fusion_ : Fusion
    head_ : MultilabelLinearSVC, FusionHead or OneVsRestClassifier
        The latter where `estimator` fits one genre at a time.
    chosen_ : Candidate
    search_results_ : list of SearchResult
        All candidates with their metric, in the order in which they were evaluated.
    decision_ : DecisionRule
        Calibration and thresholds, from all out-of-fold scores.
    thresholds_ : ndarray of shape (L,)
        On the probabilities; of shape (0,) if it is multi-class.
    calibration_ : Calibration or None
    rows_ : {"memory", "disk", "cluster"}
        Where the features were; on a cluster, on its workers.
    groups_ : ndarray of shape (n,) or None
        As given to `fit`.
    fold_ : ndarray of shape (n,)
        The fold that each item of `fit` was held out in.
    oof_scores_ : ndarray of shape (n, L)
        Out-of-fold scores of the items of `fit`; NaN for a genre that a fold could not learn.
    oof_probabilities_, oof_labels_ : ndarray of shape (n, L)
        Probabilities and labels of the items of `fit`, by calibration and thresholds of the other folds. They
        are slightly optimistic, because the settings were chosen on all scores; `hybrid.studies.nested_cv`
        gives an unbiased estimate.
    classes_ : ndarray of shape (L,)
        Numbers of the labels.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Columns of the frame that `fit` was given.

    Examples
    --------
    >>> from hybrid.features import TextFeatures
    >>> from hybrid.heads import MultilabelLinearSVC
    >>> films = pd.DataFrame({"overview": ["a ghost in a house", "a sheriff rides west"] * 6})
    >>> labels = np.array([[1, 0], [0, 1]] * 6)
    >>> fusion = Fusion([("text", TextFeatures(["overview"], max_chars=0))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(random_state=0), {"C": [0.1, 1.0]}, folds=2)
    >>> model.fit(films, labels).predict(films[:2]).tolist()
    [[1, 0], [0, 1]]
    """

    def __init__(
        self,
        fusion: Fusion,
        estimator: Any,
        grid: Mapping[str, Sequence[Any]] | None = None,
        block_weights: Sequence[float] = (0.5, 2.0),
        metric: str = METRIC,
        search: str = SEARCH,
        folds: int = 4,
        tuned: bool = True,
        chain: bool = False,
        n_jobs: int | None = None,
        random_state: int = 0,
        decision: DecisionOptions | None = None,
        rows: str = "auto",
    ) -> None:
        self.fusion = fusion
        self.estimator = estimator
        self.grid = grid
        self.block_weights = block_weights
        self.metric = metric
        self.search = search
        self.folds = folds
        self.tuned = tuned
        self.chain = chain
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.decision = decision
        self.rows = rows

    def fit(
        self,
        X: pd.DataFrame,
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> HybridClassifier:
        """Choose the settings by cross-fitting, then fit on all items.

        Parameters
        ----------
        X : DataFrame of n items
            A catalogue's frame, or rows of it.
        y : array-like of shape (n, L)
            1 where the item has the label; NaN, or masked in a masked array, where it is unknown: each
            label is learnt from the items where it is known.
        groups : array-like of shape (n,), optional
            Items of one group are in one fold.
        sample_weight : array-like of shape (n,), optional
            Weight of each item in the loss of the head, from 0; by default 1. Blocks, the choice of
            settings, calibration and thresholds count each item once.

        Raises
        ------
        SettingError
            If shapes or settings are wrong, or the estimator cannot weigh items.
        """
        check_frame(X)
        truth = check_labels(self, y, len(X))
        weight = check_weight(sample_weight, len(X))
        validate_data(self, X, skip_check_array=True)  # names and number of columns
        self.classes_ = np.arange(truth.shape[1])
        self.groups_ = None if groups is None else np.asarray(groups)
        data = self.fusion.look_up(X)
        rows = choose_rows(self, data, len(X))
        self.rows_, order, index = rows.name, rows.order(self.fusion, data), X.index
        if order is not None:
            index, truth, data = index[order], truth[order], select_rows(data, order)
            weight, self.groups_ = (p if p is None else p[order] for p in (weight, self.groups_))
        data = rows.take(data)
        fold = assign_folds(truth, self.folds, self.groups_, self.random_state, ids=index)
        sampled = self._choose_on_samples(index, data, fold, truth, weight)
        folds = rows.folds(self.fusion, data, fold, self.groups_)
        estimator = self._cross_fit(folds, fold, truth, weight, sampled, index)
        weighted = clone(self.fusion).set_params(
            weights={**(self.fusion.weights or {}), **self.chosen_.weights}
        )
        with current_progress().step("fitting on all items"):
            self.fusion_ = weighted.fit(data)
            with rows.encode(self.fusion_, data) as matrix:
                some: dict[str, Any] = {"groups": self.groups_, "sample_weight": weight}
                self.head_ = fit_head(estimator, matrix, truth, **self._fitting(), **some)
        # A genre that all or none of the items have cannot be learnt.
        known = truth if weight is None else truth[weight > 0]
        self.constant_, self.prior_ = same_for_all(known), known_mean(known)
        restore_order(self, order)
        return self

    def cross_fit(self, folds: Iterable[Fold], fold: NDArray[np.int64], y: ArrayLike) -> Any:
        """The first half of `fit`: settings, calibration, thresholds and out-of-fold outputs.

        Nothing is fitted on all items, so that the classifier predicts nothing.

        Parameters
        ----------
        folds : iterable of Fold
            Of n items, with the blocks of the fusion in its order. It is iterated over several times.
        fold : ndarray of shape (n,)
            The fold that each item is held out in, from 0.
        y : array-like of shape (n, L)
            As for `fit`.

        Returns
        -------
        HybridClassifier
            A copy, with `chosen_`, `search_results_`, `decision_`, `fold_` and the ``oof_`` attributes.
        """
        made = clone(self)
        made._cross_fit(folds, fold, check_labels(made, y, len(fold)), None)
        return made

    def decision_function(self, X: pd.DataFrame) -> Floats:
        """Uncalibrated scores of shape (n, L); NaN for a genre that could not be learnt."""
        return np.concatenate(list(self._score_pieces(X)))

    def score_matrix(self, matrix: FusionMatrix) -> Floats:
        """As `decision_function`, for items that `fusion_` has encoded."""
        scores = head_scores(self.head_, matrix, tuned=self.tuned)
        return np.where(self.constant_, np.nan if self.tuned else self.prior_, scores)

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        """Calibrated probabilities of shape (n, L), in [0, 1]."""
        return np.concatenate(list(self.each_proba(X)))

    def each_proba(self, X: pd.DataFrame) -> Generator[Floats, None, None]:
        """Yield what `predict_proba` returns, some thousand items at a time, in order."""
        for scores in self._score_pieces(X):
            yield self.decision_.probabilities(scores)

    def predict(self, X: pd.DataFrame) -> Labels:
        """Labels of shape (n, L), uint8."""
        return self.label(self.predict_proba(X))

    def label(self, probabilities: Floats) -> Labels:
        """Labels of shape (n, L), uint8, from probabilities by the fitted thresholds."""
        check_is_fitted(self)
        return self.decision_.label(probabilities)

    def _score_pieces(self, X: pd.DataFrame) -> Iterator[Floats]:
        """Yield what `decision_function` returns; X is encoded as far as that is asked for."""
        check_is_fitted(self)
        data, encode = self.fusion_.look_up(X), self.fusion_.transform

        def score(start: int, stop: int) -> Floats:
            return self.score_matrix(encode(take_rows(data, slice(start, stop))))

        return each_piece(score, len(X), self.n_jobs)

    def __sklearn_tags__(self) -> Any:
        tags = frame_tags(super().__sklearn_tags__())
        tags.classifier_tags.multi_label = True
        tags.classifier_tags.multi_class = False  # 0 and 1 of shape (n, L) alone
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.target_tags.two_d_labels = True
        return tags

    def _fitting(self) -> dict[str, Any]:
        """What all fits of the head are told."""
        return {"tuned": self.tuned, "n_jobs": self.n_jobs, "random_state": self.random_state}

    def _decide(self, truth: Labels) -> None:
        """Fit calibration and thresholds to the out-of-fold scores."""
        options, scores = decision_options(self), self.oof_scores_
        if self.tuned:
            self.decision_ = fit_decision(truth, scores, options)
            decided = crossfit_decision(truth, scores, self.fold_, options)
        else:
            self.decision_ = plain_decision(truth, options)
            decided = scores, self.decision_.label(scores)
        self.oof_probabilities_, self.oof_labels_ = decided
        self.thresholds_ = self.decision_.thresholds
        self.calibration_ = self.decision_.calibration

    def _search(
        self,
        folds: Iterable[Fold],
        fold: NDArray[np.int64],
        truth: Labels,
        weight: Floats | None,
        advance: Advance,
    ) -> Search:
        """The search by cross-fitting on some items."""
        more: dict[str, Any] = {"sample_weight": weight, "advance": advance}
        fitting = CrossFitting(self.estimator, folds, truth, **self._fitting(), **more)
        return Search(fitting, fold, self.metric, decision_options(self).one_label)

    def _choose_on_samples(
        self,
        index: pd.Index,
        data: BlockData,
        fold: NDArray[np.int64],
        truth: Labels,
        weight: Floats | None,
    ) -> HalvingResult | None:
        """Choose settings by successive halving, where that is asked for."""
        sizes = halving_sizes(len(fold)) if self.search in ("auto", "halving") else ()
        candidates = count_candidates(self._choose)
        if not sizes or candidates == 1:
            return None
        names = unique_names(index)
        drawn = halving_samples(names, truth, self.groups_, sizes, self.random_state)
        total = candidates * self.folds * len(drawn)
        samples = []
        with current_progress().bar_at_most(
            "choosing settings on samples", total, "fits"
        ) as advance:
            for rows in drawn:
                _, number = np.unique(fold[rows], return_inverse=True)
                groups = names[rows] if self.groups_ is None else self.groups_[rows]
                folds = FusionFolds(self.fusion, take_rows(data, rows), number, groups)
                part = None if weight is None else weight[rows]
                search = self._search(folds, number, truth[rows], part, advance)
                samples.append(Sample(search, groups))
            halving = HalvingSearch(samples, self.metric, self.random_state)
            choice = self._choose(halving.run).choice
        return HalvingResult(choice, halving.results)

    def _cross_fit(
        self,
        folds: Iterable[Fold],
        fold: NDArray[np.int64],
        truth: Labels,
        weight: Floats | None,
        sampled: HalvingResult | None = None,
        index: pd.Index | None = None,
    ) -> Any:
        """Choose settings, calibration and thresholds by out-of-fold scores; the chosen head, unfitted."""
        self.fold_ = fold
        grid, count = self.grid or {}, int(fold.max()) + 1
        fits = count_climbs(grid) + count - 1 if sampled else count_candidates(self._choose) * count
        fits += self.chain * count
        with current_progress().bar_at_most("cross-fitting", fits, "fits") as advance:
            search = self._search(folds, fold, truth, weight, advance)
            if sampled:
                where = np.asarray(index), self.groups_, self.random_state
                trial = choose_at_full_size(search, sampled.choice, grid, *where)
            else:
                trial = self._choose(search.run)
            self.search_results_ = [*(sampled.results if sampled else ()), *search.results]
            estimator = clone(self.estimator).set_params(**trial.choice.parameters)
            self.chosen_, self.oof_scores_ = trial.choice, trial.scores
            if self.chain:
                estimator = Chain(estimator, random_state=self.random_state)
                chained = [Candidate({}, trial.choice.weights)]
                (self.oof_scores_,) = search.fitting.score(chained, estimator)
            del folds, search  # the encoded folds
        with current_progress().step("choosing thresholds and calibration"):
            self._decide(truth)
        return estimator

    def _choose(self, run: Evaluate) -> Trial:
        weights = {**dict.fromkeys(self.fusion.names, 1.0), **(self.fusion.weights or {})}
        factors = self.block_weights if self.tuned else ()
        return choose(run, self.grid or {}, weights, factors, combinations=self.search == "grid")
