"""`hybrid check` prints the role of each column and why, and what could not be found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Call = Callable[..., int]
DRESSED = ("{:,}", "$ {}", "{} min")


def write_numbers(path: Path, dressed: bool) -> None:
    """A catalogue whose genre is told by votes and length, plain or in dress."""
    random = np.random.default_rng(0)
    lines = ["id,genres,votes,budget,length"]
    for i in range(160):
        drama = i % 2
        numbers = [
            1000 + 200_000 * drama + int(random.integers(150_000)),
            int(random.integers(10**6)),
        ]
        numbers.append(90 + 30 * drama + int(random.integers(40)))
        cells = [
            form.format(n) if dressed else str(n) for form, n in zip(DRESSED, numbers, strict=True)
        ]
        lines.append(
            ",".join([f"f{i:03d}", "Drama" if drama else "Horror", *(f'"{c}"' for c in cells)])
        )
    path.write_text("\n".join(lines) + "\n")


def test_check_prints_the_role_of_each_column_and_what_was_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["imdbId,Link,Title,Score,Genre,Cover"]
    lines += [
        f"{i},http://x.org/{i},A film,{i % 10}.5,Drama,https://x.org/{i}.jpg" for i in range(1, 31)
    ]
    Path("catalogue.csv").write_text("\n".join(lines) + "\n")
    assert call("check", "--quiet") == 1
    assert "--id-column imdbId" in capsys.readouterr().err
    named = ["--id-column", "imdbid", "--label-column", "Genre", "--quiet"]
    assert call("check", *named) == 0
    out = capsys.readouterr().out
    found = [" ".join(line.split()) for line in out.splitlines()]
    assert "imdbId id --id-column (30 cells filled)" in found
    assert "Title text by its name (30 cells filled)" in found
    assert "Score numeric 100% numbers (30 cells filled)" in found
    assert any(line.startswith("Cover URL addresses, of images") for line in found)
    assert any(line.startswith("not found: poster column") for line in found)
    assert "hybrid fetch-posters --url-column Cover" in out
    assert call("check", *named, "--poster-column", "Cover", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert [role["role"] for role in data["columns"]] == [
        "id",
        "URL",
        "text",
        "numeric",
        "labels",
        "poster",
    ]
    assert "poster column" not in data["not_found"]
    assert {one["kind"] for one in data["findings"]} == {"poster URLs"}
    assert data["bad_rows"] == []  # the finding tells it, with the count
    assert [one["count"] for one in data["findings"]] == [30]


def test_many_rows_with_one_reason_are_told_in_few_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{i},Film {i},{'War' if i % 2 else ''}" for i in range(90)]
    lines[3], lines[80] = "3,Love, actually,War", "80,So, so,War"
    Path("catalogue.csv").write_text("\n".join(["id,title,genres", *lines]) + "\n")
    assert call("check", "--quiet") == 0
    out = capsys.readouterr().out.splitlines()
    assert sum("no genres; the row can be predicted" in line for line in out) == 20
    assert out.count("… and 24 more with this reason; --json lists all") == 1
    assert sum("has 4 fields, the header 3" in line for line in out) == 2
    assert any(line.startswith("row 4, id 3: line 5 has 4 fields") for line in out)
    assert out[-1].endswith("; 46 bad rows, 2 of them left out")
    assert call("check", "--json", "--quiet") == 0
    data = json.loads(capsys.readouterr().out)
    assert len(data["bad_rows"]) == 46
    assert [bad["id"] for bad in data["left_out"]] == ["3", "80"]


@pytest.mark.parametrize("cell", ["", "N/A"])
def test_an_empty_label_column_is_told_once(
    cell: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Call,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("catalogue.csv").write_text("id,genres\n" + "".join(f"{i},{cell}\n" for i in range(3000)))
    assert call("check", "--strict", "--json", "--quiet") == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["items"], data["labelled"], data["bad_rows"]) == (3000, 0, [])
    (told,) = [one for one in data["findings"] if one["kind"] == "no labels"]
    assert (told["count"], told["column"]) == (3000, "genres")
    assert told["message"].startswith("column 'genres': none of 3,000 items has a label")


@pytest.mark.parametrize(
    ("posters", "kinds", "listed"),
    [
        ([""], {"no posters": 40}, 0),
        (["", "N/A"], {"no posters": 40}, 0),
        (["https://x.org/{}.jpg", ""], {"poster URLs": 20, "no posters": 20}, 0),
        (["{}.jpg", ""], {}, 40),
        (["https://x.org/{}.jpg", "{}.jpg"], {"poster URLs": 20}, 40),
    ],
)
def test_a_poster_column_without_a_file_is_told_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Call,
    capsys: pytest.CaptureFixture[str],
    posters: list[str],
    kinds: dict[str, int],
    listed: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{i},Film {i},War,{posters[i % len(posters)].format(i)}" for i in range(40)]
    Path("catalogue.csv").write_text("\n".join(["id,title,genres,poster", *lines]) + "\n")
    assert call("check", "--json", "--quiet", "--strict") == int(listed > 0)
    data = json.loads(capsys.readouterr().out)
    assert len(data["bad_rows"]) == listed
    assert {one["kind"]: one["count"] for one in data["findings"]} == kinds


def test_blocks_without_a_column_are_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["id,genres,Poster,year"]
    lines += [
        f"{i},{'Drama' if i % 2 else 'War'},https://x.org/{i}.jpg,19{i}" for i in range(30, 90)
    ]
    Path("catalogue.csv").write_text("\n".join(lines) + "\n")
    assert call("split", "--quiet") == 0
    capsys.readouterr()
    assert call("fit-svm", "--blocks", "text", "--quiet") == 2
    assert "Name one with --text" in capsys.readouterr().err
    for words in (
        ["fit-svm", "--blocks", "poster"],
        ["extract", "--backbone", "mobilenet-075", "--weights", "random"],
    ):
        assert call(*words, "--quiet") == 1
        err = capsys.readouterr().err
        assert (
            "found none: 60 of 60 cells, such as 'https://x.org/30.jpg': the poster is a URL" in err
        )
    assert (
        call("fit-svm", "--C", "1", "--folds", "2", "--quiet") == 0
    )  # metadata alone, and told so
    assert "60 posters are URLs" in capsys.readouterr().err
    assert json.loads(Path("runs/svm/run.json").read_text())["blocks"] == ["metadata"]


def test_numbers_in_dress_are_learnt_from_as_plain_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, dressed in (("plain", False), ("dressed", True)):
        write_numbers(Path(f"{name}.csv"), dressed)
    assert call("split", "--catalogue", "plain.csv", "--quiet") == 0
    quick = ["--C", "1", "--folds", "2", "--quiet"]
    for name in ("plain", "dressed"):
        assert call("fit-svm", "--catalogue", f"{name}.csv", "--name", name, *quick) == 0
    plain, dressed = (Path(f"runs/{n}/predictions.csv").read_bytes() for n in ("plain", "dressed"))
    assert plain == dressed
    # One row alone: the units are those of the run.
    Path("new.csv").write_text('id,votes,budget,length\nx,"many",$ 5,2 h\n')
    Path("same.csv").write_text('id,votes,budget,length\nx,"",5,120\n')
    capsys.readouterr()
    for name in ("new", "same"):
        words = ["dressed", "--catalogue", f"{name}.csv", "--out", f"{name}-out.csv", "--json"]
        assert call("predict", *words, "--quiet") == 0
        said = capsys.readouterr()
        kinds = [one["kind"] for one in json.loads(said.out)["findings"]]
        assert kinds == (["cells not understood"] if name == "new" else [])
        assert ("'many'" in said.err) == (name == "new")
    assert Path("new-out.csv").read_bytes() == Path("same-out.csv").read_bytes()


def test_very_many_columns_and_findings_are_cut_with_their_counts(
    tmp_path: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    header = ",".join(["id", *(f"c{j}" for j in range(300))])
    rows = "".join(",".join([str(i), *['"1,234"'] * 300]) + "\n" for i in range(3))
    (tmp_path / "c.csv").write_text(f"{header}\n{rows}", "utf-8")
    assert call("check", "--catalogue", str(tmp_path / "c.csv")) == 0
    out = capsys.readouterr().out
    assert "… and 101 more columns (101 numeric); --json lists all" in out
    assert "note: … and 280 more of this kind (decimal mark); --json lists all" in out
    assert out.count("can be read in two ways") == 20
