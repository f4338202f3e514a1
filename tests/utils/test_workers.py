"""The number of threads: what a process may use, and what --workers says."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import pytest
from threadpoolctl import threadpool_info

from hybrid.cli.main import _run
from hybrid.errors import SettingError
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.resources import default_workers, limit_workers, usable_cores

# Cores


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "nonsense\n"}, None),
        ({}, None),
    ],
    ids=["version 2", "no quota", "version 1", "no quota, version 1", "unreadable", "no groups"],
)
def test_the_quota_of_a_control_group_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int | None
) -> None:
    monkeypatch.delenv("PYTHON_CPU_COUNT", raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    assert usable_cores(tmp_path) == (expected or 4)


def test_python_cpu_count_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", "1")
    assert usable_cores() == 1
    assert Context().workers == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs an affinity mask")
def test_on_one_core_the_default_is_one_worker() -> None:
    code = (
        "import os\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import click\n"
        "from hybrid.cli.fit_svm import command\n"
        "from hybrid.utils.context import Context\n"
        "option = next(o for o in command.params if o.name == 'workers')\n"
        "default = option.get_default(click.Context(command))\n"
        "assert (default, Context().workers) == (1, 1)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Limits


def test_a_limit_holds_in_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    with limit_workers(1):
        assert default_workers() == Context().workers == 1
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
        if usable_cores() > 1:
            assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "1"
        with limit_workers(3):
            assert default_workers() == 3
        assert default_workers() == 1
    assert default_workers() == usable_cores()
    assert os.environ["OMP_NUM_THREADS"] == "64"
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ


def test_a_context_limits_what_is_called() -> None:
    @limited_by_context
    def ask(catalogue: str, context: Context | None = None) -> int:
        return default_workers()

    assert ask("films") == usable_cores()
    assert ask("films", Context(workers=1)) == ask("films", context=Context(workers=1)) == 1
    with pytest.raises(TypeError, match=r"ask\(\) got an unexpected keyword argument 'seed'"):
        ask("films", seed=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"seed": -1}])
def test_a_context_refuses_what_is_out_of_range(wrong: dict[str, int]) -> None:
    (name,) = wrong
    with pytest.raises(SettingError, match=f"--{name}: expected"):
        Context(**wrong)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:random weights")
def test_one_worker_is_one_thread_in_every_command(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No pool of threads or processes has more than one worker, whatever the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    sizes: list[tuple[str, int]] = []
    make_pool, make_parallel = ThreadPoolExecutor.__init__, joblib.Parallel.__init__

    def pool(self: Any, max_workers: int | None = None, *args: Any, **kwargs: Any) -> None:
        sizes.append(("threads", max_workers or 99))
        make_pool(self, max_workers, *args, **kwargs)

    def parallel(self: Any, n_jobs: int | None = None, *args: Any, **kwargs: Any) -> None:
        sizes.append(("joblib", joblib.effective_n_jobs(n_jobs)))
        make_parallel(self, n_jobs, *args, **kwargs)

    monkeypatch.setattr(ThreadPoolExecutor, "__init__", pool)
    monkeypatch.setattr(joblib.Parallel, "__init__", parallel)
    one = ["--workers", "1", "--quiet"]
    embed = ["--backbone", "mobilenet-075", "--weights", "random", "--input-size", "32"]
    for arguments in (
        ["check"],
        ["split"],
        ["extract", *embed],
        ["audit"],
        ["cache", "verify"],
        ["cache", "explain", *embed],
        ["cache", "export", "--out", "e.npz"],
        ["fit-svm", "--C", "0.3", "--folds", "2", "--block-weight", "text=1"],
        ["fit-ovr", "--estimator", "knn", "--blocks", "text", "--folds", "2"],
        ["predict", "runs/svm"],
        ["report"],
    ):
        before = len(sizes)
        assert _run([*arguments, *one]) == 0, arguments
        assert {size for _, size in sizes[before:]} <= {1}, (arguments, sizes[before:])
    assert len(sizes) > 20
