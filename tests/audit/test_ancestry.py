"""Which items of a split a run has learnt from: by content, and by id where the numbering is the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hybrid.audit.ancestry import HashedItems, RunProvenance, audit_backbones, audit_own_items
from hybrid.audit.item_hashes import hash_ids, hash_items
from hybrid.backbones.provenance import Ancestor, ItemHashes, Provenance
from hybrid.catalogue import load_catalogue
from hybrid.duplicates.similarity import tokenize
from hybrid.types import Audit, Split

KIND = "backbone trained on test items"
NOTHING = Audit(("same id",), ())


def items(posters: dict[str, str], sha256: str, texts: dict[str, str] | None = None) -> HashedItems:
    """Items by id; their posters and texts by a name, none where it is empty."""

    def hashed(names: list[str]) -> np.ndarray:
        numbers = hash_ids(names)
        numbers[[not name for name in names]] = 0
        return numbers

    words = [(texts or {}).get(name, "") for name in posters]
    hashes = ItemHashes(hash_ids([*posters]), hashed([*posters.values()]), hashed(words))
    return HashedItems(np.array([*posters]), hashes, sha256)


def films(start: int, end: int, poster: str = "poster {}", sha256: str = "films") -> HashedItems:
    return items({f"f{i}": poster.format(i) for i in range(start, end)}, sha256)


def run_on(learnt: HashedItems, name: str = "scratch") -> Ancestor:
    return Ancestor(f"digest of {name}", name, learnt.catalogue, "s", learnt.hashes)


def all_test(found: HashedItems, groups: list[str] | None = None) -> Split:
    ids = found.ids
    return Split(ids, np.array(["test"] * len(ids)), np.array(groups or ids), "")


def leaked(present: HashedItems, *runs: Ancestor, groups: list[str] | None = None) -> set[str]:
    split = all_test(present, groups)
    audit = audit_backbones(NOTHING, split, present, Provenance(runs))
    assert audit.skipped == ()
    assert KIND in audit.checks
    return set(audit.leaked)


def test_items_of_the_same_catalogue_are_known_by_id() -> None:
    assert leaked(films(5, 15), run_on(films(0, 10))) == {f"f{i}" for i in range(5, 10)}


def test_a_catalogue_that_grew_is_known_by_what_did_not_change() -> None:
    """Half of the posters were fetched again; the others say that the numbers are the same."""
    now = {f"f{i}": f"{'poster' if i < 5 else 'other'} {i}" for i in range(20)}
    assert leaked(items(now, "grown"), run_on(films(0, 10))) == {f"f{i}" for i in range(10)}


def test_another_catalogue_with_the_same_ids_is_no_leak() -> None:
    assert leaked(films(0, 10, "book {}", "books"), run_on(films(0, 10))) == set()


def test_one_row_that_agrees_by_chance_does_not_make_the_others_the_same() -> None:
    """Both catalogues have the same picture for what has none, once under the same number."""
    now = {f"f{i}": "no poster" if i == 3 else f"book {i}" for i in range(10)}
    then = {f"f{i}": "no poster" if i == 3 else f"film {i}" for i in range(10)}
    assert leaked(items(now, "books"), run_on(items(then, "films"))) == {"f3"}


def test_posters_are_known_under_other_ids() -> None:
    shifted = items({f"f{i}": f"poster {i + 4}" for i in range(10)}, "renumbered")
    assert leaked(shifted, run_on(films(0, 10))) == {f"f{i}" for i in range(6)}


def test_texts_are_known_under_other_ids() -> None:
    then = items({"a": "", "b": ""}, "films", {"a": "a sheriff", "b": "a ghost"})
    now = items({"x": "", "y": ""}, "others", {"x": "a ghost", "y": "a wedding"})
    assert leaked(now, run_on(then)) == {"x"}


def test_an_item_of_the_group_of_a_known_one_leaks_as_well() -> None:
    groups = ["one", "one", "two", ""]
    present = films(0, 4)
    assert leaked(present, run_on(films(0, 1)), groups=groups) == {"f0", "f1"}
    assert leaked(present, run_on(films(3, 4)), groups=groups) == {"f3"}  # no group is no group


def test_every_ancestor_counts() -> None:
    runs = run_on(films(0, 2), "tuned"), run_on(films(8, 10), "scratch")
    present = films(0, 10)
    audit = audit_backbones(NOTHING, all_test(present), present, Provenance(runs))
    (leak,) = audit.leaks
    assert leak.items == ("f0", "f1", "f8", "f9")
    assert {pair[3] for pair in leak.pairs[:2]} == {"learnt from by tuned"}
    assert {pair[3] for pair in leak.pairs[2:]} == {"learnt from by scratch"}


def test_only_test_items_leak() -> None:
    present = films(0, 4)
    split = Split(present.ids, np.array(["train", "test", "validation", "unused"]), present.ids, "")
    audit = audit_backbones(NOTHING, split, present, Provenance((run_on(present),)))
    assert audit.leaked == {"f1"}


def test_what_cannot_be_compared_is_said_to_be_unknown() -> None:
    then, now = items({"1": "a", "2": "b"}, "then"), items({"1": "", "3": ""}, "now")
    audit = audit_backbones(NOTHING, all_test(now), now, Provenance((run_on(then),)))
    assert audit.clean
    (reason,) = audit.skipped
    assert reason.startswith(f"{KIND}: it cannot be told for scratch: its items share ids")


def test_weights_of_unknown_origin_are_said_to_be_unknown_once() -> None:
    unknown, present = Provenance(unknown=("net.h5", "other.h5")), films(0, 2)
    audit = NOTHING
    for _ in range(2):
        audit = audit_backbones(audit, all_test(present), present, unknown)
    assert audit.clean
    assert KIND not in audit.checks
    assert audit.skipped == (
        f"{KIND}: it cannot be told what net.h5 has learnt from",
        f"{KIND}: it cannot be told what other.h5 has learnt from",
    )


def test_own_items_of_a_run() -> None:
    present = films(0, 4)
    found = RunProvenance(run_on(films(0, 1), "svm"), Provenance(), untold="it has lost its list")
    audit = audit_own_items(NOTHING, all_test(present), present, found)
    assert [(leak.kind, leak.items) for leak in audit.leaks] == [
        ("run learnt from test items", ("f0",))
    ]
    assert audit.skipped == ("run learnt from test items: it has lost its list",)


TEXT = "A sheriff rides into a town where nobody sleeps at night."


@pytest.mark.parametrize("key", [b"k" * 32, None])
def test_texts_are_compared_by_their_words(tmp_path: Path, key: bytes | None) -> None:
    rows = [TEXT, TEXT.upper().replace(".", "!"), "No overview.", ""]
    lines = [f'{i},"{text}",Drama,{1990 + i}' for i, text in enumerate(rows)]
    path = tmp_path / "c.csv"
    path.write_text("\n".join(["id,overview,genres,year", *lines]) + "\n")
    found = hash_items(load_catalogue(path), [key] * 4)
    assert found.texts[0] == found.texts[1] > 0
    assert found.texts[2:].tolist() == [0, 0]
    assert (found.posters > 0).tolist() == [key is not None] * 4


def test_an_item_without_a_poster_is_known_by_its_row(tmp_path: Path) -> None:
    cells = "One Two,Three Four,Five Six,Seven Eight"
    path = tmp_path / "c.csv"
    path.write_text(f"id,title,maker,town,school,genres\n1,{cells},Drama\n2,{cells},Horror\n")
    with_poster, without = hash_items(load_catalogue(path), [b"k" * 32, None]).texts.tolist()
    assert with_poster == 0
    assert without > 0


def test_what_more_than_twelve_items_share_says_nothing(tmp_path: Path) -> None:
    lines = [f'{i},"{TEXT}",Drama' for i in range(13)]
    path = tmp_path / "c.csv"
    for count, known in ((12, True), (13, False)):
        path.write_text("\n".join(["id,overview,genres", *lines[:count]]) + "\n")
        found = hash_items(load_catalogue(path), [b"k" * 32] * count)
        assert found.texts.all() == known


@given(st.lists(st.text(max_size=20), max_size=4))
@example(
    ["a", "\u0301b", "\u1100", "\u1161"]
)  # marks and syllables that would join a letter before them
def test_the_words_of_cells_are_those_of_the_cells_side_by_side(cells: list[str]) -> None:
    assert tokenize(" ".join(cells)) == [word for cell in cells for word in tokenize(cell)]


def test_texts_and_posters_have_the_numbers_of_their_sha256(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text(f'id,title,overview,year,genres\n1,Heat,"{TEXT}",1995,Drama\n2,,,1995,War\n')
    found = hash_items(load_catalogue(path), [None, b"k" * 32])
    words = "a sheriff rides into a town where nobody sleeps at night heat"  # by the columns' names
    digest = hashlib.sha256(words.encode()).digest()
    assert found.texts.tolist() == [int.from_bytes(digest[:8], "little"), 0]
    assert found.posters.tolist() == [0, int.from_bytes(b"k" * 8, "little")]
