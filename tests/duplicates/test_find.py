"""Leaks of each kind, made by hand in a small catalogue: found, paired right, and mended by a repair."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hybrid.audit.audit import audit_catalogue, audit_project, repair_split
from hybrid.cache import EmbeddingCache
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.cli.main import _run
from hybrid.datasets.sample import write_sample
from hybrid.duplicates import cosine
from hybrid.duplicates.find import find_duplicates
from hybrid.duplicates.groups import group_by_column
from hybrid.errors import SettingError, SplitError
from hybrid.extraction.lookup import hash_catalogue
from hybrid.images import hashes
from hybrid.images.decode import BadPoster
from hybrid.images.files import hash_poster
from hybrid.report.audit_sheet import write_audit_sheet
from hybrid.splitting.methods import SplitOptions, make_splits, split_catalogue
from hybrid.splitting.split_file import read_split, write_split
from hybrid.splitting.splits import split_hash
from hybrid.types import Split
from hybrid.utils.context import Context

N = 60

pytestmark = pytest.mark.filterwarnings("ignore:the largest group")


def story(random: np.random.Generator) -> str:
    return " ".join(f"word{w}" for w in random.integers(0, 5000, 25))


def write_clean(folder: Path) -> list[dict[str, Any]]:
    """Films that share nothing; the rows, to be changed and written."""
    random = np.random.default_rng(7)
    (folder / "posters").mkdir(parents=True)
    rows = []
    for i in range(N):
        patches = random.integers(0, 256, (6, 4, 3)).astype(np.uint8)
        Image.fromarray(patches).resize((120, 180), Image.Resampling.BICUBIC).save(
            folder / "posters" / f"{i}.png"
        )
        rows.append(
            {
                "id": f"f{i:02}",
                "title": f"Film number {i}",
                "year": 1960 + i % 50,
                "genres": ("Comedy", "Drama", "Comedy|Drama")[i % 3],
                "overview": story(random),
                "collection": "",
                "directors": f"Director {i // 3}|Someone {i}",
                "poster": f"posters/{i}.png",
            }
        )
    return rows


def write(folder: Path, rows: list[dict[str, Any]]) -> Catalogue:
    path = folder / "catalogue.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return load_catalogue(path)


def by_number(test: set[int]) -> Split:
    ids = np.array([f"f{i:02}" for i in range(N)])
    parts = np.array(["test" if i in test else "train" for i in range(N)], dtype="U10")
    parts[[40, 41]] = "validation"
    return Split(ids, parts, ids, split_hash(ids, parts))


TESTS = by_number({1, 3, 5, 7, 9, 11, 13, 15, 17, 19})


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The clean films, not to be changed."""
    folder = tmp_path_factory.mktemp("clean")
    return folder, write_clean(folder)


@pytest.fixture
def rows(clean: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> list[dict[str, Any]]:
    """A copy of the clean films, to be spoilt."""
    folder, rows = clean
    shutil.copytree(folder / "posters", tmp_path / "posters")
    return [dict(row) for row in rows]


def test_a_clean_catalogue_has_no_leak_and_no_warning(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    audit = audit_catalogue(write(tmp_path, rows), TESTS)
    assert (audit.leaks, audit.warnings) == ((), ())
    assert audit.checks == (
        "same id",
        "same image bytes",
        "near-duplicate poster",
        "same overview",
        "near-same overview",
        "same title and year",
        "same collection",
        "label named in the text",
        "column gives a label away",
    )
    assert [reason.partition(":")[0] for reason in audit.skipped] == ["near-same embedding"]


def plant(folder: Path, rows: list[dict[str, Any]], kind: str) -> None:
    """Make f00 (train) and f01 (test) duplicates of one kind."""
    first, second = folder / "posters" / "0.png", folder / "posters" / "1.png"
    if kind == "same image bytes":
        second.write_bytes(first.read_bytes())
    elif kind == "near-duplicate poster":
        Image.open(first).resize((110, 166)).save(second.with_suffix(".jpg"), quality=60)
        rows[1]["poster"] = "posters/1.jpg"
    elif kind == "same overview":
        rows[1]["overview"] = f"«{rows[0]['overview'].upper()}!»"
    elif kind == "near-same overview":
        rows[1]["overview"] = f"Newly restored. {rows[0]['overview']}"
    elif kind == "same title and year":
        rows[1] |= {"title": "FILM number 0!", "year": rows[0]["year"]}
    elif kind == "same collection":
        rows[0]["collection"] = rows[1]["collection"] = "The Numbers"


@pytest.mark.parametrize(
    "kind",
    [
        "same image bytes",
        "near-duplicate poster",
        "same overview",
        "near-same overview",
        "same title and year",
        "same collection",
    ],
)
def test_each_kind_is_found_alone_and_mended(
    kind: str, tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    plant(tmp_path, rows, kind)
    catalogue = write(tmp_path, rows)
    audit = audit_catalogue(catalogue, TESTS)
    (found,) = (*audit.leaks, *audit.warnings)
    assert (found.kind, found.count, found.share, found.items) == (kind, 1, 0.1, ("f01",))
    assert found.pairs == (("f00", "train", "f01", "test"),)
    assert found.severity == ("warning" if kind == "same collection" else "leak")
    assert audit.clean == (kind == "same collection")
    repaired, after = repair_split(catalogue, TESTS)
    assert after.clean
    assert sorted(repaired.ids.tolist()) == sorted(TESTS.ids.tolist())
    if kind != "same collection":
        part = dict(zip(repaired.ids.tolist(), repaired.parts.tolist(), strict=True))
        assert part["f00"] == part["f01"]
    clean = split_catalogue(catalogue)
    assert audit_catalogue(catalogue, clean).clean


def test_near_duplicates_are_parted_when_asked(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    plant(tmp_path, rows, "near-same overview")
    catalogue = write(tmp_path, rows)
    (split,) = make_splits(catalogue, SplitOptions(near_duplicates=False))
    assert len(set(split.groups.tolist())) == N
    assert len(set(split_catalogue(catalogue).groups.tolist())) == N - 1


def test_short_and_common_overviews_tell_nothing(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    for i in range(10):
        rows[i]["overview"] = "No overview was found for it."
    for i in range(10, 23):
        rows[i]["overview"] = "We have no overview of this film yet, you can help us add one."
    audit = audit_catalogue(write(tmp_path, rows), TESTS)
    assert audit.clean
    assert [w.kind for w in audit.warnings] == [
        "same overview, but of too many items to be duplicates (of 13)"
    ]
    rows[22]["overview"] = rows[31]["overview"] + " Again."  # now 12 share it
    assert [leak.kind for leak in audit_catalogue(write(tmp_path, rows), TESTS).leaks] == [
        "same overview"
    ]


def test_what_gives_labels_away_is_a_warning(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    for i, row in enumerate(rows):
        row["code"] = "c" if "Comedy" in row["genres"] else "d"
        if i % 3 == 1 and i < 30:
            row["overview"] = f"A drama of {row['overview']}"
    audit = audit_catalogue(write(tmp_path, rows), TESTS)
    assert audit.clean
    named, predicted = audit.warnings
    assert named.kind == "label named in the text (Drama by overview, 1.00)"
    assert named.pairs[0] == ("f01", "test", "Drama by overview, 1.00", "")
    assert named.items == ("f01", "f07", "f13", "f19")
    assert predicted.kind == "column gives a label away (Comedy by code, 1.00)"
    assert predicted.count == 40


def test_embeddings_that_are_nearly_the_same_are_a_warning(
    tmp_path: Path, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = write(tmp_path, rows)
    keys = hash_catalogue(catalogue)
    store = EmbeddingCache(tmp_path / "cache").make(
        {"architecture": "made", "dimension": 32, "dtype": "float32"}
    )
    vectors = np.random.default_rng(0).normal(size=(N, 32)).astype(np.float32)
    vectors[1] = vectors[0] + 0.01
    store.append(keys, vectors)
    audit = audit_catalogue(catalogue, TESTS, keys=keys, store=store)
    assert audit.clean
    (warning,) = audit.warnings
    assert (warning.kind, warning.pairs) == (
        "near-same embedding",
        (("f00", "train", "f01", "test"),),
    )
    assert audit.skipped == ()
    monkeypatch.setattr(cosine, "FEW", 10)  # not all pairs of so many are compared
    again = audit_catalogue(catalogue, TESTS, keys=keys, store=store)
    assert again.warnings == audit.warnings
    assert again.skipped == (
        "near-same embedding: not all pairs were compared; found 1 of 1 near-duplicate of "
        f"{N} sampled ones",
    )


def test_of_several_sets_of_embeddings_one_must_be_named(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    catalogue, context = write(tmp_path, rows), Context(cache=str(tmp_path / "cache"))
    keys = hash_catalogue(catalogue)

    def not_searched() -> list[str]:
        skipped = audit_project(catalogue, TESTS, context=context).audit.skipped
        return [entry for entry in skipped if entry.startswith("near-same embedding: ")]

    assert "no embeddings were given" in not_searched()[0]
    for name in ("one", "two"):
        store = EmbeddingCache(tmp_path / "cache").make(
            {"architecture": name, "dimension": 4, "dtype": "float32"}
        )
        store.append(keys, np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32))
        if name == "one":
            assert not_searched() == []
    (said,) = not_searched()
    assert "there are 2 sets of embeddings" in said
    for part in ("one, weights", "two, weights", "--backbone"):
        assert part in said
    assert "if there is one set" not in said


def test_posters_are_decoded_once(
    tmp_path: Path, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, rows, "near-duplicate poster")
    catalogue, cache = write(tmp_path, rows), tmp_path / "cache"
    EmbeddingCache(cache).make({"architecture": "made", "dimension": 2, "dtype": "float16"})
    keys = hash_catalogue(catalogue)
    first = find_duplicates(catalogue, keys, context=Context(cache=str(cache)))

    def refuse(_: bytes) -> bytes:
        raise AssertionError("decoded again")

    monkeypatch.setattr("hybrid.images.perceptual_hash.perceptual_hash", refuse)
    assert find_duplicates(catalogue, keys, context=Context(cache=str(cache))) == first


def test_a_list_column_ties_items_that_share_an_entry(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    rows[0]["directors"] = "director 1|X"  # capitals do not matter
    rows[59]["directors"] = ""
    catalogue = write(tmp_path, rows)
    assert ("f00", "f03", "f04", "f05") in group_by_column(catalogue, "directors")
    (split,) = make_splits(catalogue, SplitOptions(group_columns=("directors",)))
    part = dict(zip(split.ids.tolist(), split.parts.tolist(), strict=True))
    for i in range(3, 57, 3):
        assert len({part[f"f{j:02}"] for j in range(i, i + 3)}) == 1
    with pytest.raises(SettingError, match=r"--group-column: .*director.*directors"):
        make_splits(catalogue, SplitOptions(group_columns=("director",)))


def test_a_group_that_no_part_can_hold_is_refused(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    for i in range(45):  # a chain: each shares a director with the next
        rows[i]["directors"] = f"D{i}|D{i + 1}"
    catalogue = write(tmp_path, rows)
    options = SplitOptions(group_columns=("directors",))
    with pytest.raises(SplitError, match=r"largest group .* has 45 of 60 items \(75%\), more than"):
        make_splits(catalogue, options)
    for i in range(20, 45):
        rows[i]["directors"] = f"E{i}"
    catalogue = write(tmp_path, rows)
    with pytest.warns(match=r"has 20 of 60 items \(33%\): parts and labels may miss"):
        make_splits(catalogue, options)


def test_a_temporal_split_takes_years_or_dates(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    for i, row in enumerate(rows):
        row["released"] = f"{1960 + i}-0{1 + i % 9}-01" if i else ""
    catalogue = write(tmp_path, rows)
    (split,) = make_splits(catalogue, SplitOptions("temporal", by="released"))
    expected = ["unused"] + ["train"] * 41 + ["validation"] * 6 + ["test"] * 12
    assert split.parts.tolist() == expected
    with pytest.raises(SettingError, match="--by title: expected numbers, or dates"):
        make_splits(catalogue, SplitOptions("temporal", by="title"))
    with pytest.raises(SettingError, match=r"(?s)--method.*iterative.*--by: .*year.*--repeats"):
        make_splits(catalogue, SplitOptions("iterativ", by="yeer", repeats=0))
    with pytest.raises(SettingError, match="--by: expected a column with the time"):
        make_splits(catalogue, SplitOptions("temporal"))


def test_a_repair_says_what_it_did(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    plant(tmp_path, rows, "near-duplicate poster")
    catalogue = write(tmp_path, rows)
    ids = np.append(TESTS.ids, "f00")
    parts = np.append(TESTS.parts, "test")
    leaking = Split(ids, parts, ids, split_hash(ids, parts))
    path = tmp_path / "splits.csv"
    result = audit_project(catalogue, leaking, repair_to=path)
    assert [leak.kind for leak in result.audit.leaks] == ["same id", "near-duplicate poster"]
    new, repaired = read_split(path), result.repaired
    assert repaired is not None
    assert repaired.audit.clean
    assert (repaired.groups, repaired.tied, repaired.added) == (1, 2, 1)
    before = dict(zip(TESTS.ids.tolist(), TESTS.parts.tolist(), strict=True))
    moved = [n for n, p in zip(new.ids.tolist(), new.parts.tolist(), strict=True) if before[n] != p]
    assert repaired.moved == len([name for name in moved if name != "f00"])
    counts = {part: int((new.parts == part).sum()) for part in ("train", "validation", "test")}
    assert counts["validation"] in (1, 2, 3)
    assert abs(counts["test"] - 11) <= 2
    assert audit_project(catalogue, new).audit.clean


def test_a_split_in_which_there_is_nothing_to_repair_stays(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    """A repair whose last step the disk refused can be run again."""
    plant(tmp_path, rows, "near-duplicate poster")
    catalogue, path = write(tmp_path, rows), tmp_path / "splits.csv"
    audit_project(catalogue, TESTS, repair_to=path)
    before, new = path.read_bytes(), read_split(path)

    def again(split: Split) -> bool:
        result = audit_project(catalogue, split, repair_to=path, context=Context(seed=7))
        assert result.repaired is not None
        assert result.repaired.audit.clean
        return result.repaired.rewritten

    assert not again(new)
    assert path.read_bytes() == before
    assert again(Split(new.ids, new.parts, new.ids, new.sha256))  # it does not know its duplicates
    assert again(Split(new.ids[1:], new.parts[1:], new.groups[1:], new.sha256))
    twice = [np.append(each, each[:1]) for each in (new.ids, new.parts, new.groups)]
    assert again(Split(*twice, new.sha256))
    assert again(Split(new.ids, np.where(new.ids == "f00", "unused", new.parts), new.groups, ""))
    divided = new.parts.copy()
    tied = np.flatnonzero(np.unique(new.groups, return_counts=True)[1][
        np.unique(new.groups, return_inverse=True)[1]] > 1)  # fmt: skip
    divided[tied[0]] = "test" if divided[tied[0]] == "train" else "train"
    assert again(Split(new.ids, divided, new.groups, ""))


def test_an_audit_with_repair_reads_each_poster_once(
    tmp_path: Path, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue, read = write(tmp_path, rows), []

    def noted(path: str) -> bytes | BadPoster:
        read.append(path)
        return hash_poster(path)

    monkeypatch.setattr(hashes, "hash_poster", noted)
    context = Context(cache=str(tmp_path / "no-cache"))
    audit_project(catalogue, TESTS, context=context)
    assert sorted(read) == sorted(catalogue.poster_paths)
    read.clear()
    audit_project(catalogue, TESTS, repair_to=tmp_path / "splits.csv", context=context)
    assert sorted(read) == sorted(catalogue.poster_paths)


def test_a_repair_keeps_groups_together(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    catalogue = write(tmp_path, rows)
    groups = TESTS.ids.copy()
    groups[10:14] = "together"
    repaired, _ = repair_split(
        catalogue, Split(TESTS.ids, TESTS.parts, groups, TESTS.sha256), context=Context(seed=4)
    )
    assert len(set(repaired.parts[10:14])) == 1


def test_the_sheet_shows_the_pairs_and_runs_nothing(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    plant(tmp_path, rows, "near-duplicate poster")
    rows[0]["title"] = "<script>alert(1)</script>"
    rows[3]["poster"] = rows[2]["poster"] = "gone.png"
    rows[3]["overview"] = rows[2]["overview"]
    catalogue = write(tmp_path, rows)
    write_audit_sheet(audit_catalogue(catalogue, TESTS), catalogue, tmp_path / "sheet.html")
    page = (tmp_path / "sheet.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == 2
    assert page.count("no poster") == 2
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page


def test_all_re_releases_of_the_sample_are_found(tmp_path: Path) -> None:
    made = write_sample(tmp_path / "sample")
    catalogue = load_catalogue(tmp_path / "sample" / "catalogue.csv")
    kinds = {k.kind: k for k in find_duplicates(catalogue, hash_catalogue(catalogue)).kinds}
    title = dict(zip(catalogue.ids.tolist(), catalogue.table["title"], strict=True))
    again = [n for n in title if title[n].endswith("(Restored)")]
    assert len(again) == made.near_duplicates == 8
    found = {name for group in kinds["near-duplicate poster"].groups for name in group}
    assert set(again) <= found
    assert len(kinds["same image bytes"].groups) == 1
    split = split_catalogue(catalogue)
    assert audit_catalogue(catalogue, split).clean


@pytest.fixture
def run(project: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in the project: exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = _run([*arguments, "--quiet"])
        return code, *capsys.readouterr()

    return call


def test_several_splits_go_to_several_files(project: Path, run: Any) -> None:
    _, out, _ = run("split", "--method", "kfold", "--folds", "3", "--json")
    names = [Path(fold["path"]).name for fold in json.loads(out)]
    assert names == [f"splits-{i}.csv" for i in range(3)]
    tests = [read_split(project / name) for name in names]
    assert sorted(n for s in tests for n in s.ids[s.parts == "test"]) == sorted(tests[0].ids)
    assert run("split", "--method", "repeated", "--repeats", "2", "--splits", "r.csv")[0] == 0
    assert read_split(project / "r-0.csv").sha256 != read_split(project / "r-1.csv").sha256


def test_the_legacy_split_is_marked_and_repaired(project: Path, run: Any) -> None:

    _, _, err = run("split", "--method", "legacy-2017")
    assert "LEAKS" in err
    code, out, _ = run("audit", "--json", "--sheet", "sheet.html")
    assert code == 1
    leak = json.loads(out)["leaks"][0]
    assert (leak["kind"], leak["severity"]) == ("same id", "leak")
    assert leak["share"] > 0.3
    assert len(leak["items"]) == leak["count"] == len(leak["pairs"])
    assert (project / "sheet.html").exists()
    _, out, _ = run("fit-svm", "--blocks", "text", "--name", "leaky")
    assert "LEAKS: same id" in out
    record = json.loads((project / "runs" / "leaky" / "run.json").read_text())
    assert record["audit"]["clean"] is False
    assert record["audit"]["cost"]["f1_weighted"]["all"] == record["metrics"]["f1_weighted"]
    assert record["saw"]["thresholds"] == ["train", "validation"]
    _, out, _ = run("report")
    assert "The split leaks" in out
    assert "with the test items that leak" in out
    code, out, _ = run("audit", "--run", "leaky", "--repair")
    assert "what the leaks are worth" in out
    assert "run learnt from test items" in out
    assert "it is clean" in out
    assert code == 0
    assert run("audit")[0] == 0
    code, out, _ = run("audit", "--run", "leaky", "--json")  # it knows another split's test items
    assert code == 1
    assert [leak["kind"] for leak in json.loads(out)["leaks"]] == ["run learnt from test items"]


def test_write_split_keeps_what_is_unused(tmp_path: Path) -> None:
    ids, parts = np.array(["a", "b"]), np.array(["train", "unused"])
    write_split(Split(ids, parts, ids, split_hash(ids, parts)), tmp_path / "s.csv")
    assert read_split(tmp_path / "s.csv").parts.tolist() == ["train", "unused"]


def test_any_of_the_posters_of_an_item_makes_it_a_duplicate(tmp_path: Path) -> None:
    """The second of one item is the third of another; two near ones of one item tie it to nobody."""
    (tmp_path / "posters").mkdir()
    for i in range(12):
        patches = np.random.default_rng(i).integers(0, 256, (6, 4, 3)).astype(np.uint8)
        image = Image.fromarray(patches).resize((60, 90), Image.Resampling.BICUBIC)
        image.save(tmp_path / "posters" / f"{i}.png")
        image.resize((64, 96)).save(tmp_path / "posters" / f"near{i}.png")
    cells = {
        "a": "posters/0.png|posters/1.png",
        "b": "posters/2.png|posters/gone.png|posters/1.png",
        "c": "posters/3.png|posters/4.png|posters/4.png",
        "d": "posters/5.png|posters/near4.png",
        "e": "posters/6.png|posters/near6.png",
        **{name: f"posters/{i}.png" for i, name in enumerate("fghi", start=7)},
    }
    lines = [f"{name},Drama,{cell}" for name, cell in cells.items()]
    path = tmp_path / "catalogue.csv"
    path.write_text("\n".join(["id,genres,posters", *lines, ""]))
    catalogue, context = load_catalogue(path), Context(cache=str(tmp_path / "cache"))
    found = find_duplicates(catalogue, hash_catalogue(catalogue, context), context=context)
    exact, near = found.kinds[:2]
    assert exact.groups == (("a", "b"),)
    assert near.groups == (("c", "d"),)
    parts = np.array(["train", "test", "train", "test", *["train"] * 5])
    audit = audit_project(catalogue, Split(catalogue.ids, parts, catalogue.ids, "")).audit
    assert [(leak.kind, leak.items) for leak in audit.leaks] == [
        (exact.kind, ("b",)),
        (near.kind, ("d",)),
    ]
