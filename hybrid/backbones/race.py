"""Which of two engines is the faster one for a backbone: measured, once on each machine."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

from hybrid.backbones.engines import EngineChoice, load_backbone
from hybrid.backbones.kept import ENGINES, keep, recall
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.weights import Weights
from hybrid.progress import Progress

RUNNERS = ("keras", "openvino")
POSTERS = 64  # that each embeds: seconds for the largest backbone


def fastest(
    choice: EngineChoice, spec: BackboneSpec, weights: Weights, progress: Progress
) -> EngineChoice:
    """The choice with the faster engine, on the processor, for this backbone in this precision.

    OpenVINO is faster for most backbones, and not for all on every processor: so both embed some blank
    posters. The outcome is kept on this machine for the next time.

    Parameters
    ----------
    choice : EngineChoice
        Whose precision and device count.
    spec : BackboneSpec
    weights : Weights
    progress : Progress
        Told what was measured.
    """
    releases = ", ".join(f"{name} {version(name)}" for name in RUNNERS)
    key = f"{choice.precision}; {choice.device}; {releases}; {spec.key}"
    known = recall(ENGINES, key)
    if known in RUNNERS:
        return replace(choice, engine=str(known))
    progress.say(f"trying the engines {' and '.join(RUNNERS)} ({spec.name})")
    runs = [replace(choice, engine=name) for name in RUNNERS]
    rates = [load_backbone(spec, weights, each).rate(POSTERS) for each in runs]
    best = runs[rates.index(max(rates))]
    keep(ENGINES, key, best.engine)
    said = ", ".join(f"{name} {rate:.1f}" for name, rate in zip(RUNNERS, rates, strict=True))
    progress.say(f"{best.engine} it is: posters a second are {said}")
    return best
