"""Choose and load the inference engine of a backbone: Keras or OpenVINO, and its precision."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from hybrid.backbones.devices import (
    gpu_has_bfloat16,
    gpu_name,
    has_gpu,
    keras_can_export,
    processor_has,
    processor_name,
)
from hybrid.backbones.engine import Engine, EngineChoice
from hybrid.backbones.startup import start_keras
from hybrid.errors import SettingError, unknown_name

if TYPE_CHECKING:
    from hybrid.backbones.registry import BackboneSpec
    from hybrid.backbones.weights import Weights

ENGINES = ("keras", "openvino", "auto")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def choose_engine(engine: str = "keras", precision: str = "auto") -> EngineChoice:
    """Settle on an engine and a precision.

    Parameters
    ----------
    engine : str
        ``"auto"``: Keras where it has a GPU; else OpenVINO if it is installed and Keras, whose
        backend is not JAX, can export to it; else Keras. Whether OpenVINO is the faster one for a
        backbone is another question, see `hybrid.backbones.engine_benchmark`.
    precision : str
        ``"auto"``: bfloat16 where the GPU, or the processor that is to compute, has it; else float32.
        Whether the embeddings can stand it is another question, see `hybrid.extraction.precision_check`.

    Raises
    ------
    SettingError
        If a name is unknown, or OpenVINO is asked for and not installed.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    there = importlib.util.find_spec("openvino") is not None
    if engine == "openvino" and not there:
        raise SettingError(
            "--engine openvino: expected OpenVINO, found that it is not installed. Install it with: "
            'pip install "hybrid-posters[openvino]"; or leave the option out.'
        )
    gpu = engine != "openvino" and has_gpu()
    if engine == "auto":
        engine = "openvino" if there and not gpu and keras_can_export() else "keras"
    if precision == "auto":
        native = gpu_has_bfloat16() if gpu else processor_has("bfloat16")
        precision = "bfloat16" if native else "float32"
    return EngineChoice(engine, precision, gpu_name() if gpu else processor_name())


def load_backbone(
    spec: BackboneSpec,
    weights: Weights,
    choice: EngineChoice | None = None,
    batch_size: int | None = None,
) -> Engine:
    """Load a backbone into an engine.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
    choice : EngineChoice, optional
        By default Keras in float32.
    batch_size : int, optional
        By default what suits the engine; on a GPU it is measured, once.

    Raises
    ------
    WeightsError
        If the file does not fit the architecture.
    SettingError
        If the device cannot compute in this precision.
    """
    start_keras()
    choice = choice or choose_engine("keras", "float32")
    if choice.engine == "openvino":
        from hybrid.backbones.openvino_engine import OpenVINOEngine

        return OpenVINOEngine(spec, weights, choice, batch_size)
    from hybrid.backbones.keras_engine import KerasEngine

    return KerasEngine(spec, weights, choice, batch_size)
