"""Hardware: bfloat16 and float16 on the processor, GPUs. Keras is started only if there is a GPU driver."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from hybrid.backbones.startup import start_keras
from hybrid.utils.reading import SYSTEM, read_text

CPU_FLAGS = Path("/proc/cpuinfo")
GPU_FILES = (Path("/dev/nvidiactl"), Path("/dev/kfd"))  # NVIDIA's and AMD's drivers
# x86: bfloat16 products in AVX-512 or in AMX tiles; 64-bit ARM calls it bf16.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
FLOAT16_FLAGS = {"avx512_fp16", "amx_fp16"}
BFLOAT16_CAPABILITY = 8.0  # NVIDIA's Ampere, the first with bfloat16 tensor cores


@functools.cache
def processor_flags() -> frozenset[str]:
    """Return the feature flags of the processor; empty on other systems than Linux.

    Examples
    --------
    >>> isinstance(processor_flags(), frozenset)
    True
    """
    try:
        lines = read_text(CPU_FLAGS, SYSTEM, "ascii", "replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(
        flag
        for line in lines
        if line.startswith(("flags", "Features"))
        for flag in line.partition(":")[2].split()
    )


def processor_has(precision: str) -> bool:
    """Whether the processor multiplies matrices of a precision natively.

    Parameters
    ----------
    precision : {"float32", "bfloat16", "float16"}

    Examples
    --------
    >>> processor_has("float32")
    True
    """
    wanted = {"bfloat16": BFLOAT16_FLAGS, "float16": FLOAT16_FLAGS}.get(precision)
    return wanted is None or bool(wanted & processor_flags())


def keras_can_export() -> bool:
    """Whether OpenVINO can read networks that Keras exports with its present backend.

    It cannot if ``KERAS_BACKEND`` is ``jax``: Keras wraps such a network in an XlaCallModule, for which
    OpenVINO has no conversion.

    Examples
    --------
    >>> import os
    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, KERAS_BACKEND="jax"):
    ...     keras_can_export()
    False
    """
    return os.environ.get("KERAS_BACKEND") != "jax"


@functools.cache
def has_gpu() -> bool:
    """Whether Keras' backend computes on a GPU; does not start Keras if no GPU driver is there.

    Examples
    --------
    >>> has_gpu() in (True, False)
    True
    """
    if not any(path.exists() for path in GPU_FILES):
        return False
    start_keras()
    from hybrid.backbones.backend import backend_has_gpu

    return backend_has_gpu()


@functools.cache
def gpu_has_bfloat16() -> bool:
    """Whether all NVIDIA GPUs have bfloat16, according to nvidia-smi; False if unknown.

    Examples
    --------
    >>> gpu_has_bfloat16() in (True, False)
    True
    """
    tool = shutil.which("nvidia-smi")
    if not tool:
        return False
    command = [tool, "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        found = [float(line) for line in done.stdout.split()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return False
    return bool(found) and min(found) >= BFLOAT16_CAPABILITY


@functools.cache
def gpu_name() -> str:
    """Return the names of the GPUs according to nvidia-smi; ``"GPU"`` if unknown.

    Examples
    --------
    >>> isinstance(gpu_name(), str)
    True
    """
    tool = shutil.which("nvidia-smi")
    if not tool:
        return "GPU"
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return ", ".join(done.stdout.splitlines()) or "GPU"


@functools.cache
def processor_name() -> str:
    """Return the name of the processor; ``"processor"`` if unknown.

    Examples
    --------
    >>> isinstance(processor_name(), str)
    True
    """
    try:
        lines = read_text(CPU_FLAGS, SYSTEM, "ascii", "replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "processor"


def device_name() -> str:
    """Return the name of what Keras' backend computes on: its GPUs, else the processor.

    Examples
    --------
    >>> isinstance(device_name(), str)
    True
    """
    return gpu_name() if has_gpu() else processor_name()
