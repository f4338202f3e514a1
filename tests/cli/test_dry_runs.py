"""What only plans downloads nothing: each --dry-run, whatever it would need."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from hybrid.backbones import download

VGG16 = r"the ImageNet weights of vgg16 are not on this machine, and a plan downloads nothing"
MINILM = "sentence-transformers/all-MiniLM-L6-v2 is not on this machine"
PRESET = "the preset resnet_18_imagenet of keras-hub is not on this machine, and this command"


@pytest.fixture
def offline(films: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with films and a split, no weights at all, and downloads that are an error of the test."""
    shutil.copytree(
        films.parent, tmp_path / "films", ignore=shutil.ignore_patterns("runs", ".hybrid*")
    )
    folder = tmp_path / "films"
    ids = [line.split(",")[0] for line in (folder / "catalogue.csv").read_text().splitlines()[1:]]
    parts = [
        "test" if k % 5 == 0 else "validation" if k % 5 == 1 else "train" for k in range(len(ids))
    ]
    rows = [f"{name},{part},{name}" for name, part in zip(ids, parts, strict=True)]
    (folder / "splits.csv").write_text("\n".join(["id,split,group", *rows]) + "\n")
    for name in ("KERAS_HOME", "KAGGLEHUB_CACHE", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))

    def never(*words: Any, **how: Any) -> Any:
        raise AssertionError(f"it downloads {words}")

    def look(repository: str, *, local_files_only: bool = False, **how: Any) -> str:
        assert local_files_only, f"it downloads {repository}"
        raise OSError("not there")

    monkeypatch.setattr(download, "download_weights", never)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", look)
    return folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["extract", "--backbone", "vgg16", "--backbone", "mobilenet"],
            [
                f"{VGG16}. Without --dry-run they are downloaded (about 59 MB)",
                "weights of mobilenet ",
            ],
        ),
        (["extract", "--text-encoder", "all-MiniLM-L6-v2"], [MINILM, "downloads it (about 91 MB)"]),
        (["extract", "--text-encoder", "owner/name"], ["owner/name is not on this machine"]),
        (
            ["race", "--backbone", "vgg16", "--text-encoder", "all-MiniLM-L6-v2"],
            [VGG16, MINILM],
        ),
        (["tune", "--backbone", "vgg16"], [VGG16]),
        (["tune", "--text-encoder", "all-MiniLM-L6-v2"], [MINILM]),
    ],
    ids=lambda words: " ".join(words[:3]) if isinstance(words, list) else "",
)
def test_a_dry_run_says_what_is_not_there(
    offline: Path, hybrid_here: Callable[..., Any], words: list[str], said: list[str]
) -> None:
    found = hybrid_here(*words, "--dry-run", cwd=offline)
    assert found.returncode == 1
    for each in said:
        assert each in found.stderr
    assert not (offline / ".hybrid-cache").exists()


def test_a_dry_run_of_a_preset(
    offline: Path, hybrid_here: Callable[..., Any], monkeypatch: Any
) -> None:
    hub = pytest.importorskip("keras_hub")
    assert hub
    from hybrid.backbones import hub_network

    def never(*words: Any) -> Path:
        raise AssertionError(f"it downloads {words}")

    monkeypatch.setattr(hub_network, "download_preset", never)
    words = ("extract", "--backbone", "keras-hub:resnet_18_imagenet", "--dry-run")
    found = hybrid_here(*words, cwd=offline)
    assert found.returncode == 1
    assert PRESET in found.stderr


def test_a_plan_of_a_network_needs_no_weights(
    offline: Path, hybrid_here: Callable[..., Any]
) -> None:
    found = hybrid_here("fit-deep", "--backbone", "mobilenet-075", "--dry-run", cwd=offline)
    assert found.returncode == 0, found.stderr
