"""What there is to be known of a GPU, in eight minutes: extraction, tests, the decoding that feeds it.

    pip install ".[gpu]" pytest
    python benchmarks/gpu.py --out gpu.json

From the root of a checkout. All that pip installs are wheels. Instead of TensorFlow, JAX or PyTorch serves,
too (``pip install . "jax[cuda13]" pytest``); without a network so does a folder of wheels (``pip install
--no-index --find-links wheels``). It takes the first of JAX, PyTorch, TensorFlow that computes on a GPU, or
the one that `--backend` names. Each step is a process of its own, and none begins or goes on when `--seconds`
are over; what is done is in the JSON file at once:

extraction  benchmarks/extract.py: InceptionV3, then VGG16, bare and by hybrid, on 30,000 drawn posters
tests       pytest -m gpu
decoding    benchmarks/decode.py: by one worker, and by one a core

Without a GPU it ends with 1 and says what it found. ``--rehearse`` goes through all steps on the processor,
with a small network and few posters: its figures mean nothing, but a step that fails there would fail on a
GPU, too.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 480
PROBE_SECONDS = 90  # to start a backend
BACKENDS = ("jax", "torch", "tensorflow")
GOALS = {"posters a second": 5_000, "moonshot": 10_000, "GPU busy, %": 80}
PROBE = """
import json
from hybrid.backbones.devices import device_name, gpu_has_bfloat16, has_gpu
print(json.dumps({"gpu": has_gpu(), "device": device_name(), "bfloat16": gpu_has_bfloat16()}))
"""


@dataclass(frozen=True)
class Step:
    """One program, and the most and the least seconds that it is worth starting with.

    `result` is a file that it writes; "" for one that writes none.
    """

    name: str
    command: tuple[str, ...]
    most: float
    least: float
    result: str = ""


@dataclass
class Budget:
    """Seconds that are left."""

    seconds: float
    start: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Seconds, below 0 if they are over."""
        return self.seconds - (time.monotonic() - self.start)


def steps(folder: Path, rehearse: bool) -> list[Step]:
    """What is run, the most important first."""
    cores = str(os.cpu_count())
    drawn, backbones, repeat = (
        ("24", "small", "1") if rehearse else ("30000", "inception,vgg16", "2")
    )
    some = ["-k", "not inception and not vgg16"] if rehearse else []
    extraction, decoding = str(folder / "extraction.json"), str(folder / "decoding.json")
    return [
        Step(
            "extraction",
            (
                *("benchmarks/extract.py", "--synthetic", drawn, "--backbones", backbones),
                *("--engines", "keras", "--no-others", "--repeat", repeat, "--out", extraction),
            ),
            most=330,
            least=120,
            result=extraction,
        ),
        Step(
            "tests",
            (
                "-m",
                "pytest",
                "-q",
                "-W",
                "default",
                "-m",
                "gpu",
                *some,
                "tests/backbones/test_gpu.py",
            ),
            most=120,
            least=30,
        ),
        Step(
            "decoding",
            (
                *("benchmarks/decode.py", "--synthetic", "64" if rehearse else "6000"),
                *(
                    "--workers",
                    "1",
                    *([] if rehearse else [cores]),
                    "--repeat",
                    "1",
                    "--out",
                    decoding,
                ),
            ),
            most=60,
            least=20,
            result=decoding,
        ),
    ]


def run(step: Step, environment: Mapping[str, str], budget: Budget) -> dict[str, Any]:
    """Run a step for as long as there is time: exit code, seconds, the end of what it said, its result."""
    found: dict[str, Any] = {"step": step.name, "command": shlex.join(("python", *step.command))}
    limit = min(step.most, budget.left())
    if limit < step.least:
        return {**found, "ended": f"not begun: {budget.left():.0f} s were left"}
    print(f"{step.name}: at most {limit:.0f} s", file=sys.stderr, flush=True)
    start = time.monotonic()
    code, said = call(step.command, environment, limit)
    ended = f"stopped after {limit:.0f} s" if code is None else f"exit code {code}"
    found |= {"ended": ended, "seconds": round(time.monotonic() - start, 1)}
    found["said"] = said.splitlines()[-40:]
    if step.result and Path(step.result).exists():
        found["result"] = json.loads(Path(step.result).read_text())
    return found


def call(
    command: Sequence[str], environment: Mapping[str, str], limit: float
) -> tuple[int | None, str]:
    """Exit code of a Python program, None where the time was over, and what it printed."""
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that it has started
            return None, process.communicate()[0]
    return process.returncode, said


def environment_of(backend: str, folder: Path, rehearse: bool) -> dict[str, str]:
    """Variables of a step: the checkout, the backend, and measurements of this machine made anew."""
    found = {**os.environ, "KERAS_BACKEND": backend, "XDG_CACHE_HOME": str(folder)}
    found["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**found, "CUDA_VISIBLE_DEVICES": ""} if rehearse else found


def probe(backend: str, environment: Mapping[str, str], budget: Budget) -> dict[str, Any] | str:
    """What a backend computes on; or why it computes on nothing."""
    if importlib.util.find_spec(backend) is None:
        return "not installed"
    code, said = call(("-c", PROBE), environment, min(PROBE_SECONDS, budget.left()))
    if code != 0:
        return f"cannot be started: {[*said.splitlines(), '', code][-2 if code is None else -3]}"
    return dict(json.loads(said.splitlines()[-1]))


def choose_backend(
    names: Sequence[str], folder: Path, rehearse: bool, budget: Budget
) -> tuple[str, dict[str, Any]]:
    """The first backend that computes on a GPU, in a rehearsal that computes at all; and its device."""
    reasons = []
    for name in names:
        found = probe(name, environment_of(name, folder, rehearse), budget)
        if isinstance(found, dict) and (found["gpu"] or rehearse):
            return name, found
        reasons.append(f"{name}: {found if isinstance(found, str) else 'sees no GPU'}")
    if rehearse:
        raise SystemExit(f"expected a backend of Keras, found none. {'; '.join(reasons)}.")
    raise SystemExit(
        f"expected a GPU that a backend of Keras computes on, found none. {'; '.join(reasons)}; nvidia-smi: "
        f"{driver()}. Install one of them for this GPU, or try the steps on the processor with --rehearse."
    )


def driver() -> str:
    """The GPUs, their memory and their driver, by nvidia-smi."""
    if not (tool := shutil.which("nvidia-smi")):
        return "not installed"
    query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    done = subprocess.run([tool, *query], capture_output=True, text=True, check=False, timeout=30)
    return "; ".join((done.stdout.strip() or done.stderr.strip() or "says nothing").splitlines())


def machine() -> dict[str, Any]:
    """What it is run on."""
    names = ("keras", "jax", "torch", "tensorflow", "numpy", "pillow", "numba")
    found = {name: version(name) for name in names}
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "GPU": driver(),
        "versions": {name: each for name, each in found.items() if each},
    }


def version(name: str) -> str | None:
    """Of an installed distribution."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def compare(extraction: Mapping[str, Any]) -> dict[str, dict[str, float | bool | None]]:
    """The goals, and what InceptionV3 reached by hybrid in its faster precision."""
    sides = [
        values
        for name, values in extraction.get("inception", {}).items()
        if name.startswith("hybrid") and values
    ]
    if not sides:
        return {}
    best = max(sides, key=lambda values: statistics.median(values["posters a second"]))
    rate = statistics.median(best["posters a second"])
    busy = statistics.median(best["GPU busy, %"]) if "GPU busy, %" in best else None
    reached = {"posters a second": rate, "moonshot": rate, "GPU busy, %": busy}
    return {
        name: {"goal": goal, "reached": reached[name], "met": (reached[name] or 0) >= goal}
        for name, goal in GOALS.items()
    }


def main() -> None:
    """Find a GPU, run each step, write after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--backend", choices=BACKENDS, help="[default: the first with a GPU]")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="after which it ends")
    parser.add_argument("--rehearse", action="store_true", help="on the processor, tiny")
    options = parser.parse_args()
    budget = Budget(options.seconds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = [options.backend] if options.backend else BACKENDS
        backend, device = choose_backend(names, folder, options.rehearse, budget)
        summary: dict[str, Any] = {
            "rehearsal": options.rehearse,
            "machine": machine(),
            "backend": backend,
            **device,
            "steps": [],
        }
        for step in steps(folder, options.rehearse):
            environment = environment_of(backend, folder, options.rehearse)
            summary["steps"].append(run(step, environment, budget))
            summary["seconds"] = round(options.seconds - budget.left(), 1)
            results = {each["step"]: each.get("result", {}) for each in summary["steps"]}
            summary["goals"] = compare(results["extraction"])
            options.out.write_text(json.dumps(summary, indent=2) + "\n")
            print(f"{step.name}: {summary['steps'][-1]['ended']}", flush=True)
    print(json.dumps(summary["goals"], indent=2))
    if any(each["ended"] != "exit code 0" for each in summary["steps"]):
        raise SystemExit(f"not all steps came to their end: {options.out} says why")


if __name__ == "__main__":
    main()
