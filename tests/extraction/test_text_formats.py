"""A run finds the encoder of its texts again, whatever its format."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hybrid import extract_texts, load_catalogue, write_sample
from hybrid.cache import EmbeddingCache
from hybrid.utils.context import Context
from tests.text_encoders.test_onnx_text import say, write


def test_the_store_names_the_file(
    text_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sample("films", n_items=60)
    place = tmp_path / "exported"
    place.mkdir()
    shutil.copy(text_encoder / "tokenizer.json", place)
    say(place, pooling="mean", max_length=12, licence="MIT")
    path = write(place)
    films, context = load_catalogue("films/catalogue.csv"), Context(cache="cache")
    first = extract_texts(films, str(path), context=context)
    assert first.computed == first.texts > 0
    (store,) = EmbeddingCache("cache").stores()
    assert (store.recorded["path"], store.recorded["licence"]) == (str(path), "MIT")
    assert extract_texts(films, str(path), context=context).computed == 0
