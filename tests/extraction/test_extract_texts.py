"""Texts → cache: what is computed, what is not, and what is missing."""

from __future__ import annotations

import csv
import hashlib
import json
import signal
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pandas.core.arrays.arrow.array import ArrowExtensionArray

import hybrid.extraction.embed_texts as module
import hybrid.extraction.text_plan as plan_module
import hybrid.utils.interrupt as interrupt_module
from hybrid import TextEmbeddingOptions, TextSelector, load_catalogue
from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.engines import choose_engine
from hybrid.cache import EmbeddingCache, EmbeddingStore, Leases
from hybrid.catalogue import Catalogue
from hybrid.catalogue.packed import is_packed
from hybrid.catalogue.readers import csv_rows, table
from hybrid.errors import CatalogueError, SettingError
from hybrid.extraction.cache_report import export_embeddings
from hybrid.extraction.extract_texts import extract_texts, plan_text_extraction
from hybrid.extraction.plan import ExtractSettings
from hybrid.extraction.text_cache_report import explain_text_cache
from hybrid.extraction.text_lookup import find_text_store
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.text_encoders.folder import read_text_encoder
from hybrid.text_encoders.spec import TransformerSpec
from hybrid.types import TextExtractSummary
from hybrid.utils.context import Context

EXACT = TextEmbeddingOptions(precision="float32", dtype="float32")
WORDS = ["ghost", "alien", "space", "funny", "horse", "film", "about", "the", "a"]
# One item without a text, two with the same, one with more than the 16 tokens that the encoder reads.
ITEMS = 40
TEXTS = {
    **{f"f{i}": f"{WORDS[i % 9]} {WORDS[i % 7]} {i}" for i in range(ITEMS)},
    **{"f3": "  ", "f5": "the ghost", "f8": "the ghost", "f9": "alien horse " * 9},
}
DIFFERENT = ITEMS - 2

# The arguments: catalogue, encoder, folder of the cache.
PROGRAM = """
import os, signal, sys
import hybrid.extraction.embed_texts as module
import hybrid.extraction.writer as writer
from hybrid import TextEmbeddingOptions, load_catalogue
from hybrid.cache import EmbeddingStore
from hybrid.extraction.extract_texts import extract_texts
from hybrid.extraction.plan import ExtractSettings
from hybrid.utils.context import Context

module.WINDOW, writer.PART_SECONDS, module.WAIT_SECONDS = 4, -1.0, 0.01
catalogue, encoder, cache = sys.argv[1:]

def extract():
    return extract_texts(
        load_catalogue(catalogue), encoder,
        options=TextEmbeddingOptions(precision="float32", dtype="float32"),
        settings=ExtractSettings("openvino"), context=Context(cache, workers=1))
"""
KILLED = """
append, appended = EmbeddingStore.append, []
def append_and_die(self, keys, *rest):
    append(self, keys, *rest)
    appended.append(keys)
    print(len(keys), flush=True)
    if len(appended) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
EmbeddingStore.append = append_and_die
extract()
"""
TWO = """
child = os.fork()
done = extract()
sys.stdout.write(f"{done.computed} {done.embedded}\\n")
sys.stdout.flush()
if not child:
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""


def write(folder: Path, texts: dict[str, str]) -> Catalogue:
    path = folder / "catalogue.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "genres", "overview"])
        writer.writerows((name, "Drama", text) for name, text in texts.items())
    return load_catalogue(path)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return write(tmp_path, TEXTS)


def extract(
    catalogue: Catalogue,
    encoder: Path,
    options: TextEmbeddingOptions = EXACT,
    **settings: Any,
) -> TextExtractSummary:
    return extract_texts(
        catalogue,
        str(encoder),
        options=options,
        settings=ExtractSettings("openvino", **settings),
        context=Context("cache", workers=1),
    )


def files(folder: str = "cache") -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def store_of(catalogue: Catalogue) -> EmbeddingStore:
    return find_text_store(catalogue, context=Context("cache"))


def test_equal_texts_once_long_ones_told_missing_ones_missing(
    catalogue: Catalogue, text_encoder: Path
) -> None:
    done = extract(catalogue, text_encoder)
    assert (done.rows, done.embedded, done.missing) == (ITEMS, ITEMS - 1, 1)
    assert (done.texts, done.computed, done.hits, done.longer) == (DIFFERENT, DIFFERENT, 0, 1)
    told = {each.kind: each for each in done.findings}
    assert told["missing texts"].examples == ("f3",)
    assert told["long texts"].examples == ("f9",)
    assert "1 of 38 texts has more than 16 tokens" in told["long texts"].message
    assert "--chunks mean" in told["long texts"].message

    store = store_of(catalogue)
    assert len(store) == DIFFERENT
    encoder = TextEncoder(read_text_encoder(text_encoder), choose_engine("openvino", "float32"))
    for text in ("the ghost", TEXTS["f9"].strip(), TEXTS["f20"]):
        np.testing.assert_allclose(store.read([key(text)]), encoder([text]), rtol=1e-4, atol=1e-5)


def test_the_second_time_nothing_is_loaded_or_computed(
    catalogue: Catalogue, text_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(catalogue, text_encoder)
    before = files()
    monkeypatch.setattr(module, "TextEncoder", None)
    again = extract(catalogue, text_encoder)
    assert (again.computed, again.hits, again.embedded) == (0, DIFFERENT, ITEMS - 1)
    assert files() == before


def test_a_changed_text_is_a_miss_and_a_moved_one_a_hit(
    catalogue: Catalogue, text_encoder: Path, tmp_path: Path
) -> None:
    extract(catalogue, text_encoder)
    changed = {f"other-{name}": text for name, text in TEXTS.items()} | {"other-f0": "space horse"}
    assert extract(write(tmp_path, changed), text_encoder).computed == 1


@pytest.mark.parametrize(
    "options",
    [
        TextEmbeddingOptions(precision="float32", dtype="float32", chunks="mean"),
        TextEmbeddingOptions(precision="float32", dtype="float32", max_length=8),
        TextEmbeddingOptions(precision="float32", dtype="float32", prefix="film: "),
        TextEmbeddingOptions(precision="float32", dtype="float32", last_layers=2),
        TextEmbeddingOptions(precision="float32", dtype="float16"),
    ],
    ids=["chunks", "max-length", "prefix", "last-layers", "dtype"],
)
def test_what_changes_an_embedding_is_a_store_of_its_own(
    options: TextEmbeddingOptions, catalogue: Catalogue, text_encoder: Path
) -> None:
    extract(catalogue, text_encoder)
    said = explain_text_cache(
        catalogue,
        str(text_encoder),
        options=options,
        engine="openvino",
        context=Context("cache"),
    )
    assert (said.hits, said.misses, said.missing) == (0, DIFFERENT, 1)
    (other,) = said.others
    (differs,) = other.differs
    assert other.texts == DIFFERENT
    assert differs in ("chunks", "max_length", "prefix", "last_layers", "dtype")
    assert extract(catalogue, text_encoder, options).computed == DIFFERENT
    assert len(EmbeddingCache("cache").stores()) == 2


def test_chunks_mean_loses_nothing_and_says_so(catalogue: Catalogue, text_encoder: Path) -> None:
    done = extract(
        catalogue,
        text_encoder,
        TextEmbeddingOptions(precision="float32", chunks="mean"),
    )
    assert done.longer == 1
    assert [each.kind for each in done.findings] == ["missing texts"]


def test_limit_goes_on(catalogue: Catalogue, text_encoder: Path) -> None:
    first = extract(catalogue, text_encoder, limit=10)
    assert (first.computed, first.left, first.embedded) == (10, DIFFERENT - 10, 11)
    second = extract(catalogue, text_encoder, limit=10)
    assert (second.hits, second.computed, second.left) == (10, 10, DIFFERENT - 20)
    last = extract(catalogue, text_encoder)
    assert (last.hits, last.computed, last.left) == (20, DIFFERENT - 20, 0)


def test_a_dry_run_writes_nothing(catalogue: Catalogue, text_encoder: Path) -> None:
    how: Any = {"options": EXACT, "context": Context("cache", workers=1)}
    settings = ExtractSettings("openvino", limit=30)
    plan = plan_text_extraction(catalogue, str(text_encoder), settings=settings, **how)
    assert not Path("cache").exists()
    assert (plan.to_compute, plan.left, plan.hits) == (30, DIFFERENT - 30, 0)
    assert (plan.tried, plan.longer, plan.missing) == (30, 1, 1)
    assert plan.bytes == 30 * (16 * 4 + 32)
    assert plan.seconds > 0
    extract(catalogue, text_encoder)
    before = files()
    plan = plan_text_extraction(catalogue, str(text_encoder), settings=settings, **how)
    assert (plan.to_compute, plan.hits, plan.seconds) == (0, DIFFERENT, 0)
    assert files() == before


def test_texts_of_a_packed_column_are_read_singly_without_a_copy_of_it(
    text_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner, name, value in ((table, "_FEW", 1), (csv_rows, "CHUNK", 7), (csv_rows, "_BLOCK", 1)):
        monkeypatch.setattr(owner, name, value)
    catalogue = write(tmp_path, TEXTS)
    assert is_packed(catalogue.frame["overview"])
    monkeypatch.setattr(ArrowExtensionArray, "take", None)  # it makes one piece of all parts
    settings = ExtractSettings("openvino")
    how = (str(text_encoder), EXACT, settings, Context("cache", workers=1))
    _, job = plan_module.plan_text_job(catalogue, *how)
    assert sorted(job.todo.values()) == sorted({text.strip() for text in TEXTS.values()} - {""})


def test_ctrl_c_saves_what_is_computed(
    catalogue: Catalogue, text_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed, calls = TextEncoder.embed, []

    def embed_and_interrupt(self: TextEncoder, tokens: Any) -> Any:
        calls.append(tokens)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return embed(self, tokens)

    with monkeypatch.context() as patch:
        patch.setattr(module, "WINDOW", 4)
        patch.setattr(TextEncoder, "embed", embed_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            extract(catalogue, text_encoder)
    (store,) = EmbeddingCache("cache").stores()
    assert len(store) == 8
    rest = extract(catalogue, text_encoder)
    assert (rest.hits, rest.computed) == (8, DIFFERENT - 8)


def test_a_killed_job_goes_on(
    catalogue: Catalogue, text_encoder: Path, tmp_path: Path, loaded: Any
) -> None:
    arguments = (catalogue.path, text_encoder, "cache")
    done = loaded.run(PROGRAM + KILLED, *arguments, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    saved = sum(map(int, done.stdout.split()))
    assert saved == 12
    rest = extract(catalogue, text_encoder)
    assert (rest.hits, rest.computed, rest.embedded) == (saved, DIFFERENT - saved, ITEMS - 1)


def test_two_processes_share_the_work(
    catalogue: Catalogue, text_encoder: Path, tmp_path: Path, loaded: Any
) -> None:
    arguments = (catalogue.path, text_encoder, "cache")
    done = loaded.run(PROGRAM + TWO, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    said = [[int(number) for number in line.split()] for line in done.stdout.splitlines()]
    assert sum(computed for computed, _ in said) == DIFFERENT
    assert [embedded for _, embedded in said] == [ITEMS - 1, ITEMS - 1]
    assert extract(catalogue, text_encoder).computed == 0


def test_what_another_process_claims_is_waited_for(
    catalogue: Catalogue, text_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = plan_module.make_text_store("cache", read_text_encoder(text_encoder), EXACT, "float32")
    first = key(TEXTS["f20"])
    other, waited = Leases(store.folder), []
    assert other.acquire(first[:1].hex())

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            other.release()

    monkeypatch.setattr(interrupt_module, "time", SimpleNamespace(sleep=wait))
    assert extract(catalogue, text_encoder).computed == DIFFERENT
    assert len(waited) == 3


@pytest.mark.parametrize(("noise", "used"), [(1e-4, "bfloat16"), (0.5, "float32")])
def test_the_precision_is_checked_and_told(
    noise: float,
    used: str,
    catalogue: Catalogue,
    text_encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On any processor: the encoder in reduced precision is that in float32, and noise."""

    made: list[weakref.ref[TextEncoder]] = []

    class Noisy(TextEncoder):
        def __init__(self, spec: Any, choice: EngineChoice, chunks: str) -> None:
            assert not any(other() for other in made)  # one in memory at a time
            made.append(weakref.ref(self))
            super().__init__(spec, EngineChoice("openvino", "float32", "here"), chunks)
            self.engine.choice = choice

        def embed(self, tokens: Any) -> Any:
            rows = super().embed(tokens)
            if self.engine.choice.precision == "float32":
                return rows
            return rows + noise * np.random.default_rng(0).normal(size=rows.shape)

    said: list[str] = []
    context = Context("cache", workers=1)
    monkeypatch.setattr(type(context.progress), "say", lambda self, line: said.append(line))
    monkeypatch.setattr(plan_module, "TextEncoder", Noisy)
    choice = EngineChoice("openvino", "bfloat16", "here")
    monkeypatch.setattr(TransformerSpec, "choose_engine", lambda *names: choice)
    done = extract_texts(catalogue, str(text_encoder), context=context)
    assert done.precision == used
    (store,) = EmbeddingCache("cache").stores()
    assert store.stands_for["precision"] == used
    assert "checking bfloat16 on 38 texts (tiny)" in said
    (line,) = (line for line in said if "is used" in line)
    assert line.startswith(f"{used} is used")
    said.clear()
    assert extract_texts(catalogue, str(text_encoder), context=context).hits == DIFFERENT
    assert not [line for line in said if "checking" in line]  # the cache says it


def test_export_has_the_items_with_a_text(catalogue: Catalogue, text_encoder: Path) -> None:
    extract(catalogue, text_encoder)
    select = TextSelector(str(text_encoder))
    done = export_embeddings(catalogue, "e.npz", select, Context("cache"))
    assert (done.items, done.missing, done.dimension) == (ITEMS - 1, 1, 16)
    with np.load("e.npz") as file:
        assert file["ids"].tolist() == [name for name in TEXTS if name != "f3"]
        rows = dict(zip(file["ids"].tolist(), file["embeddings"], strict=True))
    np.testing.assert_array_equal(rows["f5"], rows["f8"])
    np.testing.assert_array_equal(
        rows["f9"], store_of(catalogue).read([key(TEXTS["f9"].strip())])[0]
    )


def test_what_is_wrong_is_said_at_once(catalogue: Catalogue, text_encoder: Path) -> None:
    wrong = TextEmbeddingOptions(chunks="last", dtype="int8", max_length=2, last_layers=0)
    with pytest.raises(SettingError) as caught:
        extract(catalogue, text_encoder, wrong)
    for option in ("--chunks", "--dtype", "--max-length", "--last-layers"):
        assert f"{option}: expected" in str(caught.value)
    with pytest.raises(SettingError, match=r"--max-length: expected at most 20, .*found 21"):
        extract(catalogue, text_encoder, TextEmbeddingOptions(max_length=21))
    with pytest.raises(SettingError, match=r"--last-layers: expected 1 to 2, .*tiny, found 3"):
        extract(catalogue, text_encoder, TextEmbeddingOptions(last_layers=3))
    assert not Path("cache").exists()


def test_a_catalogue_without_a_text_column(text_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "catalogue.csv").write_text("id,genres,year\na,Drama,1990\nb,Drama,1991\n")
    with pytest.raises(CatalogueError, match=r"expected a text column, found none.*--text"):
        extract(load_catalogue(tmp_path / "catalogue.csv"), text_encoder)


# The command


@pytest.fixture
def said(
    hybrid_here: Callable[..., Any], text_encoder: Path, catalogue: Catalogue
) -> Callable[..., Any]:
    """Run `hybrid WORDS --text-encoder …` on the catalogue: its CompletedProcess."""

    def run(words: Sequence[str], *options: str) -> Any:
        encoder = ("--text-encoder", text_encoder, "--cache", "cache", "--quiet")
        return hybrid_here(*words, *encoder, *options)

    return run


def test_the_command_tells_counts_licence_prefix_and_what_is_cut_off(
    said: Callable[..., Any],
) -> None:
    options = ("--engine", "openvino", "--precision", "float32", "--prefix", "film: ")
    plan = said(["extract"], *options, "--dry-run")
    assert "38 different texts, 0 cached, 38 to compute" in plan.stdout
    done = said(["extract"], *options, "--strict")
    assert done.returncode == 1  # an item has no text
    for words in (
        "tiny, up to 16 tokens: 39 of 40 items have an embedding in cache",
        "38 different texts: 0 cached, 38 computed",
        "licence of the weights: unknown",
        "before each text: 'film: '",
        "1 of 38 texts is longer than 16 tokens, cut off there",
        "1 item without a text, treated as missing",
    ):
        assert words in done.stdout
    assert "note: 1 of 38 texts has more than 16 tokens, such as that of f9" in done.stderr
    assert "note: 1 item has no text in overview, such as f3" in done.stderr
    two = said(["extract"], *options, "--last-layers", "2", "--dry-run")
    assert "tiny, up to 16 tokens, mean of the last 2 layers: 38 different texts" in two.stdout
    few = json.loads(said(["extract"], *options, "--json", "--ids", "f9", "--ids", "f3").stdout)
    assert (few["rows"], few["hits"], few["missing"], few["last_layers"]) == (2, 1, 1, 1)
    assert few["findings"][-1]["examples"] == ["f3"]


def test_the_commands_of_the_cache_know_text_stores(
    said: Callable[..., Any], hybrid_here: Callable[..., Any]
) -> None:
    exact = ("--engine", "openvino", "--precision", "float32")
    said(["extract"], *exact, "--chunks", "mean")
    listed = hybrid_here("cache", "ls", "--cache", "cache")
    assert (
        "tiny, up to 16 tokens, mean of chunks, mean pooling, computed in float32" in listed.stdout
    )
    (store,) = json.loads(hybrid_here("cache", "ls", "--cache", "cache", "--json").stdout)
    assert (store["text_encoder"], store["backbone"], store["embeddings"]) == ("tiny", None, 38)

    explained = said(["cache", "explain"], *exact)
    assert "40 items, 1 without a text, 38 different texts" in explained.stdout
    assert "0 hits, 38 misses" in explained.stdout
    assert "chunks: wanted 'first', there 'mean'" in explained.stdout
    assert "38 hits, 0 misses" in said(["cache", "explain"], *exact, "--chunks", "mean").stdout

    for command in (["verify", "--deep"], ["compact"], ["gc"]):
        assert hybrid_here("cache", *command, "--cache", "cache").returncode == 0
    out = said(["cache", "export"], "--out", "e.h5")
    assert "39 embeddings of dimension 16; 1 item has none" in out.stdout


def test_looking_downloads_no_encoder(
    hybrid_here: Callable[..., Any],
    catalogue: Catalogue,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    import huggingface_hub

    asked = []

    def look(repository: str, *, local_files_only: bool = False, **_: Any) -> str:
        asked.append((repository, local_files_only))
        raise OSError("not there")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", look)
    done = hybrid_here("cache", "explain", "--text-encoder", "e5-small-v2", "--cache", "cache")
    assert done.returncode == 1
    assert "is not on this machine, and this command downloads nothing" in done.stderr
    assert "hf download intfloat/e5-small-v2 --local-dir FOLDER" in done.stderr
    assert asked == [("intfloat/e5-small-v2", True)]


@pytest.mark.parametrize(
    ("command", "words", "found"),
    [
        (["extract"], [], "expected at least one of them, for posters or for texts, found none"),
        (["cache", "explain"], [], "expected one of them, for posters or for texts, found none"),
        (["cache", "explain"], ["--backbone", "vgg16", "--text-encoder", "x"], "found both"),
    ],
)
def test_posters_or_texts(
    command: list[str],
    words: list[str],
    found: str,
    hybrid_here: Callable[..., Any],
    catalogue: Catalogue,
) -> None:
    done = hybrid_here(*command, *words)
    assert done.returncode == 2
    assert "--backbone, --text-encoder: expected" in done.stderr
    assert found in done.stderr


def test_backbones_lists_the_text_encoders(hybrid_here: Callable[..., Any]) -> None:
    rows = json.loads(hybrid_here("backbones", "--json").stdout)
    (row,) = (row for row in rows if row["name"] == "e5-small-v2")
    assert (row["kind"], row["dimension"], row["licence"]) == ("text encoder", 384, "MIT")
    assert {row["kind"] for row in rows} == {"backbone", "text encoder"}
    lines = hybrid_here("backbones").stdout.splitlines()
    (line,) = (line for line in lines if line.startswith("e5-small-v2"))
    for part in ("384", "33,360,000", "English", "MIT", "'query: '", "huggingface.co/intfloat"):
        assert part in line
