"""Near-same texts by their embeddings: which pairs, none of them twice, and what the audit says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hybrid.catalogue import load_catalogue
from hybrid.cli.main import _run
from hybrid.duplicates.kinds import NEAR_TEXT_EMBEDDING
from hybrid.duplicates.members import Members
from hybrid.duplicates.text_embeddings import near_text_duplicates
from hybrid.splitting.split_file import write_split
from hybrid.types import DuplicateGroups, Split

# Words that no two texts share.
WORDS = [f"{a}{b}{c}{d}" for a in "bdfgklm" for b in "aeiou" for c in "nprst" for d in "ao"]


def single(n: int) -> Members:
    return Members.of([f"f{i}"] for i in range(n))


def pairs_of(found: DuplicateGroups) -> set[frozenset[str]]:
    return {frozenset(pair) for group in found.groups for pair in combinations(group, 2)}


@pytest.mark.parametrize(("cosine", "found"), [(0.86, True), (0.84, False)])
def test_a_pair_is_near_from_a_cosine_of_85_hundredths(cosine: float, found: bool) -> None:
    # Two directions about each half axis: means of 0 and equal deviations, so cosines stay as they are.
    half = np.arccos(cosine) / 2
    angles = np.array([axis + side for axis in np.arange(4) * np.pi / 2 for side in (-half, half)])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    near = near_text_duplicates(single(8), rows)
    expected = (("f0", "f1"), ("f2", "f3"), ("f4", "f5"), ("f6", "f7"))
    assert near.groups == (expected if found else ())
    assert near.severity == "warning"


def test_all_pairs_are_those_of_a_plain_product() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=(300, 24)).astype(np.float32)
    for i in range(0, 60, 3):
        rows[i + 1] = rows[i] + random.normal(scale=0.1 + i / 100, size=24)
    z = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    alike = z @ z.T
    expected = {
        frozenset((f"f{i}", f"f{j}")) for i, j in combinations(range(300), 2) if alike[i, j] >= 0.85
    }
    assert 5 < len(expected) < 20  # some of the twenty, and no chains
    assert pairs_of(near_text_duplicates(single(300), rows)) == expected


def test_rounding_of_a_constant_dimension_makes_nobody_near() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(50, 8)).astype(np.float32)
    plain = near_text_duplicates(single(50), rows.copy())
    noise = np.full((50, 1), 0.5, np.float32)
    noise[[3, 9]] += np.float32(1e-6)
    found = near_text_duplicates(single(50), np.concatenate([rows, noise], axis=1))
    assert found == plain
    assert frozenset(("f3", "f9")) not in pairs_of(found)


def cluster(n: int) -> np.ndarray:
    """The first n rows near to each other, the others far from all."""
    rows = np.random.default_rng(2).normal(size=(n + 40, 12)).astype(np.float32)
    rows[:n] = rows[0] + np.random.default_rng(3).normal(scale=0.01, size=(n, 12))
    return rows


def test_pairs_that_other_kinds_have_are_not_reported_again() -> None:
    words = DuplicateGroups("near-same overview", (("f0", "f1"),))
    other = DuplicateGroups("same review", (("f1", "f2"),))
    found = near_text_duplicates(single(44), cluster(4), [words, other])
    expected = {frozenset(p) for p in combinations(("f0", "f1", "f2", "f3"), 2)}
    expected -= {frozenset(("f0", "f1")), frozenset(("f1", "f2"))}
    assert pairs_of(found) == expected
    assert all(len(group) == 2 for group in found.groups)
    every = DuplicateGroups("near-same overview", (("f0", "f1", "f2", "f3"),))
    assert near_text_duplicates(single(44), cluster(4), [every]).groups == ()
    untied = DuplicateGroups("same overview", (), untied=(("f0", "f1", "f2", "f3"),))
    assert near_text_duplicates(single(44), cluster(4), [untied]).groups == ()


def test_what_many_share_ties_nobody() -> None:
    found = near_text_duplicates(single(53), cluster(13))
    assert found.groups == ()
    assert [len(group) for group in found.untied] == [13]
    assert len(near_text_duplicates(single(52), cluster(12)).groups) == 1


def test_items_of_one_text_are_near_and_no_texts_are_nothing() -> None:
    members = Members.of([["f1", "f2"], ["f3"], ["f4"]])
    rows = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    assert near_text_duplicates(members, rows).groups == (("f1", "f2"),)
    assert near_text_duplicates(Members.of([]), np.empty((0, 3), np.float32)).groups == ()


@pytest.fixture
def project(tmp_path: Path, keep_texts: Callable[..., None]) -> Path:
    """Forty films: 0 and 1 near by embedding alone, 2 and 3 by words, too; 4 and 5 short."""
    texts = [" ".join(WORDS[(9 * i + j) % 350] for j in range(9)) for i in range(38)]
    texts += ["", ""]
    texts[3] = texts[2] + " again"
    texts[4], texts[5] = "short one", "short two"
    table = pd.DataFrame(
        {
            "id": [f"f{i}" for i in range(40)],
            "genres": ["Horror" if i % 2 else "Comedy" for i in range(40)],
            "overview": texts,
        }
    )
    table.to_csv(tmp_path / "catalogue.csv", index=False)
    parts = ["train", "test"] * 20
    ids = np.array(table["id"].tolist())
    write_split(Split(ids, np.array(parts), ids, ""), tmp_path / "splits.csv")
    rows = np.random.default_rng(0).normal(size=(40, 16))
    for i in (0, 2, 4):
        rows[i + 1] = rows[i] + 0.01
    keep_texts(tmp_path / "cache", load_catalogue(tmp_path / "catalogue.csv"), rows)
    return tmp_path


def audit(project: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    places = {"--catalogue": "catalogue.csv", "--splits": "splits.csv", "--cache": "cache"}
    options = [str(each) for name, file in places.items() for each in (name, project / file)]
    code = _run(["audit", *options, *more])
    out, error = capsys.readouterr()
    assert "error" not in error, error
    return code, out


def test_the_audit_tells_of_them_as_a_warning(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = audit(project, capsys)
    assert (
        f"warning: {NEAR_TEXT_EMBEDDING}: 1, 5.0% of the test items\n  f0 (train) - f1 (test)"
        in text
    )
    code, said = audit(project, capsys, "--json")
    found = json.loads(said)
    (leak,) = [one for one in found["warnings"] if one["kind"] == NEAR_TEXT_EMBEDDING]
    assert leak["pairs"] == [["f0", "train", "f1", "test"]]
    assert NEAR_TEXT_EMBEDDING in found["checks"]
    (words,) = [one for one in found["leaks"] if one["kind"] == "near-same overview"]
    assert (words["pairs"], code) == ([["f2", "train", "f3", "test"]], 1)


def test_repair_groups_them(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(project, capsys, "--repair", "--force")[0] == 0
    split = pd.read_csv(project / "splits.csv").set_index("id")["split"]
    assert split["f0"] == split["f1"]
    assert split["f2"] == split["f3"]


def test_without_embeddings_the_audit_says_so(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = audit(project, capsys, "--cache", str(project / "empty"))
    assert f"not searched for: {NEAR_TEXT_EMBEDDING}: expected text embeddings" in text
    assert "hybrid extract --text-encoder NAME" in text


def test_embeddings_that_are_named_are_there(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _code, text = audit(project, capsys, "--text-encoder", "tiny")
    assert NEAR_TEXT_EMBEDDING in text
    places = ["--catalogue", project / "catalogue.csv", "--splits", project / "splits.csv"]
    places += ["--cache", project / "cache", "--text-encoder", "mpnet"]
    assert _run(["audit", *map(str, places)]) == 1
    assert "expected text embeddings for" in capsys.readouterr().err
