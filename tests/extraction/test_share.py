"""`--shard I/N`: N processes do exactly the whole, whatever the order of the rows."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import SettingError
from hybrid.extraction import extract as extract_module
from hybrid.extraction import extract_texts as texts_module
from hybrid.extraction import plan, text_plan
from hybrid.extraction.extract import extract_embeddings, plan_extraction
from hybrid.extraction.extract_texts import extract_texts, plan_text_extraction
from hybrid.extraction.lookup import load_embeddings
from hybrid.extraction.plan import ExtractSettings
from hybrid.extraction.share import MOST, Shard, parse_shard, take_share
from hybrid.extraction.text_lookup import find_text_store
from hybrid.images import hashes
from hybrid.types import EmbeddingOptions, ExtractSummary, TextEmbeddingOptions
from hybrid.utils.context import Context

pytestmark = pytest.mark.filterwarnings("ignore:random weights")
EXACT = EmbeddingOptions(precision="float32")
EXACT_TEXTS = TextEmbeddingOptions(precision="float32")
NET = "mobilenet-075"


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None) -> None:
    """What is embedded here, in whatever order, is embedded by the shallow network."""


@pytest.fixture(autouse=True)
def _short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run measures for no longer than a batch takes."""
    monkeypatch.setattr(extract_module, "TRIAL_SECONDS", 0.01)
    monkeypatch.setattr(texts_module, "TRIAL_SECONDS", 0.01)


def extract(catalogue: Catalogue, cache: Path, shard: Shard | None = None) -> ExtractSummary:
    return extract_embeddings(
        catalogue,
        NET,
        weights="random",
        options=EXACT,
        settings=ExtractSettings(shard=shard),
        context=Context(str(cache), workers=2),
    )


@settings(max_examples=25, deadline=None)
@given(st.sets(st.text(), max_size=10), st.integers(1, 40))
def test_each_item_is_in_one_shard(ids: set[str], count: int) -> None:
    for name in ids:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        expected = int(digest[:16], 16) % count + 1
        assert [i for i in range(1, count + 1) if Shard(i, count).holds(name)] == [expected]


def test_shards_are_of_one_size() -> None:
    sizes = Counter(
        i for name in map(str, range(1600)) for i in range(16) if Shard(i + 1, 16).holds(name)
    )
    assert len(sizes) == 16
    assert max(abs(size - 100) for size in sizes.values()) < 5 * 100**0.5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "3/",
        "/3",
        "0/16",
        "17/16",
        "-1/16",
        "3/0",
        "a/b",
        "1.5/3",
        "3/16/2",
        f"1/{MOST + 1}",
    ],
)
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(SettingError) as found:
        parse_shard(text)
    message = str(found.value)
    assert message.startswith("--shard: expected I/N, the I-th of N shards, such as 3/16")
    assert f"found {text!r}" in message
    assert "SLURM_ARRAY_TASK_ID" in message


def test_a_shard_that_is_none_is_told_with_all_else(films: Path, tmp_path: Path) -> None:
    settings = ExtractSettings(batch_size=0, shard=Shard(5, 0))
    with pytest.raises(SettingError, match=r"(?s)--batch-size.*--shard: expected I/N.*found '5/0'"):
        extract_embeddings(load_catalogue(films), NET, settings=settings)
    with pytest.raises(SettingError, match="--shard: expected I/N"):
        extract_texts(load_catalogue(films), "x", settings=settings)


def test_three_shards_are_the_whole(films: Path, tmp_path: Path) -> None:
    catalogue = load_catalogue(films)
    whole = extract(catalogue, tmp_path / "whole")
    parts = [extract(catalogue, tmp_path / "parts", Shard(i, 3)) for i in (1, 2, 3)]
    assert [part.shard for part in parts] == ["1/3", "2/3", "3/3"]
    assert sum(part.rows for part in parts) == whole.rows == len(catalogue)
    assert [part.rows + part.others for part in parts] == [len(catalogue)] * 3
    assert all(part.rows for part in parts)
    assert sum(part.embedded for part in parts) == whole.embedded
    assert sum(part.computed for part in parts) == whole.computed  # its posters are all different
    assert sorted(bad.row for part in parts for bad in part.bad) == [bad.row for bad in whole.bad]
    found, expected = (
        load_embeddings(catalogue, context=Context(str(tmp_path / name)))
        for name in ("parts", "whole")
    )
    np.testing.assert_array_equal(found, expected)
    again = extract(catalogue, tmp_path / "parts")
    assert (again.computed, again.shard, again.others) == (0, None, 0)


def test_rows_that_are_added_or_sorted_move_no_other(films: Path, tmp_path: Path) -> None:
    table = pd.read_csv(films, dtype=str, keep_default_na=False)
    before = load_catalogue(films)
    more = table.iloc[:9].assign(**{table.columns[0]: [f"new{i}" for i in range(9)]})
    mixed = pd.concat([more, table]).sample(frac=1, random_state=0)
    mixed.to_csv(films.parent / "mixed.csv", index=False)
    after = load_catalogue(films.parent / "mixed.csv")
    for i in range(1, 5):
        old, new = (set(take_share(each, Shard(i, 4)).ids) for each in (before, after))
        assert old == {name for name in new if not name.startswith("new")}


def test_texts(films: Path, text_encoder: Path, tmp_path: Path) -> None:
    catalogue = load_catalogue(films)

    def shard_of(cache: str, shard: Shard | None) -> Any:
        how = {"options": EXACT_TEXTS, "context": Context(str(tmp_path / cache), workers=1)}
        settings = ExtractSettings("openvino", shard=shard)
        said = plan_text_extraction(catalogue, str(text_encoder), settings=settings, **how)
        done = extract_texts(catalogue, str(text_encoder), settings=settings, **how)
        assert (said.to_compute, said.rows, said.others) == (done.computed, done.rows, done.others)
        assert said.shard == done.shard == (None if shard is None else str(shard))
        return done

    whole = shard_of("whole", None)
    parts = [shard_of("parts", Shard(i, 2)) for i in (1, 2)]
    for name in ("rows", "embedded", "missing", "computed"):
        assert sum(getattr(part, name) for part in parts) == getattr(whole, name), name
    stores = [
        find_text_store(catalogue, context=Context(str(tmp_path / name)))
        for name in ("parts", "whole")
    ]
    assert stores[0].digest() == stores[1].digest()


def test_a_dry_run_counts_its_share(films: Path, tmp_path: Path) -> None:
    catalogue, shard = load_catalogue(films), Shard(2, 3)
    (said,) = plan_extraction(
        catalogue,
        [NET],
        weights=["random"],
        options=EXACT,
        settings=ExtractSettings(shard=shard),
        context=Context(str(tmp_path / "cache"), workers=1),
    )
    done = extract(catalogue, tmp_path / "cache", shard)
    assert (said.to_compute, said.shard, said.others) == (done.computed, "2/3", done.others)
    assert said.others == len(catalogue) - done.rows


def test_a_shard_without_items_does_nothing(
    films: Path, text_encoder: Path, tmp_path: Path
) -> None:
    catalogue = load_catalogue(films)
    empty = next(
        Shard(i, 1000) for i in range(1, 1001) if not len(take_share(catalogue, Shard(i, 1000)))
    )
    done = extract(catalogue, tmp_path / "cache", empty)
    assert (done.rows, done.images, done.computed, done.bad) == (0, 0, 0, ())
    assert done.others == len(catalogue)
    settings = ExtractSettings("openvino", shard=empty)
    context = Context(str(tmp_path / "cache"), workers=1)
    texts = extract_texts(
        catalogue, str(text_encoder), options=EXACT_TEXTS, settings=settings, context=context
    )
    assert (texts.rows, texts.computed, texts.missing) == (0, 0, 0)


def test_shards_do_not_choose_the_precision_each(
    films: Path, text_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "resolve_precision", lambda *_: None)  # as where bfloat16 is fast
    monkeypatch.setattr(text_plan, "known_precision", lambda *_: None)
    with pytest.raises(
        SettingError, match=r"expected float32 or bfloat16 with --shard.*found auto"
    ):
        extract(load_catalogue(films), tmp_path / "cache", Shard(1, 2))
    with pytest.raises(SettingError, match="without --shard chooses for all"):
        extract_texts(
            load_catalogue(films),
            str(text_encoder),
            settings=ExtractSettings("openvino", shard=Shard(1, 2)),
            context=Context(str(tmp_path / "cache")),
        )
    assert not (tmp_path / "cache").exists()


def test_a_shard_does_not_wait_for_another(films: Path, tmp_path: Path) -> None:
    """Each has one lease of its own; a process without a shard holds other ones."""
    from hybrid.cache import EmbeddingCache, Leases

    catalogue, cache = load_catalogue(films), tmp_path / "cache"
    extract(catalogue, cache, Shard(1, 3))
    (store,) = EmbeddingCache(cache).stores()
    with Leases(store.folder) as others:
        for name in ("1-3", "3-3", *(f"{byte:02x}" for byte in range(256))):
            assert others.acquire(name)
        done = extract(catalogue, cache, Shard(2, 3))
    assert done.computed
    assert not list((store.folder / "claims").iterdir())


def test_processes_remember_the_keys_of_all(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that hash at the same time: the second to end keeps what the first has remembered."""
    now = hashes.time.time_ns
    monkeypatch.setattr(hashes.time, "time_ns", lambda: now() + 60 * 10**9)
    catalogue, cache = load_catalogue(films), tmp_path / "cache"
    extract(catalogue.only(catalogue.ids[:1]), cache)
    shares = [
        [path for path in take_share(catalogue, Shard(i, 2)).poster_paths if path] for i in (1, 2)
    ]
    first = hashes.hash_posters(cache, shares[0], workers=1)
    next(first)
    expected = [*hashes.hash_posters(cache, shares[1], workers=1)]
    list(first)
    read: list[str] = []
    monkeypatch.setattr(hashes, "hash_poster", lambda path: read.append(path))
    assert sum(isinstance(key, bytes) for key in expected) > 10
    for share in shares:
        list(hashes.hash_posters(cache, share, workers=1))
    assert not [path for path in read if Path(path).exists()]


def test_the_command(films: Path, tmp_path: Path, hybrid_here: Callable[..., Any]) -> None:
    command = ["extract", "--catalogue", films, "--backbone", NET, "--weights", "random"]
    command += ["--precision", "float32", "--workers", "1", "--quiet", "--cache", tmp_path / "c"]
    catalogue = load_catalogue(films)
    done = hybrid_here(*command, "--shard", "2/3")
    others = len(catalogue) - len(take_share(catalogue, Shard(2, 3)))
    assert done.returncode == 0, done.stderr
    assert f"shard 2/3: {others} items are left to the other shards" in done.stdout
    said = json.loads(hybrid_here(*command, "--shard", "2/3", "--json").stdout)
    assert (said["shard"], said["others"], said["computed"]) == ("2/3", others, 0)
    wrong = hybrid_here(*command, "--shard", "4/3")
    assert wrong.returncode
    assert "--shard: expected I/N" in wrong.stderr
