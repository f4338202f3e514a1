"""What dozens of items share ties nobody, of whatever kind; what was left untied is told, and is no leak."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hybrid.audit.audit import audit_catalogue
from hybrid.audit.item_hashes import hash_items
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.duplicates.groups import near_embedding_duplicates
from hybrid.extraction.lookup import hash_catalogue
from hybrid.splitting.methods import SplitOptions, make_splits
from hybrid.types import PARTS

N = 100
CROWD = 20

pytestmark = pytest.mark.filterwarnings("ignore:the largest group")


def poster(seed: int) -> Image.Image:
    patches = np.random.default_rng(seed).integers(0, 256, (6, 4, 3)).astype(np.uint8)
    return Image.fromarray(patches).resize((60, 90), Image.Resampling.BICUBIC)


def story(seed: int) -> str:
    return " ".join(f"word{w}" for w in np.random.default_rng(seed).integers(0, 5000, 25))


def write(folder: Path, kind: str, crowd: int = CROWD) -> Catalogue:
    """Items of which the first ones share something of one kind, and nothing else."""
    (folder / "posters").mkdir()
    rows: list[dict[str, Any]] = []
    for i in range(N):
        shares = i < crowd
        name = f"posters/{i}.png"
        image = poster(9999 if shares and "image" in kind else i)
        if shares and kind == "near image":  # the same picture in other bytes
            image = image.resize((60 + i, 90 + i))
        image.save(folder / name)
        rows.append(
            {
                "id": f"f{i:02}",
                "genres": ("Comedy", "Drama")[i % 2],
                "poster": name,
                "overview": story(9999 if shares and "overview" in kind else i),
                "title": "The series" if shares and kind == "title" else f"Film {i}",
                "year": 1999,
                "collection": "Standalone" if shares and kind == "collection" else "N/A",
            }
        )
        if shares and kind == "near overview":
            rows[-1]["overview"] += f" Part{i}."
    with (folder / "catalogue.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return load_catalogue(folder / "catalogue.csv")


KINDS = {
    "image": "same image bytes",
    "near image": "near-duplicate poster",
    "overview": "same overview",
    "near overview": "near-same overview",
    "title": "same title and year",
}


@pytest.mark.parametrize("kind", [*KINDS, "collection"])
def test_what_many_share_ties_nobody_and_is_told(kind: str, tmp_path: Path) -> None:
    catalogue = write(tmp_path, kind)
    (split,) = make_splits(catalogue)
    assert len(set(split.groups.tolist())) == N
    assert {split.parts[i] for i in range(CROWD)} == set(PARTS)
    told = [found for found in split.findings if found.kind == "shared by many"]
    audit = audit_catalogue(catalogue, split)
    assert audit.clean
    (warning,) = audit.warnings
    name = KINDS.get(kind, "same collection")
    assert warning.kind == f"{name}, but of too many items to be duplicates (of {CROWD})"
    assert warning.count == CROWD
    assert set(warning.items) == {f"f{i:02}" for i in range(CROWD) if split.parts[i] == "test"}
    if kind != "collection":  # which groups nothing anyway
        assert [(found.count, found.examples[0]) for found in told] == [(CROWD, "f00")]
        assert told[0].message.startswith(f"{name}: {CROWD} items share one (f00, f01, ")


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_a_dozen_share_are_duplicates(kind: str, tmp_path: Path) -> None:
    catalogue = write(tmp_path, kind, crowd=12)
    (split,) = make_splits(catalogue)
    assert len(set(split.groups.tolist())) == N - 11
    assert len({split.parts[i] for i in range(12)}) == 1
    assert not [found for found in split.findings if found.kind == "shared by many"]


def test_images_that_many_share_are_told_without_near_duplicates(tmp_path: Path) -> None:
    (split,) = make_splits(write(tmp_path, "image"), SplitOptions(near_duplicates=False))
    assert len(set(split.groups.tolist())) == N
    assert [found.kind for found in split.findings] == ["shared by many"]


def test_a_group_column_ties_as_asked_and_is_told(tmp_path: Path) -> None:
    catalogue = write(tmp_path, "collection")
    (split,) = make_splits(catalogue, SplitOptions(group_columns=("collection",)))
    assert len({split.parts[i] for i in range(CROWD)}) == 1
    (found,) = [found for found in split.findings if found.kind == "large groups"]
    assert (found.count, found.column) == (CROWD, "collection")
    assert "20 items share one (f00, f01, " in found.message


def test_embeddings_that_many_have_are_near_to_nobody() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(60, 32)).astype(np.float32)
    rows[:CROWD] = rows[0] + 0.01 * random.normal(size=(CROWD, 32))
    members = {bytes([i]): [f"f{i}"] for i in range(60)}
    found = near_embedding_duplicates(members, rows)
    assert found.groups == ()
    assert found.untied == (tuple(f"f{i}" for i in range(CROWD)),)


def test_a_placeholder_tells_nothing_of_what_a_run_has_learnt_from(tmp_path: Path) -> None:
    catalogue = write(tmp_path, "image")
    hashes = hash_items(catalogue, hash_catalogue(catalogue))
    assert (hashes.posters[:CROWD] == 0).all()
    assert (hashes.posters[CROWD:] > 0).all()
    assert (hashes.texts > 0).all()
