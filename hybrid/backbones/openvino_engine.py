"""OpenVINO as the engine, on the processor: Keras' own export, compiled by OpenVINO."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino

from hybrid.backbones.devices import keras_can_export
from hybrid.backbones.engine import Embeddings, Engine, EngineChoice, Posters
from hybrid.backbones.measurements import user_cache_folder
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.startup import start_keras
from hybrid.backbones.weights import Weights
from hybrid.errors import SettingError

BATCH = 8
EXPORT_VERSION = 1  # of the network that is exported
MODEL, RECORD = "network.xml", "record.json"
HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenVINOEngine(Engine):
    """A backbone, compiled by OpenVINO. See `hybrid.backbones.engines.load_backbone`."""

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
        core = openvino.Core()
        with _exported(spec, weights) as (path, keep):
            network = core.read_model(path)
            network.reshape([self.batch_size, *spec.input_size, 3])
            settings = {
                "PERFORMANCE_HINT": "THROUGHPUT",
                "INFERENCE_PRECISION_HINT": HINTS[choice.precision],
            }
            if keep:
                settings["CACHE_DIR"] = str(path.parent / "compiled")
            self._compiled = core.compile_model(network, "CPU", settings)
        self._check_precision()
        self.depth = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.depth + 1):
            self._requests.put(self._compiled.create_infer_request())

    def start(self, posters: Posters) -> Callable[[], Embeddings]:
        """See `Engine.start`."""
        n = len(posters)
        if n < self.batch_size:  # the compiled network takes whole batches
            filled = np.zeros((self.batch_size, *posters.shape[1:]), dtype=np.uint8)
            filled[:n] = posters
            posters = filled
        request = self._requests.get()
        # The request reads the posters where they are: `result` holds on to them until it is done.
        request.start_async({0: openvino.Tensor(posters, shared_memory=True)})

        def result(posters: Posters = posters) -> Embeddings:
            try:
                request.wait()
                return np.array(request.get_output_tensor(0).data[:n], dtype=np.float32)
            finally:
                self._requests.put(request)

        return result

    def _check_precision(self) -> None:
        """OpenVINO silently takes another precision where the processor lacks the one asked for."""
        found = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if found != HINTS[self.choice.precision]:
            raise SettingError(
                f"--precision {self.choice.precision}: expected a processor that has it, found that "
                f"OpenVINO computes in {found} on {self.choice.device}. Use --engine keras, which "
                "emulates it, or --precision float32."
            )


@contextmanager
def _exported(spec: BackboneSpec, weights: Weights) -> Iterator[tuple[Path, bool]]:
    """The network as OpenVINO's files, and whether they are kept for the next command.

    They are made once for each backbone and weights; a file that has changed since is made again.
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
        kept = _moved(work, folder)
        yield (folder if kept else work) / MODEL, kept
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _work_folder(beside: Path) -> Path:
    try:
        beside.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".tmp-", dir=beside))
    except OSError:  # nowhere to keep anything: it is made anew each time
        return Path(tempfile.mkdtemp(prefix="hybrid-"))


def _export(spec: BackboneSpec, weights: Weights, folder: Path) -> None:
    if not keras_can_export():
        raise SettingError(
            "--engine openvino: expected Keras on TensorFlow or PyTorch, found JAX, whose networks OpenVINO "
            "cannot read. Run the command once with KERAS_BACKEND=tensorflow (what it exports is kept), "
            "or use --engine keras."
        )
    start_keras()
    from hybrid.backbones.load import load_network

    network = load_network(spec, weights, "float32")
    with _no_telemetry():
        network.export(str(folder / MODEL), format="openvino", verbose=False)
    record = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    (folder / RECORD).write_text(json.dumps(record))


def _moved(work: Path, folder: Path) -> bool:
    """Put a finished export in its place, instead of a damaged one; False if it cannot be."""
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
        record = json.loads((folder / RECORD).read_text())
        return MODEL in record and all(_sha256(folder / name) == record[name] for name in record)
    except (OSError, ValueError, TypeError):
        return False


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _no_telemetry() -> Iterator[None]:
    """OpenVINO's converter reports its use to its makers, except where it believes to be in a CI job."""
    before = os.environ.get("CI")
    os.environ["CI"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["CI"]
        else:
            os.environ["CI"] = before
