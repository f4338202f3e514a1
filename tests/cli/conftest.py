"""A project in which the main job was done, and commands that run in the process of the tests."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hybrid import load_catalogue
from hybrid.backbones import get_backbone, resolve_weights
from hybrid.cli.main import main
from hybrid.extraction.lookup import hash_catalogue, make_store
from hybrid.utils.context import Context


def run(*arguments: str) -> int:
    """The exit code of a command in this process."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damage, and of random weights
            main([*arguments])
    except SystemExit as done:
        return int(done.code or 0)
    raise AssertionError("expected that main exits")


@pytest.fixture(scope="session")
def call() -> Callable[..., int]:
    """Run a command in this process: arguments → exit code."""
    return run


@pytest.fixture(scope="session")
def fitted_project(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with embeddings, made by hand, and two runs; not to be changed.

    The cache remembers no hashes yet.
    """
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(films.parent, folder, dirs_exist_ok=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        catalogue, spec = load_catalogue("catalogue.csv"), get_backbone("mobilenet-075")
        store = make_store(".hybrid-cache", spec, resolve_weights(spec, "random"))
        keys = hash_catalogue(catalogue, Context(workers=1))
        known = [key for key in keys if isinstance(key, bytes)]
        random = np.random.default_rng(0)
        for some in (known[::2], known[1::2]):
            store.append(some, random.normal(size=(len(some), 768)).astype(np.float32))
        assert run("split", "--quiet") == 0
        quick = ["--C", "0.1", "--folds", "2", "--quiet"]
        assert run("fit-svm", *quick) == 0
        assert run("fit-svm", *quick, "--blocks", "text", "--name", "text") == 0
    finally:
        os.chdir(before)
    shutil.rmtree(folder / ".hybrid-cache" / "memo", ignore_errors=True)
    return folder
