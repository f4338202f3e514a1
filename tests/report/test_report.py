"""The report: right figures, nothing that runs, nothing silent."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score, hamming_loss

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import RunError, SettingError
from hybrid.evaluation import Outputs, compare_pairs, evaluate, reliability, select_best
from hybrid.report import as_text, make_report, report_runs
from hybrid.report.model_card import render_model_card
from hybrid.report.page import render
from hybrid.report.sections import cost
from hybrid.runs.folder import new_run, read_run
from hybrid.runs.migration import FORMAT
from hybrid.runs.predictions_file import write_predictions
from hybrid.runs.record import RunRecord
from hybrid.types import Predictions
from hybrid.utils.csv_text import escape_formula

N = 60
GENRES = ("Drama", "Horror", "<script>alert(1)</script>")


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    random = np.random.default_rng(0)
    labels = random.random((N, 3)) < [0.6, 0.3, 0.3]
    labels[~labels.any(axis=1), 0] = True
    cells = ["|".join(np.array(GENRES)[row]) for row in labels]
    ids = [f"i{k}" for k in range(N)]
    path = tmp_path / "catalogue.csv"
    pd.DataFrame({"id": ids, "title": "t", "genres": cells}).to_csv(path, index=False)
    return load_catalogue(path)


def write_run(
    catalogue: Catalogue,
    name: str,
    *,
    noise: float,
    record: dict[str, Any] | None = None,
    genres: tuple[str, ...] = GENRES,
    test: int = 40,
) -> tuple[Path, Predictions]:
    """A run whose scores are the truth and some noise; the first `test` items are test."""
    random = np.random.default_rng(7)
    truth = catalogue.label_matrix(genres)
    scores = np.clip(truth * 0.6 + 0.2 + noise * random.normal(size=truth.shape), 0, 1).round(6)
    splits = np.array(["test"] * test + ["train"] * (N - test))
    labels = (scores >= 0.5).astype(np.uint8)
    predictions = Predictions(catalogue.ids, splits, genres, labels, scores)
    folder = catalogue.path.parent / "runs" / name
    with new_run(folder) as temporary:
        RunRecord.from_json({"format": FORMAT, **(record or {})}).write(temporary)
        write_predictions(temporary / "predictions.csv", predictions)
    return folder, predictions


AUDIT = {"clean": True, "checks": ["same id"], "leaks": []}


def test_figures_are_scikit_learns(catalogue: Catalogue, tmp_path: Path) -> None:
    folder, predictions = write_run(catalogue, "one", noise=0.4)
    comparison = make_report(catalogue, [folder], tmp_path / "r.html", draws=50)
    test = predictions.splits == "test"
    truth = catalogue.label_matrix(GENRES)[test]
    labels, scores = predictions.labels[test], predictions.probabilities[test]
    found = {k: v.value for k, v in comparison.runs[0].evaluation.metrics.items()}
    for average in ("micro", "macro", "weighted", "samples"):
        expected = f1_score(truth, labels, average=average, zero_division=0)
        assert found[f"f1_{average}"] == pytest.approx(expected)
    assert found["map_macro"] == pytest.approx(average_precision_score(truth, scores))
    assert found["hamming_loss"] == pytest.approx(hamming_loss(truth, labels))
    table = pd.read_csv(tmp_path / "r.csv")
    assert table["f1_micro"][0] == pytest.approx(found["f1_micro"])
    assert (table["f1_micro_low"] <= table["f1_micro"]).all()
    assert f"{found['f1_micro']:.3f}" in (tmp_path / "r.html").read_text()


class Elements(html.parser.HTMLParser):
    """Collects the names of elements and attributes, and what would be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.loads += [
            str(value)
            for name, value in attrs
            if name in ("src", "href")
            and not str(value).startswith(("#", "data:image/jpeg;base64,"))
        ]


def test_whatever_a_catalogue_or_run_says_is_inert(catalogue: Catalogue, tmp_path: Path) -> None:
    bad = '"><img src=x onerror=alert(1)></style><script>alert(2)</script>'
    record = {
        "command": bad,
        "model": bad,
        "blocks": [bad],
        "settings": {bad: bad},
        "stages": [{"name": bad, "seconds": 1.0, "peak_mib": 5.0}],
        "audit": {
            "checks": [bad],
            "leaks": [{"kind": bad, "count": 1, "share": 1.0, "pairs": [[bad] * 4]}],
        },
    }
    folder, _ = write_run(catalogue, "a'b\"<b>c", noise=0.1, record=record)
    make_report(catalogue, [folder], tmp_path / "r.html", draws=10)
    page = (tmp_path / "r.html").read_text()
    elements = Elements()
    elements.feed(page)
    assert not elements.names & {"img", "b", "iframe", "object", "link", "base", "form"}
    assert not {name for name in elements.attributes if name.startswith("on")}
    assert elements.loads == []
    assert "style" not in elements.attributes  # the policy would refuse it
    assert (page.count("</style>"), page.count("<script>"), page.count("</script>")) == (1, 1, 1)
    assert "default-src 'none'" in page
    assert "unsafe" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_best_is_named_with_its_lead(catalogue: Catalogue, tmp_path: Path) -> None:
    good, _ = write_run(catalogue, "good", noise=0.0, record={"audit": AUDIT})
    poor, _ = write_run(catalogue, "poor", noise=1.0, record={"audit": AUDIT})
    comparison = make_report(catalogue, [poor, good], tmp_path / "r.html", draws=200)
    assert [run.name for run in comparison.runs] == ["good", "poor"]
    text = as_text(comparison)
    assert re.match(
        r"good is the better of 2 models: weighted F1 1\.000 .*, 0\.\d+ above poor \(0\.\d+ to 0\.\d+\)\.\n"
        r"Its lead is certain: it is significantly better than poor; its chance of being the best is .*\n"
        r"Its cost is unknown: .*\n"
        r"The split is clean: the one check found no leak\.\n\n"
        r"On 40 test items with 3 genres",
        text,
    )
    assert comparison.runs[1].difference is not None
    assert comparison.runs[1].difference.high < 0


def test_equal_runs_cannot_be_told_apart(catalogue: Catalogue, tmp_path: Path) -> None:
    folders = [write_run(catalogue, name, noise=0.4)[0] for name in ("a", "b")]
    comparison = make_report(catalogue, folders, tmp_path / "r.html", draws=50)
    assert as_text(comparison).startswith("a and b both have weighted F1")


def test_a_leak_is_said_on_the_first_screen(catalogue: Catalogue, tmp_path: Path) -> None:
    leak = {"kind": "same id", "count": 3, "share": 0.075, "pairs": [["a", "train", "b", "test"]]}
    record = {"audit": {"clean": False, "checks": ["same id"], "leaks": [leak]}}
    folder, _ = write_run(catalogue, "one", noise=0.1, record=record)
    comparison = make_report(catalogue, [folder], tmp_path / "r.html", draws=10)
    assert "\nThe split leaks: same id (3 cases, 7.5\u00a0% of the test items).\n" in as_text(
        comparison
    )
    page = (tmp_path / "r.html").read_text()
    assert page.index("The split leaks") < page.index("<table")
    assert "a (train) – b (test)" in page


def test_a_run_made_elsewhere_needs_next_to_nothing(catalogue: Catalogue, tmp_path: Path) -> None:
    folder, _ = write_run(catalogue, "elsewhere", noise=0.1)
    comparison = make_report(catalogue, [folder], tmp_path / "r.html", draws=10)
    assert "not known whether the split is clean: elsewhere was not audited" in as_text(comparison)
    assert comparison.runs[0].total_seconds is None


def test_what_a_reader_must_know_is_on_the_page(catalogue: Catalogue, tmp_path: Path) -> None:
    record = {
        "sample": True,
        "backbone": {"name": "vgg16", "weights": {"kind": "random"}},
        "catalogue": {"sha256": "other"},
    }
    folder, _ = write_run(catalogue, "one", noise=0.1, record=record, genres=("Drama", "Horror"))
    comparison = make_report(catalogue, [folder], tmp_path / "r.html", draws=10)
    said = " ".join(comparison.notes)
    for words in (
        "Synthetic",
        "random weights",
        "another version of the catalogue",
        "was not fitted on",
    ):
        assert words in said
        assert words in (tmp_path / "r.html").read_text()
    unknown = comparison.runs[0].evaluation.genres[comparison.groups[0].genres.index(GENRES[2])]
    assert unknown.f1.value == 0


def test_random_weights_of_any_poster_block_are_told(catalogue: Catalogue, tmp_path: Path) -> None:
    further = {"poster:vgg16": {"name": "vgg16", "weights": {"kind": "random"}}}
    record = {"backbone": {"weights": {"kind": "imagenet"}}, "further_backbones": further}
    folder, _ = write_run(catalogue, "two", noise=0.1, record=record)
    comparison = make_report(catalogue, [folder], tmp_path / "r.html", draws=10)
    assert comparison.notes == (
        "two uses a backbone with random weights: its embeddings are not meaningful.",
    )


def test_genres_that_only_test_items_have_are_told_once(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    record = {"untrained": ["Horror"]}
    runs = [write_run(catalogue, name, noise=0.1, record=record)[0] for name in ("a", "b")]
    report = make_report(catalogue, runs, tmp_path / "r.html", draws=10)
    said = "1 of 3 genres of the test items has no train item, and cannot be predicted: Horror."
    assert report.groups[0].notes == (said,)
    assert said in as_text(report)
    assert said in (tmp_path / "r.html").read_text()
    assert said in re.sub(r"\\(.)", r"\1", render_model_card(report.groups[0]))
    other, _ = write_run(catalogue, "c", noise=0.1)
    assert make_report(catalogue, [*runs, other], tmp_path / "r.html", draws=10).groups[
        0
    ].notes == (f"a and b: {said}",)


@pytest.mark.parametrize(
    "other", [{"test": 39}, {"record": {"split": {"sha256": "b"}}}], ids=["items", "split"]
)
def test_runs_on_other_items_are_not_compared(
    other: dict[str, Any], catalogue: Catalogue, tmp_path: Path
) -> None:
    first, _ = write_run(catalogue, "a", noise=0.1, record={"split": {"sha256": "a"}})
    second, _ = write_run(catalogue, "b", noise=0.1, **other)
    report = make_report(catalogue, [first, second], tmp_path / "r.html", draws=10)
    assert [[run.name for run in group.runs] for group in report.groups] == [["a"], ["b"]]
    assert [run.difference for run in report.runs] == [None, None]
    assert "figures of one group cannot be compared" in as_text(report)


def test_items_that_the_catalogue_lacks(catalogue: Catalogue, tmp_path: Path) -> None:
    folder, _ = write_run(catalogue, "a", noise=0.1)
    (tmp_path / "small.csv").write_text("id,genres\ni0,Drama\ni1,Horror\n")
    with pytest.raises(RunError, match="38 are not in it"):
        make_report(load_catalogue(tmp_path / "small.csv"), [folder], tmp_path / "r.html")


def test_runs_are_found_by_name_or_all(catalogue: Catalogue, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_run(catalogue, name, noise=0.3)
    every = report_runs(catalogue.path, None, [], tmp_path / "runs", tmp_path / "r.html", draws=5)
    assert {run.name for run in every.runs} == {"a", "b", "c"}
    some = [Path("a"), tmp_path / "runs" / "c"]
    two = report_runs(catalogue.path, None, some, tmp_path / "runs", tmp_path / "r.html", draws=5)
    assert {run.name for run in two.runs} == {"a", "c"}


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        *((start + "1+1", f"'{start}1+1") for start in ("=", "+", "-", "@", "\t", "\r")),
        ("svm", "svm"),
        ("a=b", "a=b"),
    ],
)
def test_formulas_are_defused(cell: str, safe: str) -> None:
    assert escape_formula(cell) == safe


@pytest.mark.parametrize(
    "record",
    [
        {"audit": {"clean": True}},
        {"stages": [{"name": "fit"}, {"name": "predict", "seconds": None, "peak_mib": 5}]},
        {"thresholds": [None, 0.5, 0.5], "genres": list(GENRES)},
        {"backbone": {"weights": {"kind": "imagenet"}}},
        dict.fromkeys(("audit", "stages", "backbone", "catalogue", "split", "blocks", "missing")),
    ],
)
def test_a_record_may_say_less(
    record: dict[str, Any], catalogue: Catalogue, tmp_path: Path
) -> None:
    folder, _ = write_run(catalogue, "one", noise=0.1, record=record)
    comparison = make_report(catalogue, [folder], tmp_path / "r.html", draws=5)
    assert comparison.runs[0].total_seconds is None


@pytest.mark.parametrize("audit", [{"clean": False, "leaks": []}, {"leaks": [{"kind": "same id"}]}])
def test_a_leak_without_details_is_still_a_leak(
    audit: dict[str, Any], catalogue: Catalogue, tmp_path: Path
) -> None:
    folder, _ = write_run(catalogue, "one", noise=0.1, record={"audit": audit})
    comparison = make_report(catalogue, [folder], tmp_path / "r.html", draws=5)
    assert "\nThe split leaks: " in as_text(comparison)


def _rewrite(folder: Path, split: str) -> None:
    """Give the last row the id of the first, and this part."""
    table = pd.read_csv(folder / "predictions.csv", dtype=str, keep_default_na=False)
    table.loc[N - 1, ["id", "split"]] = [table["id"][0], split]
    table.to_csv(folder / "predictions.csv", index=False)
    (folder / "manifest.json").unlink()  # which would tell


def test_an_id_in_two_parts_is_a_leak_whatever_the_record_says(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    folder, _ = write_run(catalogue, "one", noise=0.1, record={"audit": AUDIT})
    _rewrite(folder, "train")
    comparison = make_report(catalogue, [folder], tmp_path / "r.html", draws=5)
    assert "\nThe split leaks: same id (1 case, 2.5\u00a0% of the test items).\n" in as_text(
        comparison
    )


def test_a_test_item_stands_there_once(catalogue: Catalogue, tmp_path: Path) -> None:
    folder, _ = write_run(catalogue, "one", noise=0.1)
    _rewrite(folder, "test")
    with pytest.raises(RunError, match="each once, found 'i0' twice"):
        make_report(catalogue, [folder], tmp_path / "r.html")
    with pytest.raises(RunError, match="at least one run"):
        make_report(catalogue, [], tmp_path / "r.html")


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("splits.html", RunError, "found another table"),
        ("catalogue.html", RunError, "found another table"),
        ("notes.html", RunError, "notes.json: expected an earlier report"),
        ("r.csv", SettingError, "expected the name of a page"),
        ("r.json", SettingError, "expected the name of a page"),
        ("none/r.html", RunError, "a folder that exists"),
    ],
)
def test_no_other_file_is_overwritten(
    name: str, error: type[Exception], said: str, catalogue: Catalogue, tmp_path: Path
) -> None:
    folder, _ = write_run(catalogue, "one", noise=0.1)
    (tmp_path / "splits.csv").write_text("id,split\ni0,test\n")
    (tmp_path / "notes.json").write_text("{}")
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    with pytest.raises(error, match=said):
        make_report(catalogue, [folder], tmp_path / name)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.*")} == before


def test_an_earlier_report_is_replaced(catalogue: Catalogue, tmp_path: Path) -> None:
    folder, _ = write_run(catalogue, "one", noise=0.1)
    for _ in range(2):
        make_report(catalogue, [folder], tmp_path / "r.html", draws=5)
    assert sorted(p.name for p in tmp_path.glob("r.*")) == ["r.csv", "r.html", "r.json"]


def test_runs_of_one_name_are_told_apart(catalogue: Catalogue, tmp_path: Path) -> None:
    folder, _ = write_run(catalogue, "one", noise=0.1)
    shutil.copytree(folder, tmp_path / "other" / "one")
    comparison = make_report(
        catalogue, [folder, tmp_path / "other" / "one"], tmp_path / "r.html", draws=5
    )
    assert len({run.name for run in comparison.runs}) == 2


def test_the_page_is_the_same_bytes_each_time(catalogue: Catalogue, tmp_path: Path) -> None:
    folder, _ = write_run(catalogue, "one", noise=0.3)
    pages = []
    for name in ("a.html", "b.html"):
        make_report(catalogue, [folder], tmp_path / name, draws=5)
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]


def test_the_policy_names_the_very_style_and_script(catalogue: Catalogue, tmp_path: Path) -> None:
    folder, _ = write_run(catalogue, "one", noise=0.3)
    make_report(catalogue, [folder], tmp_path / "r.html", draws=5)
    page = (tmp_path / "r.html").read_text()
    for name in ("style", "script"):
        (text,) = re.findall(f"<{name}>(.*?)</{name}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in html.unescape(page)


def test_json_has_every_figure(catalogue: Catalogue, tmp_path: Path) -> None:
    folder, predictions = write_run(catalogue, "one", noise=0.3, record={"audit": AUDIT})
    make_report(catalogue, [folder], tmp_path / "r.html", draws=5)
    data = json.loads((tmp_path / "r.json").read_text())
    test = predictions.splits == "test"
    expected = f1_score(
        catalogue.label_matrix(GENRES)[test],
        predictions.labels[test],
        average=None,
        zero_division=0,
    )
    found = {g["genre"]: g["f1"]["value"] for g in data["runs"][0]["evaluation"]["genres"]}
    assert found == pytest.approx(dict(zip(GENRES, expected, strict=True)))
    assert data["cleanliness"] == "The split is clean: the one check found no leak."
    assert data["runs"][0]["record"]["audit"] == {
        **AUDIT,
        "warnings": [],
        "skipped": [],
        "cost": {},
    }


def test_the_catalogue_is_found_where_the_run_recorded_it(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    out = tmp_path / "r.html"
    for place in ("catalogue.csv", str(catalogue.path)):
        write_run(catalogue, "one", noise=0.3, record={"catalogue": {"path": place}})
        report_runs(None, None, [], tmp_path / "runs", out, draws=5)
    write_run(catalogue, "one", noise=0.3, record={"catalogue": {"path": "gone.csv"}})
    with pytest.raises(RunError, match=r"found none at gone\.csv\. Name it with --catalogue"):
        report_runs(None, None, [], tmp_path / "runs", out)


def test_ten_runs_of_twenty_genres_stay_small(compared: Callable[..., Any]) -> None:
    random = np.random.default_rng(1)
    truth = (random.random((600, 20)) < random.uniform(0.02, 0.4, 20)).astype(np.uint8)
    truth[truth.sum(axis=1) == 0, 0] = 1
    runs = {
        f"run-{k}": np.clip(0.3 * truth + 0.7 * random.random(truth.shape), 0, 1).round(6)
        for k in range(10)
    }
    record = {"history": {"loss": [0.5] * 50, "val_loss": [0.6] * 50}, "audit": AUDIT}
    record |= {"stages": [{"name": "fit", "seconds": 3.0, "peak_mib": 10.0}]}
    record |= {"cost": {"total_seconds": 3.0}}
    genres = tuple(f"Genre {j}" for j in range(20))
    page = render(compared(genres, truth, runs, dict.fromkeys(runs, record), draws=2))
    assert len(page.encode()) < 5 * 2**20
    # curves of all genres and of each, histories, cost by stage, front page
    assert page.count('class="plot"') == 2 + 2 * 20 + 10 + 1 + 1


def test_matplotlib_is_loaded_only_to_draw() -> None:
    code = "import sys, hybrid.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Cost, reliability, ablation


def test_the_front_joins_what_is_worth_its_cost(catalogue: Catalogue, tmp_path: Path) -> None:
    # Of the same quality as "good", but dearer; a little better than "good", but not significantly.
    made = [
        ("good", 0.3, 50.0),
        ("cheap", 1.5, 0.5),
        ("again", 0.3, 60.0),
        ("bad", 2.5, 20.0),
        ("unknown", 0.0, None),
    ]
    folders = []
    for name, noise, seconds in made:
        stages = [{"name": "fit", "seconds": seconds}, {"name": "audit", "seconds": 9999.0}]
        record = {"stages": stages if seconds else [], "cost": {"total_seconds": seconds}}
        folders.append(write_run(catalogue, name, noise=noise, record=record)[0])
    comparison = make_report(catalogue, folders, tmp_path / "r.html", draws=200).groups[0]
    assert [comparison.runs[i].name for i in comparison.front] == ["cheap", "good"]
    seconds = {run.name: run.total_seconds for run in comparison.runs}
    assert seconds == {"good": 50, "cheap": 0.5, "again": 60, "bad": 20, "unknown": None}
    page = (tmp_path / "r.html").read_text()
    assert "significantly better than every cheaper one on the line: cheap, good." in page
    assert (
        "The cost of unknown is unknown: its record does not hold it. It is not on the line."
        in page
    )
    assert "Pareto front: cheap 0." in page


def test_cost_is_the_recorded_total_never_the_stages_alone(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    stages = [{"name": "fit", "seconds": 3.0}, {"name": "ablation", "seconds": 99.0}]
    unknown = {"stages": stages, "cost": {"fit_seconds": 3.0, "unknown": ["nobody measured it"]}}
    folder, _ = write_run(catalogue, "unknown", noise=0.1, record=unknown)
    (run,) = make_report(catalogue, [folder], tmp_path / "r.html", draws=5).runs
    assert run.total_seconds is None
    assert run.cost_unknown_because == "nobody measured it"
    record = {"stages": stages, "cost": {"total_seconds": 43.0}}
    folder, _ = write_run(catalogue, "one", noise=0.1, record=record)
    comparison = make_report(catalogue, [folder], tmp_path / "r.html", draws=5)
    assert comparison.runs[0].total_seconds == 43.0


def test_runs_without_cost_have_no_chart(catalogue: Catalogue, tmp_path: Path) -> None:
    folder, _ = write_run(catalogue, "one", noise=0.1)
    comparison = make_report(catalogue, [folder], tmp_path / "r.html", draws=5)
    assert cost.make(comparison.groups[0]) is None
    assert "Weighted F1 against seconds" not in (tmp_path / "r.html").read_text()


def test_reliability_is_that_of_the_probabilities(catalogue: Catalogue, tmp_path: Path) -> None:
    folder, predictions = write_run(catalogue, "one", noise=0.4)
    make_report(catalogue, [folder], tmp_path / "r.html", draws=5)
    test = predictions.splits == "test"
    expected = reliability(catalogue.label_matrix(GENRES)[test], predictions.probabilities[test])
    assert f">{expected.error:.3f}</td>" in (tmp_path / "r.html").read_text()


def test_differences_to_the_best_run_are_adjusted_for_all_pairs(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    made = [write_run(catalogue, f"r{i}", noise=noise) for i, noise in enumerate((0.1, 0.5, 0.8))]
    found = make_report(catalogue, [folder for folder, _ in made], tmp_path / "r.html", draws=200)
    test = made[0][1].splits == "test"
    truth = catalogue.label_matrix(GENRES)[test]
    outputs = [Outputs(each.labels[test], each.probabilities[test]) for _, each in made]
    order = [int(run.name[1:]) for run in found.runs]
    ids = made[0][1].ids[test]
    expected = compare_pairs(truth, outputs, groups=ids, draws=200)
    assert found.runs[0].p_value is found.runs[0].difference is None
    for run, i in zip(found.runs[1:], order[1:], strict=True):
        assert vars(run.difference) == pytest.approx(vars(expected.interval(i, order[0])))
        assert run.p_value == pytest.approx(expected.p_value[i, order[0]])
    selection = select_best(truth, outputs, groups=ids, draws=200)
    assert selection.best == order[0]
    assert [run.best_probability for run in found.runs] == pytest.approx(
        [selection.best_probability[i] for i in order]
    )
    assert vars(found.groups[0].winner_corrected) == pytest.approx(vars(selection.corrected))
    kept = json.loads((tmp_path / "r.json").read_text())
    assert kept["winner_corrected"] == pytest.approx(vars(selection.corrected))
    assert kept["runs"][0]["best_probability"] == found.runs[0].best_probability


def test_no_p_value_is_printed_as_zero(catalogue: Catalogue, tmp_path: Path) -> None:
    folders = [write_run(catalogue, f"r{i}", noise=noise)[0] for i, noise in enumerate((0, 0.8))]
    make_report(catalogue, folders, tmp_path / "r.html", draws=2000)
    page = (tmp_path / "r.html").read_text()
    assert "p &lt; 0.001" in page
    assert not re.search(r"\bp =? ?0\.000", page)


def test_groups_of_the_record_widen_the_intervals(catalogue: Catalogue, tmp_path: Path) -> None:
    groups = [[f"i{k}" for k in range(start, start + 10)] for start in range(0, 40, 10)]
    plain, _ = write_run(catalogue, "plain", noise=0.4)
    grouped, _ = write_run(
        catalogue, "grouped", noise=0.4, record={"split": {"test_groups": groups}}
    )
    found = [
        make_report(catalogue, [folder], tmp_path / "r.html", draws=200).runs[0].evaluation
        for folder in (plain, grouped)
    ]
    ids = np.repeat(np.arange(4), 10)
    test = catalogue.label_matrix(GENRES)[:40]
    run = read_run(grouped).predictions
    expected = evaluate(
        test, Outputs(run.labels[:40], run.probabilities[:40]), GENRES, groups=ids, draws=200
    )
    assert found[1].metrics["f1_micro"] == expected.metrics["f1_micro"]
    assert found[0].metrics["f1_micro"] != found[1].metrics["f1_micro"]


def test_a_genre_without_a_test_item_has_dashes(catalogue: Catalogue, tmp_path: Path) -> None:
    genres = (*GENRES, "Silent")
    folder, predictions = write_run(catalogue, "one", noise=0.4, genres=genres)
    found = make_report(catalogue, [folder], tmp_path / "r.html", draws=5).runs[0].evaluation
    test = predictions.splits == "test"
    truth = catalogue.label_matrix(GENRES)[test]
    labels = predictions.labels[test][:, : len(GENRES)]
    expected = f1_score(truth, labels, average="macro", zero_division=0)
    assert found.metrics["f1_macro"].value == pytest.approx(expected)
    [run] = json.loads((tmp_path / "r.json").read_text())["runs"]
    silent = run["evaluation"]["genres"][-1]
    nothing = {"value": None, "low": None, "high": None}
    assert silent["genre"] == "Silent"
    for score in ("f1", "precision", "recall", "average_precision"):
        assert silent[score] == nothing
    page = (tmp_path / "r.html").read_text()
    assert '<th scope="row">Silent</th><td>–</td><td>–</td><td>–</td><td>0</td>' in page
    assert "–%" not in page
    assert not re.search(r"\bnan\b", page)
    assert "Genres without a test item are left out of the averages over genres: Silent." in page


def test_ablation_and_repeats_are_shown(catalogue: Catalogue, tmp_path: Path) -> None:
    interval = {"value": 0.5, "low": 0.4, "high": 0.6}
    variant = {"metrics": {"f1_weighted": interval}, "difference": interval, "rate": 0.25}
    record = {
        "ablation": {
            "subsets": [{**variant, "blocks": ["text", "<b>"], "missing": None}],
            "missing": [{**variant, "blocks": ["text", "<b>"], "missing": "text"}],
        },
        "repeats": {
            "metrics": {
                "f1_weighted": {
                    "values": [0.5, 0.6],
                    "mean": 0.55,
                    "sd": 0.07,
                    "low": 0.5,
                    "high": 0.6,
                    "interval": interval,
                }
            }
        },
    }
    folder, _ = write_run(catalogue, "one", noise=0.1, record=record)
    make_report(catalogue, [folder], tmp_path / "r.html", draws=5)
    page = (tmp_path / "r.html").read_text()
    assert "text + &lt;b&gt;" in page
    assert "text missing for 25% of the test items" in page
    each_alone = (
        "This study is of an earlier version: each interval of a difference holds by itself"
    )
    assert each_alone in page
    record["ablation"]["simultaneous"] = True
    folder, _ = write_run(catalogue, "two", noise=0.1, record=record)
    make_report(catalogue, [folder], tmp_path / "r.html", draws=5)
    assert each_alone not in (tmp_path / "r.html").read_text()
    assert "weighted F1 0.550 over 2 splits, standard deviation 0.070" in page
