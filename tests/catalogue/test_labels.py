"""Label cells: words for nothing, suspicions, renamed, rare and unknown labels."""

from __future__ import annotations

import csv
import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.catalogue.label_map import read_label_map
from hybrid.cli.main import main
from hybrid.errors import SettingError
from hybrid.types import ColumnOptions, Finding
from tests.conftest import SHARED

NOTHING = (
    "N/A", "n/a", "NaN", "nan", "None", "NULL", "null", r"\N", "[]", "{}", "-", "--", "–", "?", "unknown",
    "Unknown", "(no genres listed)", "(none)", "[None]", "[null]", "''", "<NA>", "NA", "not available",
)  # fmt: skip


def write(cells: list[str], path: Path = Path("c.csv")) -> Path:
    rows = "".join(f'{i},"{cell}"\n' for i, cell in enumerate(cells))
    path.write_text("id,genres\n" + rows, encoding="utf-8")
    return path


def load(cells: list[str], **options: object) -> Catalogue:
    return load_catalogue(write(cells), ColumnOptions(**options))  # type: ignore[arg-type]


def call(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return left.value.code


def kinds(catalogue: Catalogue) -> dict[str, Finding]:
    return {finding.kind: finding for finding in catalogue.findings}


@pytest.mark.parametrize("word", NOTHING)
def test_a_word_for_nothing_is_no_label(word: str) -> None:
    catalogue = load(["Drama|War", word, word, f"War|{word}", "Drama"])
    assert catalogue.genres == ("Drama", "War")
    assert catalogue.labelled.tolist() == [True, False, False, True, True]
    found = kinds(catalogue)["words for nothing"]
    assert (found.count, found.column) == (3, "genres")
    assert "--label-map" in found.message
    assert found.examples == (word,)
    assert [bad.row for bad in catalogue.bad_rows] == [2, 3]
    assert "is no label; the row can be predicted" in catalogue.bad_rows[0].reason


def test_what_only_looks_like_nothing_is_a_label() -> None:
    labels = ["C++", "C#", "Nonfiction", "R&B", "0", "🎃", "Noir", "N", "Unknown Pleasures"]
    catalogue = load([*labels, *labels])
    assert set(catalogue.genres) == set(labels)
    assert not catalogue.findings


def test_a_label_that_is_called_none_is_kept_by_the_map() -> None:
    Path("map.csv").write_text("from,to\nNone,None\n")
    catalogue = load(["None", "None", "Drama", "Drama", "nan"], label_map=Path("map.csv"))
    assert catalogue.genres == ("Drama", "None")
    assert kinds(catalogue)["words for nothing"].count == 1


def test_a_catalogue_without_oddities_has_no_findings_and_no_rules() -> None:
    catalogue = load(["Drama|Science Fiction", "Sci-Fi/Fantasy", "Drama", "Sci-Fi/Fantasy"] * 2)
    assert catalogue.findings == ()
    assert catalogue.columns.rules is None
    assert catalogue.table["genres"][0] == "Drama|Science Fiction"
    assert type(catalogue.labels) is np.ndarray
    assert catalogue.labels.dtype == np.uint8


@pytest.mark.parametrize("separator", [";", ",", "/", " - ", "\t", "、", "；", "·", " & "])
def test_a_separator_that_nobody_named_is_told_with_its_option(separator: str) -> None:
    pairs = ["Drama{0}War", "War{0}Comedy", "Comedy", "Drama", "Drama{0} Comedy", "War"] * 3
    found = kinds(load([cell.format(separator) for cell in pairs]))["label separator"]
    assert found.count == 9
    typed = {"\t": r"\t"}.get(separator, separator)
    option = found.message[found.message.index("--label-separator") :]
    assert option == f"--label-separator '{typed}'"
    again = load([cell.format(separator) for cell in pairs], label_separator=typed)
    assert again.genres == ("Comedy", "Drama", "War")
    assert not again.findings


def test_the_usual_separator_is_told_where_another_was_named() -> None:
    found = kinds(load(["Drama|War", "War|Comedy", "Comedy|Drama"], label_separator=";"))
    assert "'|'" in found["label separator"].message


def test_single_labels_that_hold_a_separator_are_not_suspected() -> None:
    cells = [
        "Action & Adventure",
        "Sci-Fi/Fantasy",
        "Drama",
        "News, Talk",
        "Rock and Roll",
        "A - B",
    ]
    assert not load(cells * 3).findings


def test_twins_are_told_and_joined_by_the_line_that_is_told() -> None:
    cells = ["Comedy"] * 3 + [
        "comedy",
        "Sci-Fi",
        "Sci Fi",
        "Sci-Fi",
        "Com, edy",
        "com, edy",
        "Com, edy",
    ]
    found = kinds(load(cells))["label twins"]
    assert found.count == 3
    assert "'Comedy' (3) and 'comedy' (1)" in found.message
    line = found.message.split("lines such as ")[1]
    Path("map.csv").write_text(f'from,to\n{line}\nSci Fi,Sci-Fi\n"com, edy","Com, edy"\n')
    joined = load(cells, label_map=Path("map.csv"))
    assert joined.genres == ("Com, edy", "Comedy", "Sci-Fi")
    assert kinds(joined)["label map"].count == 3


def test_unicode_twins_are_told_and_one_line_joins_both() -> None:
    composed, apart = (unicodedata.normalize(form, "Comédie") for form in ("NFC", "NFD"))
    cells = [composed, composed, apart, apart, "Drama", "Drama"]
    assert r"Come\u0301die" in kinds(load(cells))["label twins"].message
    Path("map.csv").write_text(f"from,to\n{composed},{composed}\n", encoding="utf-8")
    assert load(cells, label_map=Path("map.csv")).genres == (composed, "Drama")


def test_twins_between_separators_that_nobody_named_are_told_too() -> None:
    found = kinds(load(["Drama;War", "drama;Comedy", "War", "Comedy", "drama ; War"]))
    assert "'drama' (2) and 'Drama' (1)" in found["label twins"].message


def test_labels_on_one_item_are_told_and_left_out_on_demand() -> None:
    cells = ["Drama|a", "Drama|b", "Drama|War", "War", "c"]
    found = kinds(load(cells))["rare labels"]
    assert (found.count, found.examples) == (3, ("a", "b", "c"))
    assert "--min-label-count 2" in found.message
    catalogue = load(cells, min_label_count=2)
    assert catalogue.genres == ("Drama", "War")
    assert catalogue.labelled.tolist() == [True, True, True, True, False]
    assert kinds(catalogue)["dropped labels"].examples == ("a", "b", "c")
    rules = catalogue.columns.rules
    assert rules is not None
    assert rules.dropped == ("a", "b", "c")


def test_rules_of_a_record_are_applied_to_other_files() -> None:
    Path("map.csv").write_text("from,to\nwar,War\nTalk,\nDramedy,Drama|Comedy\n")
    cells = ["Drama|war", "Dramedy|a", "Talk|Drama", "War|Drama"]
    first = load(cells, label_map=Path("map.csv"), min_label_count=2)
    assert first.genres == ("Drama", "War")
    assert first.columns.rules is not None
    assert first.columns.rules.dropped == ("Comedy", "a")
    again = load_catalogue(
        write(["a|war|Comedy", "Talk", "a|a"], Path("d.csv")), like=first.columns
    )
    assert again.genres == ("War",)
    assert again.labelled.tolist() == [True, False, False]
    assert again.columns.rules == first.columns.rules


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\n1,2\n", "expected a CSV file with the columns from,to in its first line"),
        ("", "found no line"),
        ("from,to\na,b\na,c\n", "line 3 maps 'a' to 'c', an earlier one to 'b'"),
        ("from,to\na\n,c\n", "line 2 has 1 of 2 fields; line 3 names no label in its column from"),
    ],
)
def test_a_label_map_that_cannot_be_read_is_an_error(text: str, reason: str) -> None:
    Path("map.csv").write_text(text)
    with pytest.raises(SettingError, match=r"--label-map map\.csv") as error:
        read_label_map("map.csv")
    assert reason in str(error.value)


def test_labels_of_the_map_that_no_cell_has_are_told() -> None:
    Path("map.csv").write_text("from,to\nDarma,Drama\n")
    found = kinds(load(["Drama", "War"] * 2, label_map=Path("map.csv")))["label map"]
    assert "'Darma'" in found.message
    assert "Did you mean Drama" in found.message


def test_labels_that_were_not_looked_at_are_neither_yes_nor_no() -> None:
    catalogue = load(["Drama|?War", "War", "?Drama", "Drama|?*", "?*", "? War |War", "?"])
    assert catalogue.genres == ("Drama", "War")
    labels = catalogue.labels
    assert isinstance(labels, np.ma.MaskedArray)
    nan = np.nan
    expected = [[1, nan], [0, 1], [nan, 0], [1, nan], [nan, nan], [0, nan], [0, 0]]
    np.testing.assert_array_equal(labels.astype(float).filled(nan), expected)
    assert catalogue.labelled.tolist() == [True, True, True, True, False, True, False]
    assert kinds(catalogue)["unknown labels"].count == 5
    assert kinds(catalogue)["contradictory labels"].count == 1  # "? War |War": the mark counts


def test_a_label_that_is_given_and_marked_as_not_looked_at_is_told() -> None:
    Path("map.csv").write_text("from,to\nwar,War\n")
    cells = ["War|?War", "war|?War|Drama", "Drama|?*", "Drama", "War"]
    catalogue = load(cells, label_map=Path("map.csv"))
    told = kinds(catalogue)["contradictory labels"]
    assert (told.count, told.examples) == (2, ("War",))
    assert "'War' (2); the mark counts" in told.message
    expected = [[0, np.nan], [1, np.nan], [1, np.nan], [1, 0], [0, 1]]
    labels = np.ma.asarray(catalogue.labels).astype(float)
    np.testing.assert_array_equal(labels.filled(np.nan), expected)


def test_a_column_of_labels_that_were_not_looked_at() -> None:
    text = "id,genres,open\n1,Drama,War\n2,War,\n3,Drama|War,*\n4,,Drama\n"
    Path("c.csv").write_text(text)
    catalogue = load_catalogue("c.csv", ColumnOptions(unknown="open"))
    assert "open" not in catalogue.columns.metadata
    expected = [[1, np.nan], [0, 1], [1, 1], [np.nan, 0]]
    labels = catalogue.labels
    assert isinstance(labels, np.ma.MaskedArray)
    np.testing.assert_array_equal(labels.astype(float).filled(np.nan), expected)
    with pytest.raises(SettingError, match=r"--unknown-column: unknown column 'opne'.*open"):
        load_catalogue("c.csv", ColumnOptions(unknown="opne"))


@pytest.mark.parametrize(
    "values",
    [("1", "0"), ("yes", "no"), ("True", "False"), ("Y", ""), ("1.0", "0.0"), ("true", "N/A")],
)
def test_truth_values_say_whether_an_item_was_looked_at(values: tuple[str, str]) -> None:
    yes, no = values
    Path("c.csv").write_text(f"id,genres,open\n1,Drama,{yes}\n2,War,{no}\n3,Drama|War,{no}\n")
    catalogue = load_catalogue("c.csv", ColumnOptions(unknown="open"))
    expected = [[1, np.nan], [0, 1], [1, 1]]
    labels = np.ma.asarray(catalogue.labels).astype(float)
    np.testing.assert_array_equal(labels.filled(np.nan), expected)
    told = kinds(catalogue)
    assert told["truth values"].column == "open"
    assert "as * does" in told["truth values"].message
    assert {"marks of no label", "words for nothing"}.isdisjoint(told)


def test_a_label_that_is_called_like_a_truth_value_is_a_label() -> None:
    Path("c.csv").write_text("id,genres,open\n1,1,0\n2,0,1\n3,0|1,\n")
    catalogue = load_catalogue("c.csv", ColumnOptions(unknown="open"))
    assert "truth values" not in kinds(catalogue)
    assert np.ma.getmaskarray(catalogue.labels).tolist() == [
        [True, False],
        [False, True],
        [False] * 2,
    ]


def test_marks_in_the_column_are_labels_and_words_for_nothing_are_none() -> None:
    Path("c.csv").write_text("id,genres,open\n1,Drama,?War\n2,War,unknown\n3,Drama|War,Wor\n")
    catalogue = load_catalogue("c.csv", ColumnOptions(unknown="open"))
    assert np.ma.getmaskarray(catalogue.labels).tolist() == [
        [False, True],
        [False] * 2,
        [False] * 2,
    ]
    told = kinds(catalogue)
    assert "words for nothing" not in told
    assert told["marks of no label"].message.endswith("'Wor' (1). Did you mean War?")


def test_labels_that_no_item_is_known_not_to_have_are_told() -> None:
    told = kinds(load(["Drama|?*", "War|?*", "War|?Drama"]))["labels known only as yes"]
    assert set(told.examples) == {"Drama", "War"}
    assert "labels known only as yes" not in kinds(load(["Drama|?*", "War|?*", "War", "Drama"]))


def test_check_and_split_tell_it(capsys: pytest.CaptureFixture[str]) -> None:
    write([*["Drama; Comedy", "drama", "Comedy;Drama", "N/A", "Comedy"] * 8, "x"])
    wanted = {"words for nothing", "label separator", "label twins"}
    for command in ("check", "split"):
        assert call(command, "--catalogue", "c.csv", "--json", "--quiet") == 0
        said = capsys.readouterr()
        data = json.loads(said.out)
        assert wanted <= {finding["kind"] for finding in data["findings"]}
    assert "note: column 'genres': 16 of" in said.err


def test_the_options_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    write(["Drama|comedy", "Comedy|a", "Drama", "Comedy"])
    Path("map.csv").write_text("from,to\ncomedy,Comedy\n")
    options = ["--label-map", "map.csv", "--min-label-count", "2", "--json", "--quiet"]
    assert call("check", "--catalogue", "c.csv", *options) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == ["Comedy", "Drama"]
    assert call("check", "--catalogue", "c.csv", "--min-label-count", "0") == 2


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("06-no-genre-words", {"words for nothing"}),
        ("11-label-separators", {"label separator", "label twins"}),
    ],
)
def test_the_reported_cases(case: str, expected: set[str]) -> None:
    path = SHARED / "cases" / "catalogues" / case / "catalogue.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    assert expected <= set(kinds(load_catalogue(path)))


@pytest.mark.parametrize(
    "cut", ["['Drama', 'Wester", "['Drama|War', 'Wes", "[{'id': 18, 'name': 'Dra", "['Drama', 'War"]
)
def test_a_list_that_was_cut_off_is_no_label(cut: str) -> None:
    cells = ["['Drama']", cut, "['Drama', 'War']", "['War']"]
    catalogue = load(cells)
    assert catalogue.genres == ("Drama", "War")
    assert catalogue.labelled.tolist() == [True, False, True, True]
    told = kinds(catalogue)["broken lists"]
    assert (told.count, told.examples) == (1, (cut,))
    assert "(row 2)" in told.message
    assert "--label-map" in told.message
    assert "--drop" not in told.message
    [bad] = catalogue.bad_rows
    assert (bad.row, cut in bad.reason) == (2, True)
    with Path("map.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("from", "to"), (cut, "Drama|War")])
    mapped = load(cells, label_map=Path("map.csv"))
    assert mapped.bad_rows == ()
    assert mapped.labels[1].tolist() == [1, 1]
    assert kinds(mapped)["label map"].count == 1


def write_quoted(cells: list[str]) -> Path:
    path = Path("c.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "genres"), *enumerate(cells)])
    return path


@pytest.mark.parametrize("separator", [",", "|"])
def test_a_separator_in_quotes_is_part_of_a_label(separator: str) -> None:
    cells = [f'"War{separator} Epic"{separator} Drama', "Drama", '"Weird Al" Story', '"Drama"']
    catalogue = load_catalogue(write_quoted(cells), ColumnOptions(label_separator=separator))
    assert catalogue.genres == ('"Weird Al" Story', "Drama", f"War{separator} Epic")
    assert catalogue.labels.sum(axis=0).tolist() == [1, 3, 1]
    assert kinds(catalogue)["quoted labels"].count == 2


def test_lists_that_were_written_twice_are_lists() -> None:
    cells = [json.dumps(json.dumps(["Drama", "War"])), json.dumps(json.dumps(["Drama"]))]
    assert load_catalogue(write_quoted(cells)).genres == ("Drama", "War")
    cells[1] = cells[1][:-4]
    catalogue = load_catalogue(write_quoted(cells))
    assert (catalogue.genres, kinds(catalogue)["broken lists"].count) == (("Drama", "War"), 1)


def test_where_two_separators_are_in_use_the_advice_does_not_go_round_in_a_circle() -> None:
    cells = ["Drama|War", "Drama, War", "Drama", "War", "Horror|War", "Horror"]
    told = kinds(load(cells))["label separator"].message
    line = told[told.index(", write ") + 8 : told.index(" and the like")]
    assert line == '"Drama, War",Drama|War'
    Path("map.csv").write_text(f"from,to\n{line}\n", "utf-8")
    assert load(cells, label_map=Path("map.csv")).genres == ("Drama", "Horror", "War")


def test_arabic_commas_between_labels_are_told() -> None:
    told = kinds(load(["درام، حرب", "درام", "حرب", "رعب، درام", "رعب"]))["label separator"]
    assert "--label-separator '،'" in told.message


def test_arabic_spellings_of_one_label_are_told() -> None:
    told = kinds(load(["درام", "درا\u0640م", "کمدی", "كمدي", "درام"]))["label twins"]
    assert told.count == 2


def test_a_long_cell_that_is_no_label_is_cut_in_its_message() -> None:
    cells = [json.dumps(["Drama"] * 1000)[:-1], json.dumps(["Drama"])]
    [bad] = load_catalogue(write_quoted(cells)).bad_rows
    assert len(bad.reason) < 300
