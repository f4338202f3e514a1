"""Embeddings that were made elsewhere: read, checked, stored, and read again."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from hybrid.cache import compaction
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.cli.main import hybrid
from hybrid.errors import ExtractionError, HybridError, SettingError
from hybrid.extraction.embeddings_frame import embeddings
from hybrid.extraction.import_embeddings import import_embeddings
from hybrid.extraction.imported_stores import imported_stores
from hybrid.extraction.lookup import describe_store
from hybrid.extraction.provenance import store_provenance
from hybrid.types import ImportedSelector, ImportSettings
from hybrid.utils.context import Context

IDS = ("f1", "f2", "f3", "f4")
ROWS = np.arange(12, dtype=np.float32).reshape(4, 3) / 7


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """Four films; the first two have the same poster, the third has none, the last no text."""
    monkeypatch.chdir(tmp_path)
    for name, content in (("a.jpg", b"one"), ("b.jpg", b"one"), ("d.jpg", b"two")):
        (tmp_path / name).write_bytes(content)
    Path("catalogue.csv").write_text(
        "id,title,overview,poster,genres\nf1,Alien,In space,a.jpg,A\nf2,Brazil,A clerk,b.jpg,B\n"
        "f3,Casino,A town,,A\nf4,,,d.jpg,B\n"
    )
    return load_catalogue("catalogue.csv")


def write(path: str, ids: Any = IDS, rows: NDArray[Any] = ROWS) -> dict[str, Any]:
    """Write ids and vectors as another program would; returns what else the import needs."""
    suffix = Path(path).suffix
    if suffix == ".npz":
        np.savez(path, ids=ids, embeddings=rows)
    elif suffix == ".npy":
        np.save(path, rows)
        Path("ids.txt").write_text("\n".join(map(str, ids)) + "\n")
        return {"ids": "ids.txt"}
    elif suffix == ".parquet":
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
        pq.write_table(pa.table({"id": list(ids), "embedding": vectors}), path)
    else:
        lines = [
            json.dumps({"id": i, "vector": r.tolist()}) for i, r in zip(ids, rows, strict=True)
        ]
        Path(path).write_text("\n".join(lines))
    return {}


def stored(cache: Path, fingerprint: str) -> dict[bytes, NDArray[Any]]:
    """What the parts of a store hold, by plain h5py."""
    found = {}
    for part in (cache / fingerprint / "parts").iterdir():
        with h5py.File(part) as file:
            keys, rows = file["keys"][:], file["embeddings"][:]
        found.update({key.tobytes(): row for key, row in zip(keys, rows, strict=True)})
    return found


@pytest.mark.parametrize("path", ["x.npz", "x.npy", "x.parquet", "x.jsonl"])
def test_each_format_gives_the_same_store(films: Catalogue, path: str) -> None:
    frame = pd.DataFrame(ROWS, index=list(IDS))
    first = import_embeddings(frame.iloc[::-1], films, block="clip")  # in another order
    assert (first.added, first.present, first.embedded, first.dtype) == (4, 0, 4, "float32")
    again = import_embeddings(path, films, block="clip", **write(path))
    assert (again.fingerprint, again.added, again.present) == (first.fingerprint, 0, 4)
    expected = {hashlib.sha256(name.encode()).digest(): row for name, row in zip(IDS, ROWS)}  # noqa: B905
    found = stored(Path(".hybrid-cache"), first.fingerprint)
    assert {key: row.tolist() for key, row in found.items()} == {
        key: row.tolist() for key, row in expected.items()
    }


def test_numbers_as_ids_and_a_column_of_arrays(films: Catalogue) -> None:
    Path("numbered.csv").write_text("id,title,genres\n7,A,A\n8,B,B\n")
    numbered = load_catalogue("numbered.csv")
    frame = pd.DataFrame({"key": [7.0, 8.0], "clip": list(ROWS[:2]), "note": ["x", "y"]})
    how = {"id_column": "key", "vector_column": "clip"}
    made = import_embeddings(frame, numbered, block="clip", **how)
    assert (made.embedded, made.unknown) == (2, ())
    np.savez("x.npz", key=np.array([8, 7]), clip=ROWS[1::-1])
    assert import_embeddings("x.npz", numbered, block="clip", **how).present == 2


def test_other_content_is_another_store_and_must_be_chosen(films: Catalogue) -> None:
    first = import_embeddings("x.npz", films, block="clip", **write("x.npz"))
    other = import_embeddings("x.npz", films, block="clip", **write("x.npz", rows=ROWS + 1))
    assert first.fingerprint != other.fingerprint
    with pytest.raises(SettingError, match=r"found 2:\n.*x.npz.*\n.*\nChoose"):
        embeddings(films, "clip")
    found = embeddings(films, f"clip#{other.fingerprint[:8]}")
    np.testing.assert_array_equal(found.to_numpy(), ROWS + 1)


def test_what_is_left_out_is_counted_and_told(films: Catalogue) -> None:
    rows = np.vstack([ROWS, ROWS[:1], np.full((1, 3), np.nan), ROWS[:1], np.zeros((1, 3))]).astype(
        np.float32
    )
    ids = ["f1", "f2", "other", "", "f1", "f3", "more", "f4"]
    made = import_embeddings("x.npz", films, block="clip", **write("x.npz", ids, rows))
    assert (made.rows, made.missing, made.unnamed, made.repeated) == (8, 1, 1, 1)
    assert (made.added, made.embedded, made.items) == (5, 3, 4)
    assert made.lacking == ("f3",)
    assert made.unknown == ("other", "more")
    told = {one.kind: (one.count, one.examples) for one in made.findings}
    assert told == {
        "rows without an id": (1, ()),
        "missing vectors": (1, ("f3",)),
        "repeated rows": (1, ()),
        "vectors of zeros": (1, ("f4",)),
        "unknown ids": (2, ("other", "more")),
        "items without an embedding": (1, ("f3",)),
    }


BROKEN: dict[str, tuple[Any, Any, str]] = {
    "nan": (IDS, np.where(np.eye(4, 3), np.nan, 1), "NaN or infinity in 3 vectors, such as that of f1"),
    "infinite": (IDS, np.where(np.eye(4, 3), np.inf, 1), "NaN or infinity in 3 vectors"),
    "two": (["f1", "f1", "f3", "f4"], ROWS, "two that differ for 1 id, such as f1"),
    "strangers": (["g1", "g2", "g3", "g4"], ROWS, "such as f1, f2, f3, .*found none among 4 ids, such as g1"),
    "flat": (IDS, ROWS[:, 0], "expected a matrix of numbers"),
    "words": (IDS, np.full((4, 3), "x"), "expected a matrix of numbers"),
    "short": (IDS[:3], ROWS, "expected an id for each of 4 rows, found 3 ids"),
    "large": (IDS, ROWS.astype(float) + 1e300, "the range of float32, found larger ones in 4 vectors"),
    "empty": (IDS, np.empty((4, 0)), "vectors of at least one number"),
    "halves": ([1.5, 2.5, 3.5, 4.5], ROWS, "ids that are text or whole numbers"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_refused_and_nothing_is_stored(films: Catalogue, case: str) -> None:
    ids, rows, message = BROKEN[case]
    np.savez("x.npz", ids=np.array(ids), embeddings=rows)
    with pytest.raises(ExtractionError, match=message):
        import_embeddings("x.npz", films, block="clip")
    assert not Path(".hybrid-cache").exists()


def test_no_pickle_is_opened(films: Catalogue) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, ("trapped",)

    np.savez("x.npz", ids=np.array([Trap()], dtype=object), embeddings=ROWS[:1])
    with pytest.raises(ExtractionError, match="stored as a pickle and not opened"):
        import_embeddings("x.npz", films, block="clip")
    assert not Path("trapped").exists()


@pytest.mark.parametrize("path", ["x.npz", "x.npy", "x.parquet", "x.jsonl"])
def test_damaged_files_are_refused(films: Catalogue, path: str) -> None:
    how = write(path)
    whole = Path(path).read_bytes()
    generator = np.random.default_rng(0)
    for cut in (0, 10, len(whole) // 2 + 5, len(whole) - 5):
        Path(path).write_bytes(whole[:cut])
        with pytest.raises(HybridError):
            import_embeddings(path, films, block="clip", **how)
    for _ in range(40):
        changed = bytearray(whole)
        changed[generator.integers(len(whole))] ^= int(generator.integers(1, 256))
        Path(path).write_bytes(changed)
        try:
            import_embeddings(path, films, block="clip", **how)
        except HybridError:
            continue


@pytest.mark.parametrize("of", ["poster", "text"])
def test_vectors_of_posters_and_texts(films: Catalogue, of: str) -> None:
    rows = np.vstack([ROWS[:1], ROWS[:1], ROWS[2:]])
    made = import_embeddings(
        "x.npz", films, block="clip", settings=ImportSettings(of), **write("x.npz", rows=rows)
    )
    if of == "poster":
        keys = [hashlib.sha256(content).digest() for content in (b"one", b"two")]
        expected = dict(zip(keys, (rows[0], rows[3]), strict=True))
        lacking: tuple[str, ...] = ("f3",)
    else:
        texts = ("Alien. In space", "Brazil. A clerk", "Casino. A town")
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        expected = dict(zip(keys, rows[:3], strict=True))
        lacking = ("f4",)
    found = stored(Path(".hybrid-cache"), made.fingerprint)
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in expected.items()}
    assert made.lacking == lacking


def test_one_poster_cannot_have_two_vectors(films: Catalogue) -> None:
    with pytest.raises(ExtractionError, match=r"1 pair of items with the same poster.*f1 and f2"):
        import_embeddings(
            "x.npz", films, block="clip", settings=ImportSettings("poster"), **write("x.npz")
        )


def test_further_items_are_added_by_the_same_encoder(films: Catalogue) -> None:
    first = import_embeddings("x.npz", films, block="clip", **write("x.npz", IDS[:2], ROWS[:2]))
    add = ImportSettings(add=True)
    more = import_embeddings(
        "y.npz", films, block="clip", settings=add, **write("y.npz", IDS[1:], ROWS[1:])
    )
    assert (more.fingerprint, more.added, more.present, more.lacking) == (
        first.fingerprint,
        2,
        1,
        (),
    )
    with pytest.raises(ExtractionError, match="found others for 4 items of 4 items"):
        import_embeddings(
            "z.npz", films, block="clip", settings=add, **write("z.npz", rows=ROWS + 1)
        )
    with pytest.raises(ExtractionError, match=r"with 2 numbers each.*found 0"):
        import_embeddings(
            "z.npz", films, block="clip", settings=add, **write("z.npz", rows=ROWS[:, :2])
        )


def test_what_they_have_learnt_from_is_unknown_unless_it_is_said(films: Catalogue) -> None:
    how = write("x.npz")
    made = import_embeddings("x.npz", films, block="clip", **how)
    from hybrid.cache import EmbeddingCache

    store = EmbeddingCache(".hybrid-cache").find(made.fingerprint)
    assert store_provenance(store).unknown == ("clip (imported)",)
    assert made.trained_on == "unknown"
    said = ImportSettings(trained_on="none", licence="MIT")
    assert (
        import_embeddings("x.npz", films, block="clip", settings=said, **how).trained_on == "none"
    )
    assert store_provenance(store).unknown == ()
    again = import_embeddings("x.npz", films, block="clip", **how)
    assert (again.trained_on, again.licence) == ("none", "unknown")
    assert describe_store(store).startswith("clip, imported from x.npz, of each item, float32: 4")


def test_all_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(SettingError) as caught:
        import_embeddings(
            "x.npz", block="text", settings=ImportSettings("film", "int8", trained_on="all")
        )
    for said in ("--block", "--of", "--dtype", "--trained-on"):
        assert said in str(caught.value)


def test_the_command_tells_what_it_did(films: Catalogue) -> None:
    write("x.npz", IDS[:3], ROWS[:3])
    said = CliRunner().invoke(hybrid, ["import-embeddings", "x.npz", "--block", "clip", "--json"])
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)
    assert (told["embedded"], told["lacking"]) == (3, ["f4"])
    assert "note: 1 item of the catalogue has no embedding, such as f4" in said.stderr
    text = CliRunner().invoke(hybrid, ["import-embeddings", "x.npz", "--block", "clip"])
    assert "3 of 4 items with an embedding of 3 numbers" in text.stdout
    assert "it cannot be told what it has learnt from" in text.stdout


def test_the_frame_has_the_order_of_the_catalogue(films: Catalogue) -> None:
    import_embeddings("x.npz", films, block="clip", **write("x.npz", IDS[2::-1], ROWS[2::-1]))
    found = embeddings(films, ImportedSelector("clip"), Context())
    assert found.index.tolist() == list(IDS)
    assert found.index.name == "id"
    np.testing.assert_array_equal(found.to_numpy(), np.vstack([ROWS[:3], np.full(3, np.nan)]))
    again = import_embeddings(found, films, block="clip")  # what it returns can be imported
    assert (again.missing, again.present) == (1, 3)


def test_many_parts_are_in_the_snapshot_after_an_import(
    films: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "MANY_UNINDEXED", 2)
    for name, add in (("x.npz", False), ("y.npz", True)):
        rows = ROWS[:2] if not add else ROWS[2:]
        ids = IDS[:2] if not add else IDS[2:]
        settings = ImportSettings(add=add)
        import_embeddings(name, films, block="clip", settings=settings, **write(name, ids, rows))
    [store] = imported_stores(Context(), ImportedSelector("clip"))
    assert store.view.in_snapshot
    assert not compaction.is_worth_compacting(store)
    assert store.has([hashlib.sha256(name.encode()).digest() for name in IDS]).all()
