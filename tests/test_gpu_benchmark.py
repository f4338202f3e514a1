"""benchmarks/gpu.py keeps within its time, says why there is no GPU, and can be rehearsed without one."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
# Starts a process that would outlive it, tells its number, writes its result and waits.
WAITS = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
with open("half", "w") as file:
    file.write('{"done": 1}')
os.replace("half", sys.argv[1])
time.sleep(600)
"""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The benchmark, as a program of its own would import it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("gpu")
    sys.modules.pop("gpu")


def test_a_step_that_takes_too_long_ends_with_all_that_it_started(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = tmp_path / "result.json"
    communicate = subprocess.Popen.communicate

    def run_out_of_time(process: Any, timeout: float | None = None) -> Any:
        if timeout is None:
            return communicate(process)
        while not result.exists():
            assert process.poll() is None
        raise subprocess.TimeoutExpired(process.args, timeout)

    monkeypatch.setattr(subprocess.Popen, "communicate", run_out_of_time)
    monkeypatch.setattr(gpu, "ROOT", tmp_path)
    step = gpu.Step("waits", ("-c", WAITS, str(result)), most=60, least=0, result=str(result))
    found = gpu.run(step, os.environ, gpu.Budget(100))
    assert found["ended"] == "stopped after 60 s"
    assert found["result"] == {"done": 1}
    # Its output was read to the end, which comes when no process holds it any more.
    (child,) = map(int, found["said"])
    assert not Path(f"/proc/{child}/fd/1").exists()


def test_no_step_begins_without_time_and_a_failure_is_told(gpu: Any) -> None:
    step = gpu.Step("fails", ("-c", "raise SystemExit('no memory')"), most=60, least=20)
    late = gpu.run(step, os.environ, gpu.Budget(19.0))
    assert late["ended"] == "not begun: 19 s were left"
    assert "said" not in late
    failed = gpu.run(step, os.environ, gpu.Budget(100))
    assert (failed["ended"], failed["said"]) == ("exit code 1", ["no memory"])


def test_the_steps_fit_into_eight_minutes(gpu: Any, tmp_path: Path) -> None:
    steps = gpu.steps(tmp_path, rehearse=False)
    assert [step.name for step in steps] == ["extraction", "tests", "decoding"]
    assert gpu.SECONDS == 480
    assert all(step.least < step.most for step in steps)
    assert steps[0].most + sum(step.least for step in steps[1:]) + gpu.PROBE_SECONDS < gpu.SECONDS
    for step in steps:
        names = [each for each in step.command if each.endswith(".py")]
        assert all((BENCHMARKS.parent / name).exists() for name in names)


def test_goals_are_of_the_faster_precision(gpu: Any) -> None:
    sides = {
        "bare, keras, bfloat16": {"posters a second": [12_000.0]},
        "hybrid, keras, float32": {"posters a second": [900.0], "GPU busy, %": [99.0]},
        "hybrid, keras, bfloat16": {
            "posters a second": [6000.0, 7000.0, 4000.0],
            "GPU busy, %": [70.0],
        },
    }
    assert gpu.compare({"inception": sides}) == {
        "posters a second": {"goal": 5000, "reached": 6000.0, "met": True},
        "moonshot": {"goal": 10_000, "reached": 6000.0, "met": False},
        "GPU busy, %": {"goal": 80, "reached": 70.0, "met": False},
    }
    assert gpu.compare({}) == {}


def test_the_load_is_of_the_samples_in_which_the_gpu_worked(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '0\\n[N/A]\\n80\\n90\\n100\\n'\nexec sleep 600\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    load = importlib.import_module("gpu_load").GpuLoad()
    with load:
        while len(load.samples) < 4:
            pass
    assert load.median == 90
    sys.modules.pop("gpu_load")


def test_without_a_gpu_it_says_what_it_found(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"jax": "not installed", "torch": {"gpu": False}}
    monkeypatch.setattr(gpu, "probe", lambda name, *_: answers[name])
    monkeypatch.setattr(gpu, "driver", lambda: "not installed")
    said = (
        r"expected a GPU .*, found none. jax: not installed; torch: sees no GPU; nvidia-smi: not installed. "
        r"Install .* with --rehearse"
    )
    with pytest.raises(SystemExit, match=said):
        gpu.choose_backend(list(answers), tmp_path, False, gpu.Budget(100))
    assert gpu.choose_backend(list(answers), tmp_path, True, gpu.Budget(100)) == (
        "torch",
        {"gpu": False},
    )


@pytest.mark.slow
def test_a_rehearsal_goes_through_all_steps(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, BENCHMARKS / "gpu.py", "--rehearse", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert [each["ended"] for each in found["steps"]] == ["exit code 0"] * 3
    extraction, tests, decoding = found["steps"]
    assert extraction["result"]["small"]["hybrid, keras, float32"]["posters a second"][0] > 0
    assert "3 passed, 2 skipped" in tests["said"][-1]
    assert [each["by"] for each in decoding["result"]["decoding"]] == ["threads", "processes"]
    assert found["rehearsal"]
    assert found["goals"] == {}
