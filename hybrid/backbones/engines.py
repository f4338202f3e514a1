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
from hybrid.errors import MissingExtraError, SettingError, unknown_name

if TYPE_CHECKING:
    from hybrid.backbones.registry import BackboneSpec
    from hybrid.backbones.weights import Weights

ENGINES = ("keras", "openvino", "onnxruntime", "auto")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def choose_engine(engine: str = "keras", precision: str = "auto") -> EngineChoice:
    """Choose an inference engine and a precision for this machine.

    Parameters
    ----------
    engine : {"keras", "openvino", "onnxruntime", "auto"}, default="keras"
        ``"onnxruntime"`` is of ONNX files alone, see `choose_onnx_engine`. ``"auto"``:
        Keras if it has a GPU; else OpenVINO if it is installed and can read what Keras exports
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
    if engine == "onnxruntime":
        raise SettingError(
            "--engine onnxruntime: expected an ONNX file, found another network. Use --engine auto."
        )
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


def choose_onnx_engine(engine: str = "auto", precision: str = "auto") -> EngineChoice:
    """Choose an inference engine and a precision for networks in ONNX files, on the processor.

    Parameters
    ----------
    engine : {"keras", "openvino", "onnxruntime", "auto"}, default="auto"
        ``"keras"``, which cannot read such a file, is what the options have without being told: as
        ``"auto"``, it is OpenVINO where that is installed, else onnxruntime.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        As in `choose_engine`; onnxruntime has float32 alone.

    Returns
    -------
    EngineChoice

    Raises
    ------
    SettingError
        If a name is unknown, or onnxruntime is asked for another precision.
    MissingExtraError
        If the engine is not installed.

    Examples
    --------
    >>> choose_onnx_engine("auto", "float32").precision
    'float32'
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    there = [name for name in ("openvino", "onnxruntime") if importlib.util.find_spec(name)]
    wanted = [engine] if engine in ("openvino", "onnxruntime") else ["openvino", "onnxruntime"]
    usable = [name for name in wanted if name in there]
    if not usable:
        raise MissingExtraError(
            f"ONNX files: expected {' or '.join(wanted)}, found that it is not installed. Install it with: "
            'pip install "hybrid-posters[openvino]", or "hybrid-posters[onnx]" for onnxruntime.'
        )
    if usable[0] == "onnxruntime" and precision not in ("auto", "float32"):
        raise SettingError(
            f"--precision {precision}: expected float32 with onnxruntime. Use --engine openvino."
        )
    if precision == "auto":
        bfloat16 = usable[0] == "openvino" and processor_has("bfloat16")
        precision = "bfloat16" if bfloat16 else "float32"
    return EngineChoice(usable[0], precision, processor_name())


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
    if spec.onnx is not None:
        choice = choice or choose_onnx_engine("auto", "float32")
        if choice.engine == "onnxruntime":
            from hybrid.backbones.onnx_runtime import OnnxRuntimeEngine

            return OnnxRuntimeEngine(spec, choice, batch_size)
        from hybrid.backbones.onnx_openvino import OnnxOpenVINOEngine

        return OnnxOpenVINOEngine(spec, weights, choice, batch_size)
    choice = choice or choose_engine("keras", "float32")
    if spec.tuned is not None:
        from hybrid.backbones.tuned_engine import TunedEngine

        return TunedEngine(spec, _load(spec, weights, choice, batch_size))
    return _load(spec, weights, choice, batch_size)


def _load(
    spec: BackboneSpec, weights: Weights, choice: EngineChoice, batch_size: int | None
) -> Engine:
    """Load a network of Keras into the engine of a choice."""
    if choice.engine == "openvino":
        from hybrid.backbones.openvino_engine import OpenVINOEngine

        return OpenVINOEngine(spec, weights, choice, batch_size)
    start_keras()
    from hybrid.backbones.keras_engine import KerasEngine

    return KerasEngine(spec, weights, choice, batch_size)
