"""Mutated files of each kind: they are read, or refused with an error of the library. More: `make fuzz`."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"fuzz_{name}", Path(__file__).with_name(f"{name}.py")
    )
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


targets, mutations = module("targets"), module("mutations")
# A second or two each: inputs of some kinds take a tenth of a millisecond, of others five.
EXAMPLES = {
    "image": 150,
    "catalogue": 60,
    "run-record": 300,
    "model": 60,
    "predictions": 200,
    "split": 200,
    "weights": 120,
    "cache": 40,
    "shards": 200,
    "tar": 200,
    "run-folder": 6,
}


@functools.cache
def target(name: str) -> Any:
    return targets.TARGETS[name]()


@pytest.mark.parametrize("name", targets.TARGETS)
def test_sound_files_are_read_and_inputs_that_once_failed_are_not_fatal(name: str) -> None:
    targets.REFUSED.clear()
    for data in target(name).seeds:
        target(name).feed(data)
    assert targets.REFUSED == []  # a target that refuses its own seeds would find nothing
    for data in [*target(name).corpus(name), b"", b"\0"]:
        target(name).feed(data)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_mutated_files(name: str) -> None:
    strategy = mutations.mutated(target(name).seeds, target(name).tokens)

    # The same inputs each time: what the gate finds is the work of this commit.
    @settings(
        max_examples=EXAMPLES[name],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=strategy)
    def feed(data: bytes) -> None:
        target(name).feed(data)

    feed()
