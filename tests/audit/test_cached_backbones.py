"""`hybrid audit` tells of each set of embeddings in the cache what its weights have learnt from."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybrid.audit.embedding_sets import name_embedding_sets
from hybrid.audit.item_hashes import hash_items
from hybrid.backbones import get_backbone
from hybrid.backbones.provenance import Ancestor, Provenance
from hybrid.backbones.weights import Weights
from hybrid.cache import EmbeddingStore
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.cli.main import _run
from hybrid.duplicates.kinds import NEAR_EMBEDDING
from hybrid.extraction.lookup import hash_catalogue, make_store
from hybrid.extraction.poster_keys import key_sets
from hybrid.splitting.split_file import write_split
from hybrid.types import Audit as Found
from hybrid.types import Split

N = 12
CACHE = ".hybrid-cache"
Audit = Callable[..., tuple[int, str]]
NET = "net.h5 (SHA-256 cccccccccccc…)"
UNTOLD = f"backbone trained on test items: it cannot be told what {NET} has learnt from"


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """Films 8 to 11 are test items; 10 and 11 are one group."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    random = np.random.default_rng(5)
    with Path("catalogue.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "genres", "poster"])
        for i in range(N):
            pixels = random.integers(0, 256, (40, 30, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"{i}.png")
            writer.writerow([f"f{i:02}", "Drama" if i % 2 else "Comedy", f"{i}.png"])
    catalogue = load_catalogue("catalogue.csv")
    groups = catalogue.ids.copy()
    groups[11] = "f10"
    parts = np.array(["train"] * 6 + ["validation"] * 2 + ["test"] * 4)
    write_split(Split(catalogue.ids, parts, groups, ""), Path("splits.csv"))
    return catalogue


def weights(films: Catalogue, kind: str, digit: str, rows: list[int] | None = None) -> Weights:
    """Weights that a run `scratch` trained on some of the films; of unknown origin without `rows`."""
    path = Path("net.h5").absolute()
    if kind == "imagenet":
        return Weights(kind, digit * 64, path)
    learnt = Provenance(unknown=(f"net.h5 (SHA-256 {digit * 12}…)",))
    if rows is not None:
        items = hash_items(films, hash_catalogue(films)).take(np.array(rows))
        learnt = Provenance((Ancestor(digit, "scratch", films.sha256, "s", items),))
    return Weights(kind, digit * 64, path, provenance=learnt)


def cached(films: Catalogue, used: Weights, posters: slice = slice(None)) -> EmbeddingStore:
    """Embeddings of some posters, the same whatever the weights."""
    store = make_store(CACHE, get_backbone("mobilenet-075"), used)
    keys = [key for key in hash_catalogue(films)[posters] if isinstance(key, bytes)]
    numbers = np.random.default_rng(1).normal(size=(len(keys), store.dimension))
    store.append(keys, numbers.astype(np.float32))
    return store


@pytest.fixture
def audit(capsys: pytest.CaptureFixture[str]) -> Audit:
    """Exit code and output of `hybrid audit`."""

    def call(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = _run(["audit", *words])
        return code, capsys.readouterr().out

    return call


def test_each_set_of_embeddings_is_told_apart(films: Catalogue, audit: Audit) -> None:
    stores = {
        "leak": cached(films, weights(films, "file", "a", [0, 7, 9, 10])),
        "clean": cached(films, weights(films, "file", "b", [0, 7])),
        "unknown": cached(films, weights(films, "file", "c")),
    }
    cached(films, weights(films, "file", "d", [9]), posters=slice(0, 0))  # has none of the posters
    code, out = audit("--json")
    assert code == 0  # the split itself does not leak
    found = json.loads(out)
    assert found["clean"] is True
    told = {each["verdict"]: each for each in found["backbones"]}
    assert {v: told[v]["fingerprint"] for v in told} == {
        v: s.fingerprint for v, s in stores.items()
    }
    assert told["leak"]["items"] == ["f09", "f10", "f11"]  # the last is of the group of one
    assert (told["leak"]["count"], told["leak"]["share"]) == (3, 0.75)
    assert told["leak"]["learnt_by"] == ["scratch"]
    assert (told["clean"]["items"], told["clean"]["unknown"]) == ([], [])
    assert told["unknown"]["unknown"] == [UNTOLD]
    assert found["unknown"] == []  # of the split, nothing is


def test_the_terminal_names_the_sets_that_must_not_be_used(films: Catalogue, audit: Audit) -> None:
    bad = cached(films, weights(films, "file", "a", [9]))
    cached(films, weights(films, "imagenet", "b"))
    cached(films, weights(films, "file", "c"), posters=slice(2, 9))  # some of the posters
    code, out = audit()
    assert code == 0
    first, *lines = out.splitlines()
    assert first.startswith(
        "the split is clean, but NOT with 1 of the 3 sets of embeddings in the cache, and it cannot be told "
        "of 1; searched for: "
    )
    (leak,) = [line for line in lines if line.startswith("  leak: ")]
    assert f"({bad.fingerprint[:12]})" in leak
    assert leak.endswith(
        ": scratch, which trained the weights, has learnt from 1 of the 4 test items: do not use it with "
        "this split"
    )
    (unknown,) = [line for line in lines if line.startswith("  unknown: ")]
    assert unknown.endswith(f": {UNTOLD.partition(': ')[2]}")
    assert sum(line.startswith("  clean: ") for line in lines) == 1


def test_clean_needs_no_restriction_where_all_sets_are_clean(
    films: Catalogue, audit: Audit
) -> None:
    cached(films, weights(films, "imagenet", "b"))
    assert audit()[1].startswith("the split is clean; searched for: ")


def test_a_set_that_is_named_counts(films: Catalogue, audit: Audit) -> None:
    """Who names embeddings asks whether the split is clean with these."""
    bad = cached(films, weights(films, "file", "a", [9]))
    good = cached(films, weights(films, "file", "b", [0]))
    unknown = cached(films, weights(films, "file", "c"))
    code, out = audit("--embeddings", bad.fingerprint, "--json")
    assert code == 1
    assert json.loads(out)["leaks"][0]["items"] == ["f09"]
    code, out = audit("--embeddings", good.fingerprint, "--json")
    assert code == 0
    assert "backbone trained on test items" in json.loads(out)["checks"]
    code, out = audit("--embeddings", unknown.fingerprint, "--json")
    assert code == 0
    assert json.loads(out)["unknown"] == [UNTOLD]
    code, out = audit("--embeddings", unknown.fingerprint)
    assert out.startswith("the split is clean as far as can be told, but NOT with 1 of the 3")


def test_a_repair_is_audited_with_the_set_that_is_named(films: Catalogue, audit: Audit) -> None:
    bad = cached(films, weights(films, "file", "a", [*range(N)]))
    code, out = audit("--embeddings", bad.fingerprint, "--repair", "--force")
    assert code == 1
    assert "still LEAKING" in out


def test_the_sheet_names_the_sets_that_must_not_be_used(films: Catalogue, audit: Audit) -> None:
    cached(films, weights(films, "file", "a", [9]))
    audit("--sheet", "sheet.html")
    page = Path("sheet.html").read_text()
    assert "The split is clean, but NOT with the set of embeddings in the cache" in page
    assert "has learnt from 1 of the 4 test items" in page


def test_sets_are_found_by_any_poster_of_an_item(films: Catalogue, audit: Audit) -> None:
    """Sets of embeddings that have only the second posters of the items are sets of the catalogue, too."""
    rows = [f"f{i:02},{'Drama' if i % 2 else 'Comedy'},{i}.png|{i}-back.png" for i in range(N)]
    for i in range(N):
        Image.new("RGB", (30, 40), (20 * i, 9, 9)).save(f"{i}-back.png")
    Path("two.csv").write_text("\n".join(["id,genres,posters", *rows]))
    catalogue = load_catalogue("two.csv")
    keys = hash_catalogue(catalogue)
    sets = key_sets(catalogue, keys)
    assert [len(each) for each in sets] == [2] * N
    for digit in "ab":
        store = make_store(CACHE, get_backbone("mobilenet-075"), weights(films, "file", digit))
        store.append([each[1] for each in sets], np.ones((N, store.dimension), dtype=np.float32))
    said = Found((), (), (), (f"{NEAR_EMBEDDING}: no embeddings",))
    (found,) = name_embedding_sets(said, sets, CACHE).skipped
    assert "there are 2 sets of embeddings of the catalogue" in found
    _, out = audit("--catalogue", "two.csv", "--splits", "splits.csv")
    assert "of the 2 sets of embeddings in the cache" in out
