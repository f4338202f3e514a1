"""The inference engine OpenVINO for image encoders in ONNX files, which it reads itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops
from openvino.preprocess import PrePostProcessor

from hybrid.backbones.onnx_record import OnnxImages
from hybrid.backbones.openvino_engine import HINTS, OpenVINOEngine, openvino_core
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.weights import Weights
from hybrid.errors import WeightsError
from hybrid.utils.reading import WEIGHTS, checked
from hybrid.utils.resources import default_workers, usable_cores


class OnnxOpenVINOEngine(OpenVINOEngine):
    """An image encoder of an ONNX file, compiled by OpenVINO; see `hybrid.backbones.engines.load_backbone`.

    Raises
    ------
    WeightsError
        If OpenVINO cannot read the file, or an embedding comes out with another length than it says.
    """

    def _compile(
        self, core: Any, spec: BackboneSpec, weights: Weights, settings: dict[str, str]
    ) -> Any:
        how = spec.onnx
        assert how is not None, "a backbone of an ONNX file"
        self.batch_size = how.batch or self.batch_size
        try:
            network = core.read_model(checked(how.file, WEIGHTS))
            network.reshape([self.batch_size, *_input_shape(spec, how)])
            network = _prepared(network, how)
            pooled = _pool(network.output(how.output), spec.pooling, how)
            network = openvino.Model([ops.result(pooled)], network.get_parameters())
            compiled = core.compile_model(network, "CPU", settings)
        except RuntimeError as error:
            raise WeightsError(
                f"{how.file}: expected a network that OpenVINO reads, found: {_first(error)}. Export it with "
                "another opset (17, say), or install the extra onnx and use --engine onnxruntime."
            ) from error
        found = compiled.output(0).partial_shape
        if str(found) != f"[{self.batch_size},{spec.dimension}]":
            raise WeightsError(
                f"{how.file}: expected embeddings ({self.batch_size}, {spec.dimension}), found {found}. "
                "Export the network with an open batch."
            )
        return compiled


def compile_onnx(path: Path, precision: str) -> Any:
    """Compile a network of an ONNX file as it is, for the processor.

    Raises
    ------
    WeightsError
        If OpenVINO cannot read the file.
    """
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": HINTS[precision]}
    if default_workers() < usable_cores():
        settings["INFERENCE_NUM_THREADS"] = str(default_workers())
    try:
        return openvino_core().compile_model(str(checked(path, WEIGHTS)), "CPU", settings)
    except RuntimeError as error:
        raise WeightsError(
            f"{path}: expected a network that OpenVINO reads, found: {_first(error)}. Export it with another "
            "opset (17, say), or install the extra onnx and use --engine onnxruntime."
        ) from error


def _first(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


def _input_shape(spec: BackboneSpec, how: OnnxImages) -> tuple[int, ...]:
    return (3, *spec.input_size) if how.layout == "NCHW" else (*spec.input_size, 3)


def _pool(output: Any, pooling: str, how: OnnxImages) -> Any:
    """From the output to embeddings (n, D), float32."""
    output = output.get_node().input_value(0)  # what the result is of
    if output.get_element_type() != openvino.Type.f32:
        output = ops.convert(output, "f32").output(0)
    if how.rank == 2:
        return output
    if pooling == "cls":
        return ops.gather(output, np.int64(0), np.int64(1))
    axes = {3: [1], 4: [2, 3] if how.layout == "NCHW" else [1, 2]}[how.rank]
    reduce = ops.reduce_max if pooling == "max" else ops.reduce_mean
    return reduce(output, np.array(axes, dtype=np.int64), False)


def _prepared(network: openvino.Model, how: OnnxImages) -> openvino.Model:
    """Posters (n, height, width, 3), uint8 → what the network takes."""
    steps = PrePostProcessor(network)
    image = steps.input()
    image.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    image.model().set_layout(openvino.Layout(how.layout))
    if how.dtype != "uint8":
        change = image.preprocess().convert_element_type(openvino.Type.f32)
        change.mean([value / how.scale for value in how.mean])
        change.scale([value / how.scale for value in how.std])
    return steps.build()
