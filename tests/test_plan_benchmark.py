"""benchmarks/plan.py: its table in the docs, and a plan by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def plan(*options: str) -> str:
    call = [sys.executable, str(ROOT / "benchmarks/plan.py"), *options]
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout


def test_the_docs_have_the_table_that_it_prints() -> None:
    assert plan() in (ROOT / "docs/scale.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("memory", "mark"), [("0.5", " *"), ("1", "")])
def test_a_plan_by_hand(memory: str, mark: str) -> None:
    """2,000,000 items: 46 GB of posters, 1,000 a second, 586 MB to read the catalogue."""
    prices = ["--gb-month", "0.5", "--posters-a-gpu-second", "1000", "--gpu-hour", "9"]
    lines = plan("--items", "2000000", "--memory", memory, *prices).splitlines()
    assert "| posters | 46 GB | 23 a month |" in lines
    assert "| InceptionV3 on a GPU, 1,000 a second | 2,000 s | 5.00 |" in lines
    assert f"| memory: the catalogue | 586 MB{mark} | |" in lines
