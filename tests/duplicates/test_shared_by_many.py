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
from hybrid.cli.main import _run
from hybrid.duplicates.find import find_duplicates
from hybrid.duplicates.groups import near_embedding_duplicates
from hybrid.duplicates.members import Members
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
    members = Members.of([f"f{i}"] for i in range(60))
    found = near_embedding_duplicates(members, rows)
    assert found.groups == ()
    assert found.untied == (tuple(f"f{i}" for i in range(CROWD)),)


def test_a_placeholder_tells_nothing_of_what_a_run_has_learnt_from(tmp_path: Path) -> None:
    catalogue = write(tmp_path, "image")
    hashes = hash_items(catalogue, hash_catalogue(catalogue))
    assert (hashes.posters[:CROWD] == 0).all()
    assert (hashes.posters[CROWD:] > 0).all()
    assert (hashes.texts > 0).all()


@pytest.mark.parametrize("kind", ["picture", "text"])
def test_nor_does_one_that_was_saved_in_several_ways(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = write_lots(tmp_path, FOUR_LOTS, kind)
    keys = hash_catalogue(catalogue)
    hashes = hash_items(catalogue, keys, find_duplicates(catalogue, keys).kinds)
    said = hashes.posters if kind == "picture" else hashes.texts
    if kind == "picture":
        assert (said > 0).tolist() == [False] * CROWD + [True] * (N - CROWD)
    monkeypatch.chdir(tmp_path)
    assert _run(["split", "--quiet", "--text", "overview"]) == 0
    fit = ["fit-svm", "--blocks", "text", "--text", "overview", "--folds", "2", "--name", "svm"]
    assert _run([*fit, "--quiet"]) == 0
    capsys.readouterr()
    assert _run(["audit", "--run", "svm", "--quiet"]) == 0, capsys.readouterr().out


def write_lots(folder: Path, lots: dict[str, int], kind: str) -> Catalogue:
    """Items of which the first ones have versions of one picture or text, each in a lot of its own."""
    catalogue = write(folder, "nothing", crowd=0)
    table, at = catalogue.table.copy(), 0
    for k, size in enumerate(lots.values()):
        image = Image.new("RGB", (60, 90), (90, 90, 90)) if kind == "one colour" else poster(9999)
        image.resize((60 + k, 90 + k)).save(folder / f"lot{k}.png")
        for i in range(at, at + size):
            if kind == "text":
                table.loc[i, "overview"] = f"{story(9999)} {'Again. ' * k}"
            else:
                table.loc[i, "poster"] = f"lot{k}.png"
        at += size
    table.to_csv(folder / "catalogue.csv", index=False)
    return load_catalogue(folder / "catalogue.csv")


FOUR_LOTS = {"a": 5, "b": 5, "c": 5, "d": 5}


@pytest.mark.parametrize("kind", ["picture", "one colour", "text"])
@pytest.mark.parametrize("lots", [FOUR_LOTS, {"a": 15, "b": 5}, {"a": 2, "b": 11}])
def test_a_placeholder_in_several_versions_ties_nobody(
    kind: str, lots: dict[str, int], tmp_path: Path
) -> None:
    catalogue = write_lots(tmp_path, lots, kind)
    crowd = sum(lots.values())
    (split,) = make_splits(catalogue)
    assert len(set(split.groups.tolist())) == N
    name = "near-same overview" if kind == "text" else "near-duplicate poster"
    (told,) = [f for f in split.findings if f.message.startswith(name)]
    assert (told.kind, told.count) == ("shared by many", crowd)
    audit = audit_catalogue(catalogue, split)
    assert audit.clean
    assert f"{name}, but of too many items to be duplicates (of {crowd})" in [
        warning.kind for warning in audit.warnings
    ]


@pytest.mark.parametrize(("kind", "groups"), [("picture", 1), ("one colour", 3), ("text", 1)])
def test_versions_that_a_dozen_share_are_duplicates(kind: str, groups: int, tmp_path: Path) -> None:
    """Posters of one colour are duplicates only where their bytes are the same."""
    catalogue = write_lots(tmp_path, {"a": 4, "b": 4, "c": 4}, kind)
    (split,) = make_splits(catalogue)
    assert len(set(split.groups[:12].tolist())) == groups
    assert len(set(split.groups.tolist())) == N - 12 + groups


@pytest.mark.parametrize("column", ["title", "overview"])
def test_of_a_placeholder_only_what_is_called_the_same_is_tied(column: str, tmp_path: Path) -> None:
    catalogue = write_lots(tmp_path, FOUR_LOTS, "picture")
    table = catalogue.table.copy()
    said = "The same film"  # too short to be the same text
    table.loc[[1, 3, 6], column] = [
        said,
        said.upper(),
        said,
    ]  # two of the first lot, one of the next
    table.loc[10:22, column] = "No name"  # of which 10 have the placeholder
    table["year"] = [str(1900 + i) for i in range(N)]
    table.to_csv(tmp_path / "catalogue.csv", index=False)
    (split,) = make_splits(load_catalogue(tmp_path / "catalogue.csv"))
    assert split.groups[1] == split.groups[3]
    sizes = np.unique(split.groups, return_counts=True)[1]
    assert sorted(sizes.tolist())[-3:] == [2, 5, 5]  # and "No name" in each lot, of 10 items in all


def test_an_image_that_is_near_to_nothing_ties_the_items_of_a_placeholder(tmp_path: Path) -> None:
    """Items with several posters: one is a placeholder, the other their own."""
    catalogue = write_lots(tmp_path, FOUR_LOTS, "picture")
    table = catalogue.table.rename(columns={"poster": "posters"})
    table.loc[[0, 1], "posters"] += "|posters/99.png"
    table.loc[99, "posters"] = "posters/98.png"
    table.loc[98, "posters"] = ""
    table.to_csv(tmp_path / "catalogue.csv", index=False)
    (split,) = make_splits(load_catalogue(tmp_path / "catalogue.csv"))
    assert split.groups[0] == split.groups[1]
    assert len(set(split.groups.tolist())) == N - 1
