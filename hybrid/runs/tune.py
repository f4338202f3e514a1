"""Catalogue + split + encoder → tuned encoder, and its scores in the cache."""

from __future__ import annotations

from hybrid.runs.experiment import Experiment
from hybrid.runs.tune_job import plan_of_job, run_job
from hybrid.runs.tune_posters import plan_poster_job
from hybrid.runs.tune_texts import plan_text_job
from hybrid.tuning.options import TuneOptions, TunePlan, TuneSummary
from hybrid.utils.context import limited_by_context
from hybrid.utils.read_only import plans_only


@limited_by_context
def tune_text_encoder(
    experiment: Experiment,
    text_encoder: str,
    options: TuneOptions | None = None,
    *,
    licence: str = "any",
    force: bool = False,
) -> TuneSummary:
    """Tune a text encoder on the labels of train and validation, cross-fitted; write it and its scores.

    K encoders are trained, each without the items of its fold. In the cache, an item that was learnt from has
    the scores of the encoder that has not seen it; every other text has the means of all encoders' scores.

    Parameters
    ----------
    experiment : Experiment
        Its folder is that of the tuned encoder, ``encoders/NAME``.
    text_encoder : str
        See `hybrid.text_encoders.registry.resolve_text_encoder`.
    options : TuneOptions, optional
    licence : {"any", "commercial"}, default="any"
        ``"commercial"``: refuse an encoder whose licence is not known to permit commercial use.
    force : bool, default=False
        Replace an encoder of that name, or an interrupted tuning with other options.

    Returns
    -------
    TuneSummary

    Raises
    ------
    CatalogueError, SplitError, SettingError, RunError, WeightsError
        If something does not fit, before anything is trained.
    TrainingError
        If a training diverges.
    KeyboardInterrupt
        After Ctrl-C; the folds that are done are kept, and the same call continues.

    Examples
    --------
    >>> tune_text_encoder(experiment, "all-MiniLM-L6-v2").oof_map  # doctest: +SKIP
    0.56
    """
    options = options or TuneOptions()
    return run_job(plan_text_job(experiment, text_encoder, options, licence), force)


@plans_only
@limited_by_context
def plan_tuning(
    experiment: Experiment,
    text_encoder: str,
    options: TuneOptions | None = None,
    *,
    licence: str = "any",
) -> TunePlan:
    """Estimate what `tune_text_encoder` would do, from some steps; nothing is written."""
    return plan_of_job(plan_text_job(experiment, text_encoder, options or TuneOptions(), licence))


@limited_by_context
def tune_backbone(
    experiment: Experiment,
    backbone: str,
    options: TuneOptions | None = None,
    *,
    weights: str = "imagenet",
    input_size: tuple[int, int] | None = None,
    licence: str = "any",
    force: bool = False,
) -> TuneSummary:
    """Tune a backbone on the labels of train and validation, cross-fitted; write it and its scores.

    As `tune_text_encoder`, for posters. An item whose posters cannot be used is left out, and lacks the
    scores. Of several posters of an item each is learnt from.

    Parameters
    ----------
    experiment : Experiment
        Its folder is that of the tuned backbone, ``encoders/NAME``.
    backbone : str
        A name that `hybrid.backbones.BACKBONES` has.
    options : TuneOptions, optional
        `layers` counts blocks of the backbone.
    weights : str, default="imagenet"
        To start from; see `hybrid.backbones.resolve_weights`.
    input_size : tuple of (int, int), optional
        Height and width in pixels; by default the backbone's. The scores are computed at the same.
    licence, force
        As for `tune_text_encoder`, as are errors and what is returned.

    Examples
    --------
    >>> tune_backbone(experiment, "mobilenet-075").oof_map  # doctest: +SKIP
    0.33
    """
    options = options or TuneOptions()
    job = plan_poster_job(experiment, backbone, weights, input_size, options, licence)
    return run_job(job, force)


@plans_only
@limited_by_context
def plan_backbone_tuning(
    experiment: Experiment,
    backbone: str,
    options: TuneOptions | None = None,
    *,
    weights: str = "imagenet",
    input_size: tuple[int, int] | None = None,
    licence: str = "any",
) -> TunePlan:
    """Estimate what `tune_backbone` would do, from some posters and steps; nothing is written."""
    options = options or TuneOptions()
    return plan_of_job(plan_poster_job(experiment, backbone, weights, input_size, options, licence))
