"""Benchmark: which inference engine is faster for a backbone on this machine."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.engines import load_backbone
from hybrid.backbones.measurements import ENGINES, load_measurement, save_measurement
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.weights import Weights
from hybrid.utils.progress import Progress

RUNNERS = ("keras", "openvino")
POSTERS = 64  # embedded by each engine: a matter of seconds for the largest backbone


def fastest_engine(
    choice: EngineChoice, spec: BackboneSpec, weights: Weights, progress: Progress
) -> EngineChoice:
    """Benchmark Keras against OpenVINO on the processor and return the faster one.

    OpenVINO is faster for most backbones, but not for all on every processor. Both engines embed blank
    posters. The result is saved in the user's cache folder, so the benchmark runs once for each backbone,
    precision and version of the engines.

    Parameters
    ----------
    choice : EngineChoice
        Its precision and device are used, its engine is not.
    spec : BackboneSpec
    weights : Weights
    progress : Progress
        Receives a message with the measured rates.

    Returns
    -------
    EngineChoice
        `choice` with the faster engine.

    Examples
    --------
    >>> import os, tempfile
    >>> from unittest.mock import patch
    >>> from hybrid.backbones import get_backbone, resolve_weights
    >>> from hybrid.utils.progress import Progress
    >>> spec, choice = get_backbone("small"), EngineChoice("openvino", "float32", "a processor")
    >>> with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, XDG_CACHE_HOME=folder):
    ...     best = fastest_engine(choice, spec, resolve_weights(spec, "random"), Progress())  # doctest: +SKIP
    >>> best.engine  # doctest: +SKIP
    'openvino'
    """
    releases = ", ".join(f"{name} {version(name)}" for name in RUNNERS)
    key = f"{choice.precision}; {choice.device}; {releases}; {spec.key}"
    known = load_measurement(ENGINES, key)
    if known in RUNNERS:
        return replace(choice, engine=str(known))
    progress.say(f"benchmarking the engines {' and '.join(RUNNERS)} ({spec.name})")
    runs = [replace(choice, engine=name) for name in RUNNERS]
    rates = [load_backbone(spec, weights, each).rate(POSTERS) for each in runs]
    best = runs[rates.index(max(rates))]
    save_measurement(ENGINES, key, best.engine)
    listed = ", ".join(f"{name} {rate:.1f}" for name, rate in zip(RUNNERS, rates, strict=True))
    progress.say(f"using {best.engine}; posters per second: {listed}")
    return best
