"""Catalogue + split + hybrid classifier → run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from hybrid.backbones.devices import processor_name
from hybrid.cluster.connection import use_cluster
from hybrid.errors import SettingError
from hybrid.evaluation import Outputs
from hybrid.explain.importance import describe_head
from hybrid.heads import HybridClassifier
from hybrid.heads.decision_rule import DecisionOptions
from hybrid.heads.feature_rows import CLUSTER, check_cluster_head
from hybrid.model_file import check_model, save_model
from hybrid.runs.ancestors import add_provenance
from hybrid.runs.cost import Spending, extraction_costs, training_cost
from hybrid.runs.experiment import Experiment, audit_experiment
from hybrid.runs.folder import MODEL, Run, new_run
from hybrid.runs.imported_blocks import count_lacking, describe_imported
from hybrid.runs.json_dataclass import convert
from hybrid.runs.provenance import (
    backbone_provenance,
    block_keys,
    block_stores,
    describe_backbones,
    describe_chosen,
    describe_text_encoders,
)
from hybrid.runs.record import HEAD, POSTER, RunRecord
from hybrid.runs.record_metrics import describe_decision, describe_thresholds
from hybrid.runs.record_parts import BackboneRecord, HeadRecord
from hybrid.runs.replacement import holding_run
from hybrid.runs.write_run import gather_predictions, write_run
from hybrid.splitting.tasks import TRAINING
from hybrid.types import PARTS
from hybrid.utils.context import limited_by_context
from hybrid.utils.counts import counted
from hybrid.utils.progress import current_progress
from hybrid.utils.resources import CostRecorder


@limited_by_context
@holding_run
def fit_head(
    experiment: Experiment,
    model: HybridClassifier,
    settings: dict[str, Any] | None = None,
) -> Run:
    """Fit a hybrid classifier on train and validation, evaluate it on test, write the run.

    Parameters
    ----------
    experiment : Experiment
    model : HybridClassifier
        As `make_hybrid` returns it; it is fitted in place.
    settings : dict, optional
        Recorded as ``settings``; by default, the parameters of the model.

    Returns
    -------
    Run
        Its predictions are out-of-fold for train and validation items.

    Raises
    ------
    CatalogueError, SplitError, RunError, SettingError
        If catalogue, split and folder do not fit; before anything is fitted.

    Examples
    --------
    >>> from pathlib import Path
    >>> from hybrid.catalogue import load_catalogue
    >>> from hybrid.datasets.sample import write_sample
    >>> from hybrid.heads.make_hybrid import make_hybrid
    >>> from hybrid.splitting.methods import split_catalogue
    >>> _ = write_sample("films", n_items=40)
    >>> films = load_catalogue("films/catalogue.csv")
    >>> experiment = Experiment(films, split_catalogue(films), Path("runs/text"))
    >>> run = fit_head(experiment, make_hybrid(films, blocks=["text"]), {})
    >>> run.record.model, run.record.blocks, run.record.audit.clean
    ('MultilabelLinearSVC', ('text',), True)
    >>> sorted(path.name for path in run.folder.iterdir())
    ['manifest.json', 'model.json', 'model.npz', 'predictions.csv', 'provenance.json', 'run.json']
    """
    experiment.check()
    _check_task(experiment, model)
    if experiment.context.cluster is not None:
        check_cluster_head(model)
    check_model(model)  # before hours of work
    costs, genres = CostRecorder(), experiment.catalogue.genres
    training, test = experiment.items(*TRAINING), experiment.items("test")
    backbones = describe_backbones(model, experiment.folder)
    text_encoders = describe_text_encoders(model, experiment.folder)
    imported = describe_imported(model)
    learnt = backbone_provenance(model)
    audit = audit_experiment(experiment, costs, learnt)
    say = experiment.context.progress.say
    say(f"cross-fitting on {counted(len(training.frame), 'item')}, {counted(len(genres), 'genre')}")
    with use_cluster(experiment.context) as cluster, costs.stage("fit"):
        model.fit(training.frame, training.labels, groups=training.groups)
        device = processor_name()
        if cluster is not None and model.rows_ == CLUSTER:  # few items are fitted here
            device += cluster.described()
    with costs.stage("predict"):
        probabilities = model.predict_proba(test.frame)
        outputs = Outputs(model.label(probabilities), probabilities)
    with costs.stage("explain"):
        explained = describe_head(model, training.frame, genres)
    predictions = gather_predictions(
        experiment,
        [
            (experiment.rows(*TRAINING), model.oof_probabilities_, model.oof_labels_),
            (experiment.rows("test"), outputs.scores, outputs.labels),
        ],
    )
    settings = settings or describe_parameters(model)
    record = _describe(experiment, model, backbones, explained, settings)
    record = replace(record, text_encoders=text_encoders, imported=imported)
    stores = block_stores(model)
    spending = Spending(
        predicted=len(test.frame),
        device=device,
        extraction=extraction_costs(
            stores, block_keys(model, experiment, *PARTS), learnt.ancestors
        ),
        head=model.head_,
        foreign_weights=learnt.unknown,
    )
    with new_run(experiment.folder) as folder:
        with current_progress().step("writing the model"):
            save_model(model, folder / MODEL)
        of_training = block_keys(model, experiment, *TRAINING)
        fitted_on = extraction_costs(stores, of_training, learnt.ancestors)
        spent = training_cost(costs, spending, fitted_on)
        record, _ = add_provenance(record, experiment, folder, learnt, spent)
        return write_run(experiment, folder, record, predictions, audit, costs, spending)


PARAMETERS = ("grid", "metric", "search", "rows", "chain", "folds", "tuned")


def describe_parameters(model: HybridClassifier) -> dict[str, Any]:
    """List the parameters of a classifier, its head and its blocks, as far as they are plain values.

    Parameters
    ----------
    model : HybridClassifier

    Examples
    --------
    >>> from hybrid.features import TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import MultilabelLinearSVC
    >>> model = HybridClassifier(Fusion([("text", TextFeatures(["overview"]))]), MultilabelLinearSVC(C=3.0))
    >>> found = describe_parameters(model)
    >>> found["blocks"], found["head"]["C"], found["features"]["text"]["columns"]
    (['text'], 3.0, ['overview'])
    """
    own = _plain(model.get_params(deep=False))
    return {
        "blocks": list(model.fusion.names),
        **{name: own.get(name) for name in PARAMETERS},
        "block_weights": model.fusion.weights and dict(model.fusion.weights),
        "head": {
            "class": type(model.estimator).__name__,
            **_plain(model.estimator.get_params(deep=False)),
        },
        "features": {
            name: _plain(block.get_params(deep=False)) for name, block in model.fusion.blocks
        },
        "decision": asdict(model.decision or DecisionOptions()),
    }


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that JSON can hold."""
    found = {}
    for name, value in parameters.items():
        value = list(value) if isinstance(value, tuple) else value
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            continue
        found[name] = value
    return found


def _check_task(experiment: Experiment, model: HybridClassifier) -> None:
    """Raise unless experiment and model agree on whether each item has one label."""
    wanted, found = experiment.task.multiclass, bool(model.decision and model.decision.one_label)
    if wanted != found:
        kinds = {True: "multi-class", False: "multi-label"}
        raise SettingError(
            f"model: expected a {kinds[wanted]} one, as the task is, found a {kinds[found]} one. Make it "
            f"with make_hybrid(…, multiclass={wanted})."
        )


def _describe(
    experiment: Experiment,
    model: HybridClassifier,
    backbones: dict[str, BackboneRecord],
    explained: dict[str, Any],
    settings: dict[str, Any],
) -> RunRecord:
    """The record of a fitted head, as far as the model says it."""
    truth = experiment.catalogue.labels[experiment.rows(*TRAINING)]
    groups, seed = experiment.groups(*TRAINING), experiment.context.seed
    thresholds, spread = describe_thresholds(
        truth, model.oof_scores_, model.decision_, groups, seed
    )
    head = {
        "chosen": describe_chosen(model),
        "tried": [asdict(tried) for tried in model.search_results_],
        "further_backbones": {},
        **explained,
    }
    further = {name: found for name, found in backbones.items() if name != POSTER}
    rows = {part: experiment.rows(part) for part in PARTS}
    return RunRecord(
        kind=HEAD,
        blocks=tuple(model.fusion.names),
        model=("chain of " if model.chain else "") + type(model.estimator).__name__,
        head=replace(convert(HeadRecord, head), further_backbones=further),
        backbone=backbones.get(POSTER),
        thresholds=thresholds,
        threshold_spread=spread,
        decision=describe_decision(model.decision_),
        fitted_on={"preprocessing": TRAINING, "thresholds": TRAINING},
        settings=settings,
        missing=count_lacking(model.fusion_, experiment.catalogue.frame, rows),
    )
