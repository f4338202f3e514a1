"""Counts agree with their nouns, in every message of the program."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from hybrid.utils.counts import agree, counted

ROOT = Path(__file__).parents[2]
NOUNS = (
    "addresses|backbones|batches|blocks|bytes|cells|channels|classes|columns|copies|dates|devices|draws|"
    "embeddings|entries|epochs|failures|fields|files|films|folds|genres|groups|hits|ids|images|items|keys|"
    "labels|layers|lines|misses|models|near-duplicates|numbers|others|parameters|parts|places|posters|"
    "predictions|processes|rows|runs|sets|splits|stores|times|titles|URLs|values|words"
)
NO_ADJECTIVE = r"\w*s|no|in|of|on|to|the|is|not|and|or|alone|instead|with"
# A count's noun in the plural, with up to two adjectives before it.
PLURAL = re.compile(rf" (?:(?!(?:{NO_ADJECTIVE}) )[\w-]+ ){{0,2}}({NOUNS})\b")
AGREES = re.compile(r"(agree|counted|_number)\(")
CONSTANT = re.compile(r"[A-Z_\d]+( [-+] 1)?")
# Numbers that are never 1 where they are told, and what is no number.
NEVER_ONE = """
    audit/cached_backbones.py len(verdicts)
    audit/embedding_sets.py len(found)
    backbones/download.py len(PAUSES) + 1
    backbones/weightfile.py limit
    backbones/onnx_header.py length
    cache/verified_files.py limit
    catalogue/download/results.py items
    catalogue/download/results.py counts[entry.file]
    catalogue/download/results.py len(each)
    catalogue/download/results.py said
    catalogue/download/transfer.py self.unreached
    catalogue/check.py items
    cluster/blocks.py under
    catalogue/importers/mm_imdb_hdf5.py largest
    cli/output.py listed(samples, len(samples))
    cli/tune.py plan.parameters
    extraction/imported_file.py EMBEDDINGS.limit
    extraction/imported_values.py said
    images/stored.py ', '.join(names)
    images/work.py count
    text_encoders/arrays.py tokens
    catalogue/label_column.py items
    catalogue/label_findings.py sum(map(len, twins))
    catalogue/readers/parse.py name
    catalogue/readers/index_column.py len(empty)
    catalogue/roles.py distinct
    cli/output.py len(record.genres)
    cli/split.py len(splits)
    deep/distribution.py n
    heads/cross_fitting.py n_folds
    images/memory.py file_bytes
    inspection/feature_visualisation.py len(every)
    model_file/arrays.py size
    model_file/arrays.py left
    report/comparison.py len(devices)
    report/sections/training_history.py 'train' if curve.soft else 'validation'
    report/sentences.py len(runs)
    runs/folder.py size
    runs/study_records.py len(self.splits or ())
    splitting/findings.py len(parts)
    splitting/findings.py len(largest)
    splitting/findings.py n
    splitting/methods.py method
    studies/learning_curve.py folds
    studies/learning_curve.py said
    utils/reading.py kind.limit
    utils/reading.py limit
    utils/reading.py status.st_size
"""


def _plurals() -> Iterator[str]:
    """Module and expression of each f-string that writes a count before a noun in the plural."""
    for folder in ("hybrid", "cli", "cache"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix().removeprefix("hybrid/")
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    yield from (f"{name} {each}" for each in _find(node))


def _find(node: ast.JoinedStr) -> Iterator[str]:
    for value, text in zip(node.values, node.values[1:], strict=False):
        if not (isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant)):
            continue
        spec = ast.unparse(value.format_spec) if value.format_spec else ""
        counts = value.conversion == -1 and not re.search(r"[%fg]'$", spec)
        what = ast.unparse(value.value)
        known = AGREES.match(what) or CONSTANT.fullmatch(what)
        if counts and not known and PLURAL.match(str(text.value)):
            yield what


def test_a_count_of_one_is_in_the_singular_in_every_message():
    known = {line.strip() for line in NEVER_ONE.strip().splitlines()}
    assert sorted(set(_plurals()) - known) == []


def test_the_search_finds_a_count_that_does_not_agree():
    node = ast.parse("f'{n:,} bad rows in {path}'", mode="eval").body
    assert isinstance(node, ast.JoinedStr)
    assert list(_find(node)) == ["n"]


def test_a_count_of_one_is_in_the_singular_in_every_template():
    printed = re.compile(rf"\{{\{{ ([^{{}}]*) \}}\}}{PLURAL.pattern}")
    exempt = (
        "comparison.runs",
        "data.genres",
        "reliability.count",
        "map.cells",
        "genre",
        "block.shown",
    )
    found = [
        f"{path.name}: {what}"
        for path in sorted((ROOT / "hybrid").rglob("*.j2"))
        for what, _ in printed.findall(path.read_text())
        if "counted(" not in what and "number(" not in what and not what.startswith(exempt)
    ]
    assert found == []


def test_counts_and_sentences_agree():
    assert counted(1, "category", "categories") == "1 category"
    assert counted(0, "row") == "0 rows"
    assert agree(1, "{rows are|row is} short") == "row is short"
