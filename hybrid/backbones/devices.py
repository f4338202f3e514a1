"""What this machine computes fast: bfloat16 on the processor, a GPU. No heavy import where it has no GPU."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from hybrid.backbones.startup import start_keras

CPU_FLAGS = Path("/proc/cpuinfo")
GPU_FILES = (Path("/dev/nvidiactl"), Path("/dev/kfd"))  # NVIDIA's and AMD's drivers
# x86: bfloat16 products in AVX-512 or in AMX tiles; 64-bit ARM calls it bf16.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
FLOAT16_FLAGS = {"avx512_fp16", "amx_fp16"}
BFLOAT16_CAPABILITY = 8.0  # NVIDIA's Ampere, the first with bfloat16 tensor cores


@functools.cache
def processor_flags() -> frozenset[str]:
    """What the processor says it can, on Linux; elsewhere nothing is known and nothing assumed."""
    try:
        lines = CPU_FLAGS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(
        flag
        for line in lines
        if line.startswith(("flags", "Features"))
        for flag in line.partition(":")[2].split()
    )


def processor_has(precision: str) -> bool:
    """Whether the processor multiplies matrices of this precision natively."""
    wanted = {"bfloat16": BFLOAT16_FLAGS, "float16": FLOAT16_FLAGS}.get(precision)
    return wanted is None or bool(wanted & processor_flags())


def keras_can_export() -> bool:
    """Whether Keras' backend, by KERAS_BACKEND, is one whose networks OpenVINO can read.

    JAX's are not: Keras wraps them in an XlaCallModule, for which OpenVINO has no rule.
    """
    return os.environ.get("KERAS_BACKEND") != "jax"


@functools.cache
def has_gpu() -> bool:
    """Whether Keras' backend computes on a GPU."""
    if not any(path.exists() for path in GPU_FILES):
        return False
    start_keras()
    from hybrid.backbones.backend import backend_has_gpu

    return backend_has_gpu()


@functools.cache
def gpu_has_bfloat16() -> bool:
    """Whether every NVIDIA GPU here has bfloat16, as its driver's own tool says; False if unknown."""
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
    """Names of the GPUs, as the driver's tool gives them; ``"GPU"`` if unknown."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return "GPU"
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return ", ".join(done.stdout.splitlines()) or "GPU"


@functools.cache
def processor_name() -> str:
    """The processor's name; ``"processor"`` if unknown."""
    try:
        lines = CPU_FLAGS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "processor"
