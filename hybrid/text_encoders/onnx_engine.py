"""Text encoders of ONNX files in OpenVINO or onnxruntime: tokens in, pooled embeddings out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.engine import Embeddings, EngineChoice
from hybrid.errors import WeightsError
from hybrid.text_encoders.engine import TextEngine
from hybrid.text_encoders.onnx_text import IDS, MASK, OnnxTextSpec

SMALLEST = 1e-12

Run = Callable[[dict[str, NDArray[Any]]], NDArray[Any]]


class OnnxTextEngine(TextEngine):
    """A text encoder of an ONNX file; see `hybrid.text_encoders.encoder.load_text_engine`.

    Parameters
    ----------
    spec : OnnxTextSpec
    choice : EngineChoice

    Raises
    ------
    WeightsError
        If the engine cannot read the file.
    """

    depth = 0

    def __init__(self, spec: OnnxTextSpec, choice: EngineChoice) -> None:
        self.choice, self.dimension, self._spec = choice, spec.dimension, spec
        self._run: Run
        if choice.engine == "onnxruntime":
            from hybrid.backbones.onnx_runtime import open_session

            session = open_session(spec.file)
            self._run = lambda inputs: session.run([spec.output], inputs)[0]
        else:
            from hybrid.backbones.onnx_openvino import compile_onnx

            compiled = compile_onnx(spec.file, choice.precision)
            self._run = lambda inputs: compiled(inputs)[spec.output]

    def start(self, ids: NDArray[np.int32], lengths: NDArray[np.int32]) -> Callable[[], Embeddings]:
        """See `TextEngine.start`; it has been computed when it returns."""
        inside = np.arange(ids.shape[1]) < lengths[:, None]
        values = {IDS: ids, MASK: inside}
        inputs = {
            name: values[name].astype(dtype) if name in values else np.zeros(ids.shape, dtype)
            for name, dtype in self._spec.inputs
        }
        try:
            found = np.asarray(self._run(inputs), dtype=np.float32)
        except Exception as error:  # of several kinds, which the engines do not export
            first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            raise WeightsError(
                f"{self._spec.file}: expected a network that computes {len(ids)} texts of {ids.shape[1]} "
                f"tokens, found: {first}. Is {self._spec.folder / 'tokenizer.json'} of another model?"
            ) from error
        embeddings = pool_tokens(found, inside, self._spec.pooling) if self._spec.tokens else found
        if embeddings.shape != (len(ids), self.dimension):
            raise WeightsError(
                f"{self._spec.file}: expected embeddings {(len(ids), self.dimension)}, found "
                f"{embeddings.shape}. Export the network again."
            )
        if self._spec.normalise:
            length = np.linalg.norm(embeddings, axis=1, keepdims=True)
            embeddings = embeddings / np.maximum(length, SMALLEST)
        return lambda: embeddings


def pool_tokens(states: Embeddings, inside: NDArray[np.bool_], pooling: str) -> Embeddings:
    """From the vectors of the tokens to one each.

    Parameters
    ----------
    states : ndarray of shape (n, t, D), float32
    inside : ndarray of shape (n, t), bool
        Which tokens are no padding.
    pooling : {"mean", "cls", "max", "sqrt-length"}

    Returns
    -------
    ndarray of shape (n, D), float32

    Examples
    --------
    >>> states = np.float32([[[1, 2], [3, 6], [9, 9]]])
    >>> pool_tokens(states, np.array([[True, True, False]]), "mean").tolist()
    [[2.0, 4.0]]
    """
    if pooling == "cls":
        return states[:, 0]
    if pooling == "max":
        return np.where(inside[:, :, None], states, -np.inf).max(axis=1)
    total = np.einsum("ntd,nt->nd", states, inside.astype(np.float32))
    number = inside.sum(axis=1, keepdims=True).astype(np.float32)
    divisor = np.sqrt(number) if pooling == "sqrt-length" else number
    return np.asarray(total / divisor, dtype=np.float32)
