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
    """Choose an inference engine and a precision for this machine.

    Parameters
    ----------
    engine : {"keras", "openvino", "auto"}, default="keras"
        ``"auto"``: Keras if it has a GPU; else OpenVINO if it is installed and can read what Keras exports
        (not with JAX); else Keras. Which of the two is faster for a backbone, see
        `hybrid.backbones.engine_benchmark`.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        ``"auto"``: bfloat16 if the device has it, else float32. Whether the embeddings are good enough, see
        `hybrid.extraction.precision_check`.

    Returns
    -------
    EngineChoice

    Raises
    ------
    SettingError
        If a name is unknown, or OpenVINO is asked for and not installed.

    Examples
    --------
    >>> choice = choose_engine("keras", "float32")
    >>> choice.engine, choice.precision
    ('keras', 'float32')
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    installed = importlib.util.find_spec("openvino") is not None
    if engine == "openvino" and not installed:
        raise SettingError(
            "--engine openvino: expected OpenVINO, found that it is not installed. Install it with: "
            'pip install "hybrid-posters[openvino]"; or leave the option out.'
        )
    gpu = engine != "openvino" and has_gpu()
    if engine == "auto":
        engine = "openvino" if installed and not gpu and keras_can_export() else "keras"
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
    """Load a backbone into an inference engine.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
    choice : EngineChoice, optional
        By default Keras in float32.
    batch_size : int, optional
        By default 32 with Keras and 8 with OpenVINO; on a GPU it is measured once and remembered.

    Returns
    -------
    Engine
        A callable: posters of shape (n, height, width, 3), dtype uint8 → embeddings (n, D), dtype float32.

    Raises
    ------
    WeightsError
        If the file does not fit the architecture.
    SettingError
        If the device cannot compute in this precision.

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.backbones import configure, get_backbone, resolve_weights
    >>> spec = configure(get_backbone("small"), input_size=(32, 24))
    >>> engine = load_backbone(spec, resolve_weights(spec, "random"))
    >>> engine(np.zeros((5, 32, 24, 3), dtype=np.uint8)).shape
    (5, 64)
    """
    choice = choice or choose_engine("keras", "float32")
    if choice.engine == "openvino":
        from hybrid.backbones.openvino_engine import OpenVINOEngine

        return OpenVINOEngine(spec, weights, choice, batch_size)
    start_keras()
    from hybrid.backbones.keras_engine import KerasEngine

    return KerasEngine(spec, weights, choice, batch_size)
