"""What computes a backbone: Keras, or OpenVINO; in which precision; how many posters at once."""

from __future__ import annotations

import importlib.util
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.devices import (
    gpu_has_bfloat16,
    gpu_name,
    has_gpu,
    keras_can_export,
    processor_has,
    processor_name,
)
from hybrid.errors import ExtractionError, SettingError, unknown_name

if TYPE_CHECKING:
    from hybrid.backbones.registry import BackboneSpec
    from hybrid.backbones.weights import Weights

ENGINES = ("keras", "openvino", "auto")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")

Posters = NDArray[np.uint8]
Embeddings = NDArray[np.float32]


class MemoryExhausted(Exception):
    """The device has not enough memory for a batch."""


@dataclass(frozen=True)
class EngineChoice:
    """What is to compute a backbone.

    Parameters
    ----------
    engine : str
        ``"keras"`` or ``"openvino"``.
    precision : str
        Of the network's products: ``"float32"``, ``"bfloat16"`` or ``"float16"``. Sums, and the pooling
        of the last feature map, are in float32.
    device : str
        The name of processor or GPU.
    """

    engine: str
    precision: str
    device: str

    @property
    def words(self) -> str:
        """In words, for a message."""
        return f"{self.engine}, {self.precision}, on {self.device}"


def choose_engine(engine: str = "keras", precision: str = "auto") -> EngineChoice:
    """Settle on an engine and a precision.

    Parameters
    ----------
    engine : str
        ``"auto"``: Keras where it has a GPU; else OpenVINO if it is installed and Keras, whose
        backend is not JAX, can export to it; else Keras. Whether OpenVINO is the faster one for a
        backbone is another question, see `hybrid.backbones.race`.
    precision : str
        ``"auto"``: bfloat16 where the GPU, or the processor that is to compute, has it; else float32.
        Whether the embeddings can stand it is another question, see `hybrid.trial`.

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


class Engine(ABC):
    """A backbone, loaded and compiled.

    Attributes
    ----------
    choice : EngineChoice
    input_size : (height, width)
    batch_size : int
        Posters that it takes at once; becomes smaller where memory does not suffice.
    depth : int
        Batches that should be under way at once for it to have no idle time.
    """

    choice: EngineChoice
    input_size: tuple[int, int]
    batch_size: int
    depth: int

    @abstractmethod
    def start(self, posters: Posters) -> Callable[[], Embeddings]:
        """Start computing one batch; what comes back waits for it.

        Parameters
        ----------
        posters : ndarray of shape (n, height, width, 3), uint8, RGB
            At most `batch_size`; not to be changed before the result is there.

        Raises
        ------
        MemoryExhausted
            Here, or when the result is asked for.
        """

    def begin(self, posters: Posters) -> Callable[[], Embeddings]:
        """As `start`, but where memory does not suffice the batch is computed in halves."""
        try:
            pending = self.start(posters)
        except MemoryExhausted:
            return lambda: self(posters)

        def result() -> Embeddings:
            try:
                return pending()
            except MemoryExhausted:
                return self(posters)

        return result

    def rate(self, n: int) -> float:
        """Posters a second, with no work around it, measured on `n` or a few more.

        The first batch, for which things are compiled, is not counted.

        Raises
        ------
        MemoryExhausted
        """
        posters = np.zeros((self.batch_size, *self.input_size, 3), dtype=np.uint8)
        self.start(posters)()
        batches, under_way = -(-n // self.batch_size), deque[Callable[[], Embeddings]]()
        start = time.perf_counter()
        for _ in range(batches):
            under_way.append(self.start(posters))
            if len(under_way) > self.depth:
                under_way.popleft()()
        while under_way:
            under_way.popleft()()
        return batches * self.batch_size / (time.perf_counter() - start)

    def __call__(self, posters: Posters) -> Embeddings:
        """Embed any number of posters.

        Parameters
        ----------
        posters : ndarray of shape (n, height, width, 3), uint8, RGB

        Returns
        -------
        ndarray of shape (n, D), float32

        Raises
        ------
        ExtractionError
            If the device's memory does not suffice for a single poster.
        """
        done, at = [], 0
        while at < len(posters):
            part = posters[at : at + self.batch_size]
            try:
                done.append(self.start(part)())
                at += len(part)
            except MemoryExhausted as error:
                if len(part) == 1:
                    raise ExtractionError(
                        f"{self.choice.device}: expected memory for one poster, found too little "
                        f"({str(error).partition(chr(10))[0]}). Choose a smaller backbone or "
                        "--input-size, or free the device."
                    ) from error
                self.batch_size = len(part) // 2
        return np.concatenate(done)


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
    choice = choice or choose_engine("keras", "float32")
    if choice.engine == "openvino":
        from hybrid.backbones.openvino_engine import OpenVINOEngine

        return OpenVINOEngine(spec, weights, choice, batch_size)
    from hybrid.backbones.keras_engine import KerasEngine

    return KerasEngine(spec, weights, choice, batch_size)
