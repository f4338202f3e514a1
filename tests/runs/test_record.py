"""The record of a run: what is written is read back, and what is damaged is named."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.errors import RunError
from hybrid.runs.migration import FORMAT
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import BackboneRecord, CatalogueRecord, TrainedBackboneRecord
from hybrid.types import Columns

PROJECT = Path(__file__).parents[1] / "golden" / "project-format-1"
FOLDERS = sorted(path.parent for path in PROJECT.glob("runs/*/run.json"))
RECORDS = {folder.name: json.loads((folder / "run.json").read_text()) for folder in FOLDERS}
PRESENT = {name: RunRecord.from_json(record).to_json() for name, record in RECORDS.items()}
# Keys that hybrid leaves out where they do not apply: studies that were not made, and the keys of the
# other kind of run, all together.
MAY_LACK = {"estimate", "curve", "ablation", "repeats", "studies", "external"}
# What the user gave or a library says: any key, any value.
FREE = ("settings", "chosen", "stands_for", "hardware", "extract")


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Keys and positions that lead to each part of a parsed JSON file."""
    if before and (before[-1] in FREE or before[-2:] == ("choice", "parameters")):
        return []
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value[:2])  # the others are alike
    return [p for key, part in pairs for p in [(*before, key), *paths(part, (*before, key))]]


def name(path: tuple[Any, ...]) -> str:
    """As messages write a path: ``audit.leaks[0].share``."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")


def earlier_keys(record: Any, earlier: Any) -> Any:
    """A record without the keys that a later format added."""
    if isinstance(record, dict) and isinstance(earlier, dict):
        return {k: earlier_keys(v, earlier.get(k)) for k, v in record.items() if k in earlier}
    if isinstance(record, list) and isinstance(earlier, list):
        return [earlier_keys(*pair) for pair in zip(record, earlier, strict=True)]
    return record


def inside(record: dict[str, Any], path: tuple[Any, ...]) -> Any:
    for key in path:
        record = record[key]
    return record


PLACES = [(run, path) for run, record in PRESENT.items() for path in paths(record)]
Place = tuple[str, tuple[Any, ...]]


@pytest.mark.parametrize("run", sorted(RECORDS))
def test_a_record_of_format_1_is_migrated_without_loss(run: str, tmp_path: Path) -> None:
    record = RunRecord.read(PROJECT / "runs" / run)
    expected = {**deepcopy(RECORDS[run]), "format": FORMAT}
    if expected["settings"].get("metric") == "map":  # has another name now
        expected["settings"]["metric"] = "map-weighted"
    assert earlier_keys(record.to_json(), RECORDS[run]) == expected
    assert (record.format, record.format_read) == (FORMAT, 1)
    record.write(tmp_path)
    again = RunRecord.read(tmp_path)
    assert again == record
    assert again.format_read == FORMAT


@settings(deadline=None)
@given(st.sampled_from(PLACES), st.data())
def test_what_is_written_is_read_back(place: Place, data: st.DataObject) -> None:
    record, path = deepcopy(PRESENT[place[0]]), place[1]
    found = inside(record, path)
    if isinstance(found, str) and path not in (("hybrid",), ("task", "kind")):
        other: Any = data.draw(st.text())
    elif isinstance(found, float):
        other = data.draw(st.floats(allow_nan=False, allow_infinity=False))
    elif isinstance(found, int) and not isinstance(found, bool) and path != ("format",):
        other = data.draw(st.integers())
    else:
        other = found
    inside(record, path[:-1])[path[-1]] = other
    read = RunRecord.from_json(record)
    assert read.to_json() == record
    assert RunRecord.from_json(json.loads(json.dumps(read.to_json()))) == read


@settings(deadline=None)
@given(st.sampled_from(PLACES))
def test_a_value_of_another_type_is_named(place: Place) -> None:
    record, path = deepcopy(PRESENT[place[0]]), place[1]
    other = "yes" if isinstance(inside(record, path), bool) else True
    inside(record, path[:-1])[path[-1]] = other
    with pytest.raises(RunError) as error:
        RunRecord.from_json(record, "runs/a/run.json")
    assert str(error.value).startswith("runs/a/run.json: expected ")
    if path != ("format",):
        assert f" at {name(path)}, found {other!r}. The record is damaged" in str(error.value)


@settings(deadline=None)
@given(st.sampled_from(PLACES))
def test_a_missing_key_is_named(place: Place) -> None:
    record, path = deepcopy(PRESENT[place[0]]), place[1]
    holder = inside(record, path[:-1])
    if isinstance(path[-1], int) or path in (("format",), ("hybrid",)):
        return
    del holder[path[-1]]
    said = ""
    try:
        found = RunRecord.from_json(record, "runs/a/run.json").to_json()
    except RunError as error:
        said, found = str(error), None
    # Nothing else may be missing without a word than a study, or an entry of a mapping by name.
    assert found == record or re.search(
        rf"expected .+ at {re.escape(name(path))}, found no such key", said
    )


def test_every_key_of_its_own_is_required() -> None:
    for record in PRESENT.values():
        for key in set(record) - MAY_LACK - {"format", "hybrid"}:
            with pytest.raises(RunError, match=f" at {key}, found no such key"):
                RunRecord.from_json({k: v for k, v in record.items() if k != key})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "expected a readable record, found a list"),
        ({}, "expected a readable record, found no key 'format'"),
        ({"format": 0}, "expected format 3 or older, found 0"),
        ({"format": 4}, r"expected format 3 or older, found 4\. Update hybrid"),
        ({"format": True}, "expected format 3 or older, found True"),
        ({"format": 2, "seed": True}, "expected a whole number at seed, found True"),
        ({"format": 2, "seed": 1.5}, r"expected a whole number at seed, found 1\.5"),
        ({"format": 2, "blocks": "poster"}, "expected a list at blocks, found 'poster'"),
        (
            {"format": 1, "metrics": {"f1": {"value": 1, "low": 0}}},
            r"expected a number at metrics\.f1\.high, found no such key",
        ),
        (
            {"format": 2, "threshold_spread": [[0.1]]},
            r"expected a list of 2 at threshold_spread\[0\], found \[0\.1\]",
        ),
        (
            {"format": 3, "task": {"kind": "ranking"}},
            r"at task: unknown task 'ranking'.* The record is damaged: fit the run again",
        ),
        (
            {"format": 2, "kind": "head", "chosen": {"block_weights": 0.5}},
            r"expected the weight of each block at chosen\.block_weights, found 0\.5",
        ),
        (
            {"format": 2, "name": 3 * ["x" * 40]},
            r"expected a string at name, found \['x+', 'x+ …\.",
        ),
    ],
)
def test_damaged_records(data: object, message: str) -> None:
    with pytest.raises(RunError, match=message):
        RunRecord.from_json(data)


def test_a_record_made_elsewhere_may_say_less() -> None:
    record = RunRecord.from_json({"format": 2, "backbone": {"weights": {"kind": "imagenet"}}})
    assert record.backbones["poster"].weights.kind == "imagenet"
    assert (record.head, record.training, record.audit) == (None, None, None)
    assert record.catalogue.sha256 is None
    nothing = dict.fromkeys(("audit", "stages", "backbone", "catalogue", "split", "blocks"))
    assert RunRecord.from_json({"format": 2, **nothing}) == RunRecord()


def test_backbones_of_heads_and_of_networks() -> None:
    kinds = {}
    for run, data in RECORDS.items():
        kinds[run] = [type(found) for found in RunRecord.from_json(data).backbones.values()]
    assert kinds["svm"] == [BackboneRecord, BackboneRecord]
    assert kinds["small"] == kinds["fused"] == [TrainedBackboneRecord]
    assert kinds["text"] == kinds["svm-text"] == []


def test_a_record_holds_only_what_json_can_say(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        RunRecord(settings={"loss": float("nan")}).write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_only_models_of_the_present_format_can_be_loaded() -> None:
    columns = Columns("id", None, "genres", "|", (), (), (), ())
    made = RunRecord(kind="head", catalogue=CatalogueRecord(columns=columns))
    assert made.require_model(Path("runs/a")) == columns
    with pytest.raises(
        RunError, match=r"runs/a: expected a run made by hybrid, found no column roles"
    ):
        RunRecord(kind="head").require_model(Path("runs/a"))
    with pytest.raises(RunError, match=r"found no kind of model in run\.json"):
        replace(made, kind=None).require_model(Path("runs/a"))
    old = RunRecord.read(PROJECT / "runs" / "svm-text")
    with pytest.raises(RunError) as error:
        old.require_model(Path("runs/a"))
    assert str(error.value) == (
        "runs/a: expected a run of format 3, found one that an earlier version of hybrid wrote (format 1), "
        "whose model cannot be loaded; fit it again with: hybrid fit-svm --blocks text --name svm-text"
    )


def test_the_page_of_runs_lists_every_key() -> None:
    page = (PROJECT.parents[2] / "docs" / "runs.md").read_text(encoding="utf-8")
    table = page[page.index("## run.json") : page.index("## Formats")]
    cells = re.findall(r"^\| (`[^|]*) \|", table, re.M)
    listed = [key for cell in cells for key in re.findall(r"`(\w+)`", cell)]
    assert sorted(listed) == sorted({key for record in PRESENT.values() for key in record})


@pytest.mark.parametrize("earlier", [1, 2])
def test_map_of_earlier_formats_was_weighted(earlier: int) -> None:
    for metric, meant in (("map", "map-weighted"), ("macro-f1", "macro-f1")):
        record = RunRecord.from_json({"format": earlier, "settings": {"metric": metric}})
        assert record.settings["metric"] == meant
    record = RunRecord.from_json({"format": FORMAT, "settings": {"metric": "map"}})
    assert record.settings["metric"] == "map"


def test_a_task_that_there_is_not_is_named_with_the_file() -> None:
    data = {**PRESENT["fused"], "task": {**PRESENT["fused"]["task"], "kind": "multi"}}
    with pytest.raises(RunError, match=r"runs/fused/run\.json: at task: unknown task 'multi'"):
        RunRecord.from_json(data, "runs/fused/run.json")


def test_candidates_of_earlier_versions_lack_the_number_of_items() -> None:
    for record in (deepcopy(each) for each in PRESENT.values() if each.get("tried")):
        for items in (None, 1024):
            for tried in record["tried"]:
                tried.pop("items", None)
                if items:
                    tried["items"] = items
            head = RunRecord.from_json(record).head
            assert head is not None
            assert {each.items for each in head.candidates} == {items}
