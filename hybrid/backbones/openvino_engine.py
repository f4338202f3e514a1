"""The inference engine OpenVINO, on the processor, for networks that Keras exports."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino

from hybrid.backbones.devices import keras_can_export
from hybrid.backbones.engine import Embeddings, Engine, EngineChoice, Posters
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.startup import start_keras
from hybrid.backbones.weights import Weights
from hybrid.errors import SettingError
from hybrid.utils.environment import user_cache_folder
from hybrid.utils.reading import TEXT, WEIGHTS, checked, hash_file, read_json
from hybrid.utils.resources import default_workers, usable_cores

BATCH = 8
EXPORT_VERSION = 1  # of the network that is exported
MODEL, RECORD = "network.xml", "record.json"
HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenVINOEngine(Engine):
    """A backbone, compiled by OpenVINO; see `hybrid.backbones.engines.load_backbone`.

    The exported network is saved in the user's cache folder and used again.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
    choice : EngineChoice
    batch_size : int, default=8

    Raises
    ------
    WeightsError
        If the file does not fit the architecture.
    SettingError
        If the processor lacks the precision, or Keras runs on JAX and the network was not exported before.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone, resolve_weights
    >>> spec = get_backbone("small")
    >>> choice = EngineChoice("openvino", "float32", "processor")
    >>> engine = OpenVINOEngine(spec, resolve_weights(spec, "random"), choice)  # doctest: +SKIP
    >>> engine(np.zeros((3, 150, 150, 3), dtype=np.uint8)).shape  # doctest: +SKIP
    (3, 64)
    """

    def __init__(
        self,
        spec: BackboneSpec,
        weights: Weights,
        choice: EngineChoice,
        batch_size: int | None = None,
    ) -> None:
        self.choice = choice
        self.input_size = spec.input_size
        self.batch_size = batch_size or BATCH
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": HINTS[choice.precision],
        }
        if default_workers() < usable_cores():
            settings["INFERENCE_NUM_THREADS"] = str(default_workers())
        self._compiled = self._compile(openvino_core(), spec, weights, settings)
        self._check_precision()
        self.depth = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.depth + 1):
            self._requests.put(self._compiled.create_infer_request())

    def _compile(
        self, core: Any, spec: BackboneSpec, weights: Weights, settings: dict[str, str]
    ) -> Any:
        """Posters of shape (batch_size, height, width, 3), uint8 → embeddings (batch_size, D)."""
        with _exported(spec, weights) as (path, saved):
            network = core.read_model(checked(path, WEIGHTS))
            network.reshape([self.batch_size, *spec.input_size, 3])
            if saved:
                settings["CACHE_DIR"] = str(path.parent / "compiled")
            return core.compile_model(network, "CPU", settings)

    def start(self, posters: Posters) -> Callable[[], Embeddings]:
        """See `Engine.start`."""
        n = len(posters)
        if n < self.batch_size:  # the compiled network takes whole batches
            filled = np.zeros((self.batch_size, *posters.shape[1:]), dtype=np.uint8)
            filled[:n] = posters
            posters = filled
        request = self._requests.get()
        # The request reads the posters in place: `result` keeps a reference until it is done.
        request.start_async({0: openvino.Tensor(posters, shared_memory=True)})

        def result(posters: Posters = posters) -> Embeddings:
            try:
                request.wait()
                return np.array(request.get_output_tensor(0).data[:n], dtype=np.float32)
            finally:
                self._requests.put(request)

        return result

    def _check_precision(self) -> None:
        """Raise if OpenVINO silently chose another precision because the processor lacks this one."""
        found = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if found != HINTS[self.choice.precision]:
            raise SettingError(
                f"--precision {self.choice.precision}: expected a processor that has it, found that "
                f"OpenVINO computes in {found} on {self.choice.device}. Use --engine keras, which "
                "emulates it, or --precision float32."
            )


@cache
def openvino_core() -> openvino.Core:
    """OpenVINO's runtime, once a process and until its end.

    On processors with AMX it gives the thread that starts it a stack for signals, and frees it in the thread
    that drops it. Where these are two threads, the next Ctrl-C ends the process with a segmentation fault.
    """
    return openvino.Core()


@contextmanager
def _exported(spec: BackboneSpec, weights: Weights) -> Iterator[tuple[Path, bool]]:
    """Export a network, or find an earlier export.

    Yields
    ------
    path : Path
    saved : bool
        Whether the export stays in the user's cache folder. A file of it that was changed is exported again.
    """
    parts = {
        "version": EXPORT_VERSION,
        "openvino": openvino.__version__,
        "network": spec.key,
        "weights": weights.digest,
    }
    name = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    folder = user_cache_folder() / "openvino" / name
    if _is_whole(folder):
        yield folder / MODEL, True
        return
    work = _work_folder(folder.parent)
    try:
        _export(spec, weights, work)
        saved = _moved(work, folder)
        yield (folder if saved else work) / MODEL, saved
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _work_folder(beside: Path) -> Path:
    try:
        beside.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".tmp-", dir=beside))
    except OSError:  # no writable cache folder: export each time
        return Path(tempfile.mkdtemp(prefix="hybrid-"))


def _export(spec: BackboneSpec, weights: Weights, folder: Path) -> None:
    if not keras_can_export():
        raise SettingError(
            "--engine openvino: expected Keras on TensorFlow or PyTorch, found JAX, whose networks OpenVINO "
            "cannot read. Run the command once with KERAS_BACKEND=tensorflow (the export is kept), "
            "or use --engine keras."
        )
    start_keras()
    from hybrid.backbones.load import load_network

    network = load_network(spec, weights, "float32")
    with _no_telemetry():
        network.export(str(folder / MODEL), format="openvino", verbose=False)
    record = {path.name: hash_file(path, WEIGHTS) for path in sorted(folder.iterdir())}
    (folder / RECORD).write_text(json.dumps(record))


def _moved(work: Path, folder: Path) -> bool:
    """Move a finished export to its place, replacing a damaged one; False if that fails."""
    try:
        if folder.exists() and not _is_whole(folder):
            shutil.rmtree(folder)
        if not folder.exists():
            work.rename(folder)
    except OSError:
        return _is_whole(folder)
    return True


def _is_whole(folder: Path) -> bool:
    try:
        record = read_json(folder / RECORD, TEXT)
        return MODEL in record and all(
            hash_file(folder / name, WEIGHTS) == record[name] for name in record
        )
    except (OSError, ValueError, TypeError):
        return False


@contextmanager
def _no_telemetry() -> Iterator[None]:
    """Stop OpenVINO's converter from reporting its use; it does not do so in CI jobs."""
    before = os.environ.get("CI")
    os.environ["CI"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["CI"]
        else:
            os.environ["CI"] = before
