"""Several devices share each batch, and learn what one learns."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.deep.baseline import DeepBaseline
from hybrid.errors import SettingError

# Two devices where there is one processor.
TWO = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}

TRAIN = """
import sys
from dataclasses import replace
import numpy as np
from hybrid.catalogue import load_catalogue
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.options import DeepOptions
from hybrid.deep.items import Items
import keras
catalogue = load_catalogue(sys.argv[1])
items = Items(catalogue.ids.tolist(), catalogue.poster_paths, catalogue.labels)
# 37 items: two batches of 16, and one of 5, which two devices cannot share.
train, validation = items.take(np.arange(37)), items.take(np.arange(37, 60))
how = DeepOptions(epochs=2, batch_size=16, input_size=(46, 46), dropout=0.0)
found = {}
for network, options in {
    "scratch": how,
    "mobilenet-075": replace(how, input_size=(32, 32), weights="random", unfreeze="1", accumulate=2),
}.items():
    model = DeepBaseline(network, options, devices=sys.argv[2]).fit(train, validation)
    kernel = model.network_.head.layers[-1].kernel.value
    found[f"{network} devices"] = np.array(sorted(device.id for device in kernel.sharding.device_set))
    found[f"{network} head"] = np.asarray(kernel)
    found[f"{network} scores"] = model.decision_function(validation)
    for name in ("loss", "val_loss", "f1", "val_f1"):
        found[f"{network} {name}"] = np.array(model.history_[name])
assert keras.distribution.distribution() is None
np.savez(sys.argv[3], **found)
"""


@pytest.fixture
def jax() -> None:
    """What needs JAX is left out where it is not installed."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")


@pytest.mark.usefixtures("jax")
def test_two_devices_learn_what_one_learns(films: Path, tmp_path: Path) -> None:
    found = []
    for devices in ("1", "2"):
        path = tmp_path / f"{devices}.npz"
        command = [sys.executable, "-c", TRAIN, str(films), devices, str(path)]
        done = subprocess.run(
            command, env={**os.environ, **TWO}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "shard" not in done.stderr.lower()  # Keras warns of what lies on one device alone
        found.append(np.load(path))
    one, two = found
    for name in one.files:
        if name.endswith("devices"):
            assert (one[name].tolist(), two[name].tolist()) == ([0], [0, 1])
        else:
            np.testing.assert_allclose(two[name], one[name], rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.usefixtures("jax")
def test_fit_deep_on_all_devices_makes_a_run(project: Path, hybrid_command: Any) -> None:
    hybrid_command("split", cwd=project)
    training = ["fit-deep", "--backbone", "scratch", "--input-size", "46", "--epochs", "1"]
    done = hybrid_command(
        *training, "--batch-size", "16", "--devices", "all", "--quiet", cwd=project, **TWO
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((project / "runs" / "scratch" / "run.json").read_text())
    assert record["settings"]["devices"] == 2
    for arguments, message in (
        (["--batch-size", "16", "--devices", "3"], "--devices: expected at most 2, "),
        (["--batch-size", "17", "--devices", "2"], "found one of 17. Give --batch-size 18"),
    ):
        failed = hybrid_command(*training, *arguments, "--dry-run", cwd=project, **TWO)
        assert failed.returncode == 2
        assert message in failed.stderr


@pytest.mark.parametrize("said", ["0", "-1", "two", "", "1.5"])
def test_what_is_no_number_of_devices_is_refused(said: str) -> None:
    with pytest.raises(
        SettingError, match=r"--devices: expected a number from 1 up, or all, found"
    ):
        DeepBaseline("scratch", devices=said)


def test_tensorflow_is_refused_with_what_to_do() -> None:
    with pytest.raises(
        SettingError, match=r"expected Keras on JAX, .* found tensorflow\. .* KERAS_BACKEND=jax"
    ):
        DeepBaseline("scratch", devices="2")
