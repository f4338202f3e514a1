"""Licences of weights: kept, shown, and refused where they do not permit commercial use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import pytest

from hybrid import extract_texts, load_catalogue, write_sample
from hybrid.backbones import download as downloads
from hybrid.backbones.licences import is_commercial
from hybrid.backbones.registry import BACKBONES
from hybrid.cache import EmbeddingCache
from hybrid.errors import SettingError, WeightsError
from hybrid.extraction.encoders import Encoders, extract_encoders
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.licences_ahead import check_licences_ahead
from hybrid.extraction.plan import ExtractSettings
from hybrid.studies.race.entries import resolve_entries
from hybrid.studies.race.options import RaceOptions
from hybrid.text_encoders.registry import TEXT_ENCODERS
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context
from hybrid.utils.read_only import planning
from tests.backbones.onnx_files import cnn


def test_all_known_weights_permit_commercial_use() -> None:
    known = {**BACKBONES, **TEXT_ENCODERS}
    assert not [name for name, each in known.items() if not is_commercial(each.licence)]


@pytest.mark.parametrize(
    "licence", ["unknown", "CC-BY-NC-4.0", "cc-by-nc-sa-4.0", "other", "", "MITX"]
)
def test_others_do_not(licence: str) -> None:
    assert not is_commercial(licence)


def test_commercial(tmp_path: Path, text_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_sample("films", n_items=60)
    films, context = load_catalogue("films/catalogue.csv"), Context(cache="cache")
    path, options = cnn(tmp_path / "cnn.onnx"), EmbeddingOptions(precision="float32")
    said = {"mean": 0.5, "std": 0.5}
    (tmp_path / "cnn.json").write_text(json.dumps(said))
    wanted = ExtractSettings(licence="commercial")
    with pytest.raises(SettingError, match=r"--licence commercial: .* found cnn.onnx \(unknown\)"):
        extract_embeddings(films, str(path), options=options, settings=wanted, context=context)
    with pytest.raises(SettingError, match=r"found tiny \(unknown\)"):
        extract_texts(films, str(text_encoder), settings=wanted, context=context)
    assert not EmbeddingCache("cache").stores()
    (tmp_path / "cnn.json").write_text(json.dumps({**said, "licence": "MIT"}))
    extract_embeddings(films, str(path), options=options, settings=wanted, context=context)
    (store,) = EmbeddingCache("cache").stores()
    assert store.recorded["licence"] == "MIT"
    assert ExtractSettings(licence="free").problems() == [
        "--licence: expected any or commercial, found 'free'."
    ]


NOT_COMMERCIAL = "CC-BY-NC-4.0"


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing has been downloaded, and whatever is fails the test; some known names permit no commerce."""
    import huggingface_hub

    def download(*args: Any, **how: Any) -> None:
        if not how.get("local_files_only"):
            pytest.fail(f"downloads {args}")
        raise OSError("not here")

    def page(repository: str, **how: Any) -> Any:
        licences = {"one/free": "mit", "one/paid": "cc-by-nc-4.0", "one/silent": None}
        if repository not in licences:
            raise OSError("no network")
        return SimpleNamespace(card_data=SimpleNamespace(license=licences[repository]))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr(downloads, "download_weights", download)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub, "model_info", page)
    paid = replace(BACKBONES["resnet50"], licence=NOT_COMMERCIAL)
    monkeypatch.setitem(BACKBONES, "resnet50", paid)
    known = replace(TEXT_ENCODERS["e5-base-v2"], licence=NOT_COMMERCIAL)
    monkeypatch.setitem(TEXT_ENCODERS, "e5-base-v2", known)
    write_sample("films", n_items=60)
    cnn(Path("cnn.onnx"))
    Path("cnn.json").write_text(json.dumps({"mean": 0.5, "std": 0.5}))


@pytest.mark.parametrize(
    ("encoders", "refused"),
    [
        ({"backbones": ["resnet50"]}, f"resnet50 ({NOT_COMMERCIAL})"),
        ({"backbones": ["mobilenet-075", "cnn.onnx"]}, "cnn.onnx (unknown)"),
        ({"backbones": ["mobilenet-075"], "text_encoder": "one/paid"}, "one/paid (cc-by-nc-4.0)"),
        ({"backbones": ["resnet50"], "text_encoder": "e5-small-v2"}, "resnet50 ("),
        ({"text_encoder": "e5-base-v2"}, f"e5-base-v2 ({NOT_COMMERCIAL})"),
        ({"text_encoder": "intfloat/e5-base-v2"}, f"intfloat/e5-base-v2 ({NOT_COMMERCIAL})"),
        ({"text_encoder": "one/silent"}, "one/silent (unknown)"),
    ],
)
def test_what_is_known_is_refused_before_a_download(
    encoders: dict[str, Any], refused: str, nowhere: None
) -> None:
    films, wanted = load_catalogue("films/catalogue.csv"), ExtractSettings(licence="commercial")
    chosen = Encoders(**encoders)
    with pytest.raises(SettingError, match=re.escape(f"found {refused}")):
        extract_encoders(films, chosen, settings=wanted, context=Context(cache="cache"))
    names = [*chosen.backbones, *([chosen.text_encoder] if chosen.text_encoder else [])]
    if len(names) > 1:
        with pytest.raises(SettingError, match=re.escape(f"found {refused}")):
            resolve_entries(
                chosen.backbones,
                (),
                [chosen.text_encoder] if chosen.text_encoder else [],
                options=RaceOptions(licence="commercial"),
            )


def test_what_is_permitted_or_not_known_ahead_goes_on(nowhere: None) -> None:
    check_licences_ahead("any", [("resnet50", "imagenet")], ["one/paid"])
    several = [("vgg16", "imagenet"), ("resnet50", "random"), ("no-such", "imagenet")]
    check_licences_ahead("commercial", several, ["bge-small-en-v1.5", "one/free", "one/away", "x"])
    with planning(), pytest.raises(WeightsError, match="not on this machine"):
        extract_texts(
            load_catalogue("films/catalogue.csv"),
            "one/paid",  # whose page is not looked at for a plan
            settings=ExtractSettings(licence="commercial"),
            context=Context(cache="cache"),
        )


COMMERCIAL = ("--licence", "commercial", "--quiet")
SEEING = ("--backbone", "mobilenet-075")


def test_every_command_that_uses_weights_refuses_others(
    hybrid_here: Callable[..., Any],
    text_encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The encoder says no licence: it is unknown. ImageNet's weights would be permitted, another file not."""
    monkeypatch.chdir(tmp_path)
    write_sample("films", n_items=60)
    monkeypatch.chdir("films")
    encoder = ("--text-encoder", str(text_encoder))

    def done(*words: str) -> str:
        found = hybrid_here(*words, "--quiet")
        assert found.returncode == 0, found.stderr
        return str(found.stdout)

    def refused(*words: str) -> None:
        before = sorted(Path().rglob("*"))
        found = hybrid_here(*words, *COMMERCIAL)
        assert found.returncode == 2, found.stdout
        assert "--licence commercial: expected weights that may be used" in found.stderr
        assert "(unknown)" in found.stderr
        assert sorted(Path().rglob("*")) == before

    done("split")
    refused("extract", *encoder)
    done("extract", *encoder)
    quick = ("--blocks", "text-embedding", "--C", "0.1", "--folds", "2")
    done("fit-svm", *quick)
    refused("fit-svm", *quick)
    refused("fit-ovr", "--estimator", "ridge", "--blocks", "text-embedding")
    refused("predict", "svm", "--out", "new.csv")
    refused("study", "svm", "--nested")
    for words in (["--dry-run"], []):
        refused("tune", *encoder, *words)
    with h5py.File("net.weights.h5", "w") as file:  # refused before its arrays are looked at
        file.create_group("layers")
    refused("tune", *SEEING, "--weights", "net.weights.h5", "--dry-run")
    for words in (["--dry-run"], []):
        refused("fit-deep", "--backbone", "fused", "--blocks", "text-embedding,text", *words)
        refused("fit-deep", "--backbone", "vgg16-fc", "--weights", "net.weights.h5", *words)
