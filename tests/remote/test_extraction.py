"""Embeddings of posters at a URL: those of the files here, and what comes of a server that goes away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid import Context, load_catalogue
from hybrid.cache import EmbeddingCache
from hybrid.extraction.decoding import Decoders, DecodingThreads, Place
from hybrid.extraction.decoding_processes import DecodingProcesses
from hybrid.extraction.extract import extract_embeddings
from hybrid.images import files
from hybrid.images.decode import Geometry
from hybrid.remote.errors import NoAnswerError, RemoteError
from hybrid.types import EmbeddingOptions
from tests.remote.conftest import Bucket


@pytest.mark.parametrize("make", [DecodingThreads, DecodingProcesses])
def test_posters_are_decoded_and_a_server_that_refuses_is_an_error(
    make: Callable[[int], Decoders], sample: Path, remote_sample: str, s3: Bucket
) -> None:
    decoders = make(2)
    buffer, geometry = decoders.buffer((4, 32, 32, 3)), Geometry((32, 32))
    names = [
        sample / "posters/f0001.jpg",
        f"{remote_sample}/posters/f0001.jpg",
        "s3://no-such-bucket/1.jpg",
    ]
    here, there, away = (
        decoders.submit(str(name), [Place(geometry, buffer, row)]) for row, name in enumerate(names)
    )
    assert here.result() == there.result()
    np.testing.assert_array_equal(buffer.pixels[0], buffer.pixels[1])
    with pytest.raises(RemoteError, match="expected an existing bucket"):
        away.result()
    decoders.close()


@pytest.mark.usefixtures("shallow_mobilenet")
@pytest.mark.filterwarnings("ignore:random weights")
def test_an_extraction_that_a_server_leaves_goes_on_where_it_was(
    sample: Path, remote_sample: str, s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = EmbeddingOptions(precision="float32", input_size=(64, 48))

    def extract(folder: str, cache: str) -> Any:
        context = Context(cache=str(tmp_path / cache), workers=2)
        catalogue = load_catalogue(f"{folder}/catalogue.csv")
        return extract_embeddings(
            catalogue, "mobilenet-075", weights="random", options=options, context=context
        )

    def stored(cache: str) -> dict[bytes, bytes]:
        (store,) = EmbeddingCache(tmp_path / cache).stores()
        keys = sorted(key.tobytes() for key in store.view.index.keys)
        return {key: row.tobytes() for key, row in zip(keys, store.read(keys), strict=True)}

    extract(str(sample), "here")
    asked, original = list[str](), files.read_whole

    def leaving(url: str, *rest: Any) -> bytes:
        asked.append(url)
        if len(asked) > 59 + 50:  # hashed all, and decoded most
            raise NoAnswerError("the server is away")
        return original(url, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(files, "read_whole", leaving)
        with pytest.raises(NoAnswerError, match="the server is away"):
            extract(remote_sample, "there")
    before = stored("there")
    assert 0 < len(before) < len(stored("here"))
    asked.clear()
    monkeypatch.setattr(files, "read_whole", lambda url, *a: asked.append(url) or original(url, *a))
    extract(remote_sample, "there")
    assert stored("there") == stored("here")
    assert before.items() <= stored("there").items()
