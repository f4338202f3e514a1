"""Posters and texts by one call: each as by a call of its own, and nothing before all is checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid.cache import EmbeddingCache
from hybrid.catalogue import load_catalogue
from hybrid.errors import WeightsError
from hybrid.extraction.encoders import Encoders, extract_encoders
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.extract_texts import extract_texts
from hybrid.types import EmbeddingOptions, ExtractSummary, TextEmbeddingOptions, TextExtractSummary
from hybrid.utils.context import Context
from tests.backbones.onnx_files import cnn

COLOURS = ("--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5")
OPTIONS = EmbeddingOptions(mean=(0.5,) * 3, std=(0.5,) * 3, precision="float32")
TEXT_OPTIONS = TextEmbeddingOptions(precision="float32")


def test_both_are_as_each_alone(films: Path, text_encoder: Path, tmp_path: Path) -> None:
    catalogue, onnx = load_catalogue(films), str(cnn(tmp_path / "cnn.onnx"))
    encoders = Encoders(
        [onnx], options=OPTIONS, text_encoder=str(text_encoder), text_options=TEXT_OPTIONS
    )
    both = Context(str(tmp_path / "both"))
    posters, texts = extract_encoders(catalogue, encoders, context=both)
    assert isinstance(posters, ExtractSummary)
    assert isinstance(texts, TextExtractSummary)
    assert (posters.computed, texts.computed) == (posters.images, texts.texts)
    again = extract_encoders(catalogue, encoders, context=both)
    assert [found.computed for found in again] == [0, 0]

    alone = Context(str(tmp_path / "alone"))
    fingerprints = {
        extract_embeddings(catalogue, onnx, options=OPTIONS, context=alone).fingerprint,
        extract_texts(
            catalogue, str(text_encoder), options=TEXT_OPTIONS, context=alone
        ).fingerprint,
    }
    assert fingerprints == {posters.fingerprint, texts.fingerprint}


def test_a_wrong_text_encoder_is_told_before_the_posters_are_embedded(
    films: Path, tmp_path: Path
) -> None:
    onnx, cache = str(cnn(tmp_path / "cnn.onnx")), tmp_path / "cache"
    encoders = Encoders([onnx], options=OPTIONS, text_encoder=str(tmp_path / "none"))
    with pytest.raises(WeightsError, match="none"):
        extract_encoders(load_catalogue(films), encoders, context=Context(str(cache)))
    assert not cache.exists()


def test_the_command(
    films: Path, text_encoder: Path, tmp_path: Path, hybrid_here: Callable[..., Any]
) -> None:
    onnx, cache = cnn(tmp_path / "cnn.onnx"), tmp_path / "cache"
    words = (
        "extract",
        "--catalogue",
        films,
        "--backbone",
        onnx,
        *COLOURS,
        "--text-encoder",
        text_encoder,
    )
    words = (*words, "--precision", "float32", "--cache", cache, "--quiet", "--json")
    plans = json.loads(hybrid_here(*words, "--dry-run").stdout)
    assert not cache.exists()
    done = json.loads(hybrid_here(*words).stdout)
    assert [plans[0]["to_compute"], plans[1]["to_compute"]] == [one["computed"] for one in done]
    assert (done[0]["backbone"], done[1]["text_encoder"]) == ("cnn.onnx", "tiny")
    assert {store.fingerprint for store in EmbeddingCache(str(cache)).stores()} == {
        one["fingerprint"] for one in done
    }
