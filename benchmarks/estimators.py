"""Every head on a catalogue: weighted F1 on test, seconds and peak memory of its command.

    python benchmarks/estimators.py films --out estimators.json

`films` is a project folder: a catalogue, a split, and what `hybrid extract` has left. Each command runs in
a process of its own, one after the other; its seconds and memory hold all of it, the start of Python, the
choice of its settings, the fit on all items and the predictions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HEADS = (
    ("fit-svm",),
    ("fit-svm", "--chain"),
    *(
        ("fit-ovr", "--estimator", name)
        for name in ("stacking", "logistic", "ridge", "sgd", "naive-bayes", "knn", "rbf", "svc-rbf")
    ),
    ("fit-ovr", "--estimator", "forest"),
    ("fit-ovr", "--estimator", "boosting"),
    ("fit-ovr", "--estimator", "dummy-stratified"),
)


def measure(folder: Path, runs: Path, arguments: tuple[str, ...]) -> dict[str, Any]:
    """Run one command: what it reached and what it cost."""
    code = "from hybrid.cli.main import main; main()"
    call = [sys.executable, "-c", code, *arguments, "--runs", str(runs), "--name", "it", "--quiet"]
    start = time.perf_counter()
    process = subprocess.Popen(call, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"hybrid {' '.join(arguments)} failed")
    record = json.loads((runs / "it" / "run.json").read_text())
    return {
        "command": " ".join(arguments),
        "f1": record["metrics"]["f1_weighted"],
        "seconds": seconds,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
        "chosen": record["chosen"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", help="words, one of which a command must hold")
    parser.add_argument("--out", type=Path, default=Path("estimators.json"))
    options = parser.parse_args()
    heads = [h for h in HEADS if not options.only or set(options.only) & set(h)]
    found = []
    for arguments in heads:
        with tempfile.TemporaryDirectory() as runs:
            found.append(measure(options.folder, Path(runs), arguments))
        f1 = found[-1]["f1"]
        print(
            f"| `{found[-1]['command']}` | {f1['value']:.3f} ({f1['low']:.3f} to {f1['high']:.3f}) | "
            f"{found[-1]['seconds']:.0f} | {found[-1]['processor_seconds']:.0f} | "
            f"{found[-1]['peak_mib']:.0f} |",
            flush=True,
        )
    machine = {"system": platform.platform(), "cores": os.cpu_count()}
    options.out.write_text(json.dumps({"machine": machine, "heads": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
