"""The inference engine onnxruntime for image encoders in ONNX files, on the processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hybrid.backbones.engine import Embeddings, Engine, EngineChoice, Posters
from hybrid.backbones.onnx_record import OnnxImages
from hybrid.backbones.registry import BackboneSpec
from hybrid.errors import WeightsError
from hybrid.utils.reading import WEIGHTS, checked
from hybrid.utils.resources import default_workers

BATCH = 8
QUIET = 3  # errors only


class OnnxRuntimeEngine(Engine):
    """An image encoder of an ONNX file, computed by onnxruntime in float32.

    Parameters
    ----------
    spec : BackboneSpec
    choice : EngineChoice
    batch_size : int, default=8

    Raises
    ------
    WeightsError
        If onnxruntime cannot read the file, or an embedding comes out with another length than it says.
    """

    def __init__(
        self, spec: BackboneSpec, choice: EngineChoice, batch_size: int | None = None
    ) -> None:
        assert spec.onnx is not None, "a backbone of an ONNX file"
        self.choice, self.input_size, self.depth = choice, spec.input_size, 0
        self._how, self._pooling, self._dimension = spec.onnx, spec.pooling, spec.dimension
        self.batch_size = spec.onnx.batch or batch_size or BATCH
        self._session = open_session(spec.onnx.file)

    def start(self, posters: Posters) -> Callable[[], Embeddings]:
        """See `Engine.start`; it has been computed when it returns."""
        n, how = len(posters), self._how
        if how.batch and n < how.batch:
            posters = np.concatenate([posters, np.repeat(posters[-1:], how.batch - n, axis=0)])
        try:
            (found,) = self._session.run([how.output], {how.input: prepare(posters, how)})
        except Exception as error:  # of several kinds, which it does not export
            raise WeightsError(
                f"{how.file}: expected a network that computes ({len(posters)}, {self.input_size[0]}, "
                f"{self.input_size[1]}) posters, found: {str(error).splitlines()[0][:300]}. Export it again."
            ) from error
        embeddings = pool(np.asarray(found, dtype=np.float32), self._pooling, how)[:n]
        if embeddings.shape != (n, self._dimension):
            raise WeightsError(
                f"{how.file}: expected embeddings {(n, self._dimension)}, found {embeddings.shape}. Export "
                "the network again."
            )
        return lambda: embeddings


def open_session(path: Any) -> Any:
    """Load an ONNX file into onnxruntime, on the processor, with the threads that hybrid may use.

    Raises
    ------
    WeightsError
        If it cannot.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = default_workers()
    options.log_severity_level = QUIET
    try:
        return onnxruntime.InferenceSession(
            str(checked(path, WEIGHTS)), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # of several kinds, which it does not export
        raise WeightsError(
            f"{path}: expected a network that onnxruntime reads, found: {str(error).splitlines()[0][:300]}. "
            "Export it again, or use --engine openvino."
        ) from error


def prepare(posters: Posters, how: OnnxImages) -> NDArray[Any]:
    """Posters (n, height, width, 3), uint8 → what the network takes."""
    images: NDArray[Any] = posters
    if how.dtype != "uint8":
        mean, std = np.array(how.mean, np.float32), np.array(how.std, np.float32)
        images = ((posters * np.float32(how.scale) - mean) / std).astype(how.dtype)
    if how.layout == "NCHW":
        images = images.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images)


def pool(found: Embeddings, pooling: str, how: OnnxImages) -> Embeddings:
    """From the output to embeddings (n, D)."""
    if how.rank == 2:
        return found
    if pooling == "cls":
        return found[:, 0]
    axes = 1 if how.rank == 3 else (2, 3) if how.layout == "NCHW" else (1, 2)
    return found.max(axis=axes) if pooling == "max" else found.mean(axis=axes)
