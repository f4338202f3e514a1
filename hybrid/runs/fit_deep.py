"""Catalogue + split + network → run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid.backbones.devices import device_name
from hybrid.backbones.digests import digests
from hybrid.backbones.provenance import Provenance
from hybrid.backbones.startup import start_keras
from hybrid.deep.options import DeepOptions
from hybrid.extraction.pooling import check_pooling_used
from hybrid.heads.decision_rule import DecisionOptions
from hybrid.runs.ancestors import add_provenance
from hybrid.runs.cost import Spending, TrainingCost, extraction_costs, training_cost
from hybrid.runs.deep_inputs import (
    check_starting_licence,
    deep_items,
    describe_settings,
    frozen_embeddings,
    make_checkpoint,
    make_fusion,
    tell_several_posters,
    with_trained_size,
)
from hybrid.runs.experiment import Experiment, audit_experiment
from hybrid.runs.folder import Run, new_run
from hybrid.runs.imported_blocks import count_lacking, describe_imported
from hybrid.runs.provenance import (
    backbone_provenance,
    block_keys,
    block_stores,
    describe_network,
    describe_text_encoders,
    describe_trained_backbone,
)
from hybrid.runs.record import DEEP, POSTER, RunRecord
from hybrid.runs.record_metrics import describe_decision, describe_thresholds
from hybrid.runs.record_parts import TrainedBackboneRecord
from hybrid.runs.replacement import holding_run
from hybrid.runs.stage_results import answer_stages, judge_stages, write_stages
from hybrid.runs.training_records import StageResultRecord
from hybrid.runs.write_run import gather_predictions, write_run
from hybrid.splitting.tasks import MULTICLASS, TRAINING, Task, too_few_to_validate
from hybrid.types import PARTS
from hybrid.utils.context import limited_by_context
from hybrid.utils.resources import CostRecorder
from hybrid.utils.unknown_labels import as_no

if TYPE_CHECKING:
    from hybrid.backbones import Weights
    from hybrid.deep.baseline import DeepBaseline


@limited_by_context
@holding_run
def fit_deep(
    experiment: Experiment,
    network: str,
    options: DeepOptions | None = None,
    decision: DecisionOptions | None = None,
    *,
    task: Task | None = None,
    resume: bool = False,
    tensorboard: Path | None = None,
    devices: str = "1",
    licence: str = "any",
) -> Run:
    """Train a deep baseline on train, stop and calibrate it on validation, evaluate it on test.

    Parameters
    ----------
    experiment : Experiment
    network : str
        See `hybrid.deep.registry.network_names`.
    options : DeepOptions, optional
    decision : DecisionOptions, optional
        How scores become labels.
    task : Task, optional
        Of which items and labels; by default that of the experiment, and the kind that the options name.
    resume : bool, default=False
        Continue an interrupted training of this name.
    tensorboard : Path, optional
        Folder for TensorBoard's event files.
    devices : str, default="1"
        How many share each batch: a number, or ``"all"``.
    licence : {"any", "commercial"}, default="any"
        ``"commercial"``: refuse weights to start from, and embeddings of weights, whose licence is not known
        to permit commercial use.

    Returns
    -------
    Run
        Its predictions are of validation and test items alone: those of train items would be optimistic.

    Raises
    ------
    CatalogueError, SplitError, RunError, SettingError
        If catalogue, split and folder do not fit; before anything is trained.
    TrainingError
        If the training diverges.

    Examples
    --------
    >>> run = fit_deep(experiment, "text", DeepOptions(epochs=2))  # doctest: +SKIP
    >>> run.record.training.history.val_loss  # doctest: +SKIP
    (1.9, 1.7)
    """
    experiment, options = _settle_task(experiment, options or DeepOptions(), task)
    experiment.check()
    options = with_trained_size(network, options)
    context, catalogue = experiment.context, experiment.catalogue
    if few := _too_few_to_validate(experiment):
        context.progress.say(few)
    context.progress.say("starting Keras")
    start_keras()
    from hybrid.deep.fused import make_baseline
    from hybrid.deep.saved import save_baseline

    costs = CostRecorder()
    fusion = make_fusion(catalogue, network, context, options, licence)
    made = (context.seed, context.workers, tensorboard, decision)
    model = make_baseline(network, options, *made, fusion, devices)
    check_pooling_used(catalogue, model.options.poster_pooling, "fit-deep")
    if several := tell_several_posters(catalogue, model.spec):
        context.progress.say(several)
    check_starting_licence(model, licence)
    weights = model.starting_weights()
    start = backbone_provenance(model)
    if weights is not None:
        start = Provenance.union([weights.provenance, start])
    audit = audit_experiment(experiment, costs, start)
    checkpoint = make_checkpoint(
        experiment.folder, model, weights, catalogue, experiment.split, experiment.task
    )
    rows = {part: experiment.rows(part) for part in PARTS}
    with costs.stage("embed"):
        store = frozen_embeddings(catalogue, model, context)
        items = deep_items(catalogue, model, rows, experiment.keys, store, context)
    with costs.stage("fit"):
        how = (context.progress, checkpoint, resume, items["test"])
        model.fit(items["train"], items["validation"], *how)
    with costs.stage("predict"):
        answers = model.predict_proba(items["test"], context.progress)
    known = model.to_probabilities(model.validation_scores_, model.decision_)
    predicted = ((rows["validation"], known), (rows["test"], answers))
    predictions = gather_predictions(experiment, [(*one, model.label(one[1])) for one in predicted])
    truths = {part: catalogue.labels[rows[part]] for part in ("validation", "test")}
    stages = answer_stages(model, truths["validation"], predictions)
    groups = experiment.groups("test")
    results = judge_stages(stages, truths["test"], predictions, groups, context.seed)
    record = _describe(experiment, model, weights, results)
    stores = ({} if store is None else {POSTER: store}) | block_stores(model)
    spending = Spending(
        predicted=len(answers),
        device=device_name(),
        extraction=extraction_costs(stores, _keys(model, experiment, *PARTS), start.ancestors),
        earlier_seconds=model.earlier_seconds_,
        foreign_weights=start.unknown,
    )
    with new_run(experiment.folder) as folder:
        save_baseline(model, folder)
        write_stages(folder, stages)
        of_training = _keys(model, experiment, *TRAINING)
        fitted_on = extraction_costs(stores, of_training, start.ancestors)
        training = training_cost(costs, spending, fitted_on)
        record = _write_provenance(experiment, model, start, record, folder, training)
        run = write_run(experiment, folder, record, predictions, audit, costs, spending)
    checkpoint.remove()
    return run


def _keys(model: DeepBaseline, experiment: Experiment, *parts: str) -> dict[str, list[bytes]]:
    """The keys in the cache of what the items of some parts have, by block."""
    return {POSTER: experiment.keys_of(*parts), **block_keys(model, experiment, *parts)}


def _write_provenance(
    experiment: Experiment,
    model: DeepBaseline,
    start: Provenance,
    record: RunRecord,
    folder: Path,
    training: TrainingCost,
) -> RunRecord:
    """Write what the run has learnt from, also into the weights that it trained; complete its record."""
    from hybrid.backbones.weightfile import write_provenance
    from hybrid.deep.saved import body_file

    record, found = add_provenance(record, experiment, folder, start, training)
    if not isinstance(record.backbone, TrainedBackboneRecord):
        return record
    file = folder / body_file(model)
    if model.spec.trains_body:
        write_provenance(file, found.model)
    described = replace(record.backbone.weights, digest=digests(file)["sha256"])
    return replace(record, backbone=replace(record.backbone, weights=described))


def _too_few_to_validate(experiment: Experiment) -> str:
    """What to say of the validation items of a selection; nothing of a catalogue as it is."""
    if experiment.task.whole:
        return ""
    counts = as_no(experiment.catalogue.labels)[experiment.rows("validation")].sum(axis=0).tolist()
    return too_few_to_validate(dict(zip(experiment.catalogue.genres, counts, strict=True)))


def _settle_task(
    experiment: Experiment, options: DeepOptions, task: Task | None
) -> tuple[Experiment, DeepOptions]:
    """Narrow the experiment to the task; experiment and options name the same kind of task then."""
    asked = task or experiment.task
    if MULTICLASS in (asked.kind, options.task):
        asked, options = replace(asked, kind=MULTICLASS), replace(options, task=MULTICLASS)
    return (experiment if asked == experiment.task else experiment.narrowed(asked)), options


def _describe(
    experiment: Experiment,
    model: DeepBaseline,
    weights: Weights | None,
    results: tuple[StageResultRecord, ...],
) -> RunRecord:
    """The record of a trained network, as far as the model says it."""
    from hybrid.deep.saved import body_file

    truth = experiment.catalogue.labels[experiment.rows("validation")]
    groups, seed = experiment.groups("validation"), experiment.context.seed
    thresholds, spread = describe_thresholds(
        truth, model.validation_scores_, model.decision_, groups, seed
    )
    looks, fusion = model.spec.backbone is not None, getattr(model, "fusion_", None)
    rows = {part: experiment.rows(part) for part in PARTS}
    frame = experiment.catalogue.frame
    return RunRecord(
        kind=DEEP,
        blocks=tuple(model.spec.blocks),
        model=model.spec.name,
        training=replace(describe_network(model), stage_results=results),
        backbone=describe_trained_backbone(model, weights, body_file(model)) if looks else None,
        thresholds=thresholds,
        threshold_spread=spread,
        decision=describe_decision(model.decision_),
        fitted_on={"preprocessing": ("train",), "thresholds": ("validation",)},
        settings=describe_settings(model),
        missing={} if fusion is None else count_lacking(fusion, frame, rows),
        text_encoders=describe_text_encoders(model, experiment.folder),
        imported=describe_imported(model),
    )
