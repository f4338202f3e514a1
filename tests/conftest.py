"""Fixtures that several test files use."""

from __future__ import annotations

import contextlib
import csv
import gc
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_limits

SHARED = Path(__file__).resolve().parents[2] / "shared"
WORDS = {
    "Comedy": "funny laugh joke wedding",
    "Horror": "ghost blood scream night",
    "Western": "sheriff horse desert gun",
}
COLOURS = {"Comedy": (230, 200, 40), "Horror": (20, 10, 30), "Western": (180, 110, 50)}


# What the fault tests repeat → how often in the gate, and with --fault-counts=full.
FAULT_COUNTS = {
    "kills": (6, 1000),
    "signals": (1, 50),  # of each kind, to each command
    "states": (300, 10_000),
    "refusals": (1, 3),  # turns; in each every call is refused once
    "damages": (120, 5000),
    "files": (60, 5000),  # damages, over all kinds of files
    "machines": (40, 5000),
    "machines at a URL": (2, 300),
}
TALLY = pytest.StashKey[list[str]]()
REWRITTEN = pytest.StashKey[bool]()  # whether TensorFlow rewrites graphs now
# Folders and files whose tests run TensorFlow's graphs as they are traced: see `pytest_runtest_setup`.
TRACED = (
    *("cli/test_cli", "deep/", "inspection/", "runs/test_cost", "runs/test_predict", "studies/"),
    *("test_demo", "test_docs", "tuning/"),
)
# Files that take ten seconds or more, the longest first: two processes that share the files end together.
# While one compiles the loops of the linear SVM, in tests/cli/test_cli.py, the other is at what needs none.
LONG = [
    "backbones/test_backbones",
    "tuning/test_tune",
    "deep/test_networks",
    "cache/test_power_cut",
    "cli/test_cli",
    "studies/test_study",
    "deep/test_deep",
    "runs/test_movies",
    "test_docstrings",
    "report/test_report",
    "deep/test_resume",
    "deep/test_runs",
    "test_demo",
    "tuning/test_tune_backbone",
    "backbones/test_engines",
    "deep/test_fused",
    "test_docs",
    "cli/test_signals",
    "cache/test_kill",
    "model_file/test_damage",
    "cache/test_damage",
    "runs/test_replacement",
    "studies/race/test_race",
    "heads/test_heads",
    "heads/test_fusion_heads",
    "explain/test_explain",
    "inspection/test_explain_deep",
    "model_file/test_round_trip",
    "extraction/test_pipeline",
    "duplicates/test_find",
    "heads/test_null",
    "deep/test_ancestors",
    "backbones/test_weights",
    "report/test_groups",
    "backbones/test_hub_presets",
    "catalogue/download/test_fetch",
    "deep/test_fused_embeddings",
    "cache/test_any_file",
    "cli/test_advice",
    "inspection/test_poster_saliency",
    "duplicates/test_shared_by_many",
    "report/test_browser",
    "heads/test_search",
    "studies/test_learning_curve",
    "extraction/test_extract",
    "runs/test_golden_runs",
    "runs/test_cost",
    "runs/test_predict",
    "test_wheel",
    "text_encoders/test_encoder",
    "features/test_poster_blocks",
    "test_architecture",
    "cli/test_outputs",
    "cli/test_reading_commands",
    "fuzz/test_fuzz",
    "report/test_layout",
    "cli/test_foreign_runs",
    "heads/test_scikit_learn",
    "extraction/test_extract_texts",
    "evaluation/test_evaluate",
    "deep/test_several_posters",
    "images/test_memory",
    "catalogue/test_hostile_tables",
    "runs/test_multiclass",
    "cli/test_nothing_silent",
    "cli/test_disk_faults",
    "deep/test_description",
    "cache/test_state_machine",
]


def _check_descriptor(descriptor: Any) -> None:
    os.fstat(descriptor)


def pytest_sessionstart() -> None:
    """Make test processes alike: one thread of BLAS, unless the environment says otherwise, and Ctrl-C.

    Processes that share the cores are slowed down many times by threads that wait for each other.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        if name not in os.environ:
            os.environ[name] = "1"  # for libraries that are loaded later, and for commands
            threadpool_limits(1, "blas" if name.startswith("OPENBLAS") else "openmp")
    # To sync takes long, and nobody pulls the plug: tests/cache/test_power_cut.py simulates that.
    os.fsync = _check_descriptor
    # A shell starts its background jobs with SIGINT ignored; the tests of Ctrl-C need Python's handler.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # And nohup ignores SIGHUP, which commands that the tests start would leave ignored.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Keep the garbage collector from what is imported and collected, which stays until the end.

    Each of its searches would go through TensorFlow's modules and thousands of tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """In the tests named in `TRACED`, run TensorFlow's graphs as they are traced.

    To rewrite a graph for speed takes longer than the few steps that those tests train. Slow tests, those
    that ask for `rewritten_graphs`, and commands in processes of their own rewrite graphs as users do.
    """
    names = getattr(item, "fixturenames", ())
    rewritten = (
        not _file(item).startswith(TRACED)
        or "rewritten_graphs" in names
        or item.get_closest_marker("slow") is not None
    )
    if "tensorflow" in sys.modules and item.config.stash.get(REWRITTEN, True) != rewritten:
        import tensorflow as tf

        item.config.stash[REWRITTEN] = rewritten
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not rewritten})


@pytest.fixture
def rewritten_graphs() -> None:
    """Let TensorFlow rewrite its graphs in this test: see `pytest_runtest_setup`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fault-counts",
        choices=["gate", "full"],
        default="gate",
        help="How often faults are made.",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: i for i, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(_file(item), len(LONG)))


def _file(item: pytest.Item) -> str:
    """`tests/deep/test_runs.py` → `deep/test_runs`."""
    return item.path.relative_to(Path(__file__).parent).with_suffix("").as_posix()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TALLY] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for line in sorted(config.stash[TALLY]):
        terminalreporter.write_line(f"faults: {line}")


@pytest.fixture(scope="session")
def fault_counts(request: pytest.FixtureRequest) -> dict[str, int]:
    """How often each kind of fault is to be made."""
    full = request.config.getoption("--fault-counts") == "full"
    return {name: counts[full] for name, counts in FAULT_COUNTS.items()}


@pytest.fixture(scope="module")
def few_draws() -> Iterator[None]:
    """Few draws of a bootstrap, which would take most of the time."""
    from hybrid.evaluation import compare_with_reference, evaluate, evaluate_all

    with pytest.MonkeyPatch.context() as patch:
        for function in (evaluate, evaluate_all, compare_with_reference):
            patch.setitem(function.__kwdefaults__, "draws", 40)
        yield


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Note a line that is printed at the end of the tests."""
    return request.config.stash[TALLY].append


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test outside the checkout, whose folder hybrid/ is not the whole package."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Fail a test that waits for a pipe, or reads a device for ever, after a minute."""

    def fail(*_: object) -> None:
        pytest.fail("it waits, or reads, for ever")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def movies() -> Path:
    """The shared folder of real films."""
    folder = SHARED / "movies"
    if not (folder / "catalogue.csv").exists():
        pytest.skip("the real films (shared/movies beside the checkout) are not here")
    return folder


@pytest.fixture(scope="session")
def mobilenet_weights() -> Path:
    """MobileNet weights trained on ImageNet."""
    path = SHARED / "weights" / "mobilenet_7_5_224_notop.weights.h5"
    if not path.exists():
        pytest.skip("the MobileNet weights (shared/weights beside the checkout) are not here")
    return path


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the sentence encoder all-MiniLM-L6-v2."""
    path = SHARED / "weights" / "all-MiniLM-L6-v2"
    if not path.exists():
        pytest.skip("the encoder all-MiniLM-L6-v2 (shared/weights beside the checkout) is not here")
    return path


def write_text_encoder(
    folder: Path, kind: str = "bert", pooling: str = "mean", **changes: Any
) -> Path:
    """The folder of a tiny text encoder with random weights, as sentence-transformers writes it."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "a",
        "the",
        "film",
        "about",
        "alien",
        "funny",
        "ghost",
        "space",
        "horse",
    ]
    words += sorted({w for text in WORDS.values() for w in text.split()} - set(words))
    words += [f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"] + list(
        "bcdefghijklmnopqrstuvwxyz.0123456789"
    )
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    distil = kind == "distilbert"
    names = {
        **{"layers": "num_hidden_layers", "size": "hidden_size", "heads": "num_attention_heads"},
        **{"wide": "intermediate_size", "act": "hidden_act"},
    }
    if distil:
        names = {"layers": "n_layers", "size": "dim", "heads": "n_heads", "wide": "hidden_dim"}
        names["act"] = "activation"
    sizes: dict[str, Any] = {
        "layers": 2,
        "size": 16,
        "heads": 4,
        "wide": 24,
        "act": "gelu",
        **changes,
    }
    padding = 2 if kind in ("roberta", "xlm-roberta", "mpnet") else 0
    config = {
        "model_type": kind,
        **{names[key]: value for key, value in sizes.items()},
        **{"layer_norm_eps": 1e-12, "max_position_embeddings": 20 + padding, "pad_token_id": 1},
        **{
            "vocab_size": len(vocabulary),
            "type_vocab_size": 2,
            "relative_attention_num_buckets": 8,
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    random = np.random.default_rng(0)
    arrays = _encoder_arrays(kind, sizes, len(vocabulary), 20 + padding, random)
    save_file(arrays, folder / "model.safetensors")
    kinds = ["Transformer", "Pooling", "Normalize"]
    places = ["", "1_Pooling", "2_Normalize"]
    modules = [
        {"idx": i, "name": str(i), "path": place, "type": f"sentence_transformers.models.{name}"}
        for i, (name, place) in enumerate(zip(kinds, places, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    modes = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
    modes["sqrt-length"] = "mean_sqrt_len_tokens"
    (folder / "1_Pooling").mkdir(exist_ok=True)
    chosen = {f"pooling_mode_{mode}": name == pooling for name, mode in modes.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(chosen))
    (folder / "sentence_bert_config.json").write_text(
        '{"max_seq_length": 16, "do_lower_case": false}'
    )
    return folder


def _encoder_arrays(
    kind: str, sizes: Mapping[str, Any], words: int, positions: int, random: np.random.Generator
) -> dict[str, Any]:
    """Random weights by the names that the networks of transformers have."""
    size, wide = sizes["size"], sizes["wide"]

    def draw(*shape: int) -> Any:
        return random.normal(0, 0.5, shape).astype(np.float32)

    found = {
        "embeddings.word_embeddings.weight": draw(words, size),
        "embeddings.position_embeddings.weight": draw(positions, size),
        "embeddings.LayerNorm.weight": 1 + draw(size),
        "embeddings.LayerNorm.bias": draw(size),
    }
    if kind not in ("mpnet", "distilbert"):
        found["embeddings.token_type_embeddings.weight"] = draw(2, size)
    if kind == "mpnet":
        found["encoder.relative_attention_bias.weight"] = draw(8, sizes["heads"])
    own = {
        "distilbert": (
            "transformer.layer.{}.",
            *("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
            *("sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"),
        ),
        "mpnet": (
            "encoder.layer.{}.",
            *("attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o"),
            *("attention.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"),
        ),
    }
    bert = (
        "encoder.layer.{}.",
        *("attention.self.query", "attention.self.key", "attention.self.value"),
        *("attention.output.dense", "attention.output.LayerNorm"),
        *("intermediate.dense", "output.dense", "output.LayerNorm"),
    )
    start, *parts = own.get(kind, bert)
    for layer in range(sizes["layers"]):
        for number, part in enumerate(parts):
            outs, ins = (wide, size) if number == 5 else (size, wide if number == 6 else size)
            name = start.format(layer) + part
            norm = number in (4, 7)
            found[f"{name}.weight"] = 1 + draw(size) if norm else draw(outs, ins)
            found[f"{name}.bias"] = draw(size if norm else outs)
    return found


@pytest.fixture(scope="session")
def text_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny text encoder of the BERT family, not to be changed."""
    return write_text_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="session")
def make_text_encoder() -> Callable[..., Path]:
    """Make tiny text encoders: see `write_text_encoder`."""
    return write_text_encoder


def write_films(folder: Path, n: int, seed: int = 0) -> Path:
    """A small catalogue whose posters, words and directors depend on the genres."""
    random = np.random.default_rng(seed)
    (folder / "posters").mkdir(parents=True, exist_ok=True)
    names = list(WORDS)
    rows = []
    for i in range(n):
        genres = [g for j, g in enumerate(names) if (i % 3 == j) or random.random() < 0.2]
        words = [w for g in genres for w in WORDS[g].split() if random.random() < 0.6]
        colour = np.mean([COLOURS[g] for g in genres], axis=0)
        pixels = np.clip(random.normal(colour, 30, size=(48, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "posters" / f"{i}.png")
        rows.append(
            {
                "id": f"f{i:03}",
                "title": f"Film {i}",
                "year": 1950 + i % 60,
                "genres": "|".join(genres),
                "overview": " ".join(["a film about", *words]),
                "directors": f"Director {genres[0]}|Someone {i % 7}",
                "poster": f"posters/{i}.png",
            }
        )
    path = folder / "catalogue.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of 90 small films, not to be changed."""
    return write_films(tmp_path_factory.mktemp("films"), 90)


def store_texts(
    cache: Path, catalogue: Any, rows: Any, encoder: Path, dtype: str = "float32"
) -> None:
    """Put rows into the cache as if an encoder had made them of a catalogue's texts, in order."""
    from hybrid.extraction.text_plan import configured_encoder, make_text_store
    from hybrid.extraction.texts import item_texts, text_keys
    from hybrid.types import TextEmbeddingOptions

    options = TextEmbeddingOptions(dtype=dtype)
    store = make_text_store(
        str(cache), configured_encoder(str(encoder), options), options, "float32"
    )
    keys = text_keys(
        item_texts(catalogue.frame, catalogue.columns.text), store.stands_for["prefix"]
    )
    found = {key: row for key, row in zip(keys, np.float32(rows), strict=True) if key is not None}
    store.append(list(found), np.array(list(found.values())))


@pytest.fixture(scope="session")
def keep_texts(text_encoder: Path) -> Callable[..., None]:
    """Put rows into a cache as embeddings of texts by the tiny encoder: ``(cache, catalogue, rows)``."""
    return lambda cache, catalogue, rows: store_texts(cache, catalogue, rows, text_encoder)


@pytest.fixture(scope="session")
def items(films: Path) -> Any:
    """The 90 films as what a network learns from."""
    from hybrid.catalogue import load_catalogue
    from hybrid.deep.items import Items

    catalogue = load_catalogue(films)
    return Items(catalogue.ids.tolist(), catalogue.poster_paths, catalogue.labels)


@pytest.fixture(scope="module")
def shallow_mobilenet() -> Iterator[None]:
    """Make keras.applications.MobileNet a network of its first and last two blocks, which is built faster."""
    import keras
    from keras import layers

    def shallow(input_shape: tuple[int, int, int], **settings: Any) -> Any:
        def convolve(x: Any, layer: Any, name: str) -> Any:
            x = layers.BatchNormalization(name=f"{name}_bn")(layer(x))
            return layers.ReLU(6.0, name=f"{name}_relu")(x)

        how: dict[str, Any] = {"padding": "same", "use_bias": False}
        x = inputs = keras.Input(input_shape)
        x = convolve(x, layers.Conv2D(24, 3, strides=8, name="conv1", **how), "conv1")
        for block in (12, 13):
            wide, deep = f"conv_dw_{block}", f"conv_pw_{block}"
            x = convolve(x, layers.DepthwiseConv2D(3, strides=2, name=wide, **how), wide)
            x = convolve(x, layers.Conv2D(768, 1, name=deep, **how), deep)
        return keras.Model(inputs, x)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.applications, "MobileNet", shallow)
        yield


@contextlib.contextmanager
def run_eagerly() -> Iterator[None]:
    """Run networks operation by operation: to trace a step of a training takes longer than a few steps do.

    For tests of what becomes of a network that is trained briefly. How networks are trained, in graphs as
    for users, is the subject of test_deep.py, test_networks.py, test_fused.py and test_resume.py in
    tests/deep, and of tests/tuning/test_train.py.
    """
    import keras

    compile_ = keras.Model.compile

    def compile_eagerly(self: Any, *arguments: Any, **settings: Any) -> None:
        compile_(self, *arguments, **{**settings, "run_eagerly": True})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "compile", compile_eagerly)
        yield


@pytest.fixture(scope="module")
def eager_networks() -> Iterator[None]:
    """See `run_eagerly`; in all tests of a file."""
    with run_eagerly():
        yield


@pytest.fixture
def eager_network() -> Iterator[None]:
    """See `run_eagerly`; in one test."""
    with run_eagerly():
        yield


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder of one's own with 90 small films, and the current directory in it."""
    write_films(tmp_path, 90)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def hybrid_command() -> Callable[..., Any]:
    """Run the command line in a process of its own: arguments → CompletedProcess."""

    def run(*arguments: object, cwd: Path | None = None, **env: str) -> Any:
        return subprocess.run(
            [
                sys.executable,
                "-c",
                "from hybrid.cli.main import main; main()",
                *map(str, arguments),
            ],
            cwd=cwd,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def loaded() -> Iterator[Any]:
    """Run programs in processes of their own that have loaded TensorFlow: see `loaded_process.py`."""
    path = Path(__file__).with_name("loaded_process.py")
    process = runpy.run_path(str(path))["Loaded"]()
    yield process
    process.close()


@pytest.fixture
def hybrid_here(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Like `hybrid_command`, but in this process: another one takes seconds to load its libraries."""
    from hybrid.cli.main import main

    def run(*arguments: object, cwd: Path | None = None) -> Any:
        capfd.readouterr()
        with monkeypatch.context() as patch, warnings.catch_warnings():
            patch.chdir(cwd or Path.cwd())
            warnings.simplefilter("default")
            with pytest.raises(SystemExit) as left:
                main([*map(str, arguments)])
        said = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, int(left.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Make a comparison in memory: genres, truth (n, L), name → scores (n, L), records → Comparison.

    The test items are i0, i1, …; as many train items t0, t1, … have the same labels.
    """
    from hybrid.catalogue import load_catalogue
    from hybrid.report.alignment import align_runs
    from hybrid.report.comparison import compare
    from hybrid.runs.folder import Run
    from hybrid.runs.record import RunRecord
    from hybrid.types import Predictions

    def make(
        genres: tuple[str, ...],
        truth: np.ndarray,
        runs: Mapping[str, np.ndarray],
        records: Mapping[str, dict[str, Any]] | None = None,
        columns: Mapping[str, list[str]] | None = None,
        draws: int = 20,
    ) -> Any:
        n = len(truth)
        ids = [f"i{k}" for k in range(n)] + [f"t{k}" for k in range(n)]
        cells = ["|".join(np.array(genres, dtype=object)[row != 0]) for row in truth] * 2
        path = tmp_path_factory.mktemp("compared") / "catalogue.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "genres", *(columns or {})])
            writer.writerows(zip(ids, cells, *(columns or {}).values(), strict=True))
        splits = np.array(["test"] * n + ["train"] * n)
        made = []
        for name, scores in runs.items():
            both = np.concatenate([scores, scores])
            labels = (both >= 0.5).astype(np.uint8)
            predictions = Predictions(np.array(ids), splits, genres, labels, both)
            record = {"format": 1, **((records or {}).get(name) or {})}
            made.append(Run(Path(name), RunRecord.from_json(record), predictions))
        return compare(align_runs(load_catalogue(path), made), draws=draws)

    return make


@pytest.fixture(scope="session")
def copy_sources() -> Callable[[Path], Path]:
    """Copy what an installation needs, links as links, so that nothing is left in the checkout."""
    root = Path(__file__).resolve().parents[1]

    def copy(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(root / name, folder)
        for name in ("hybrid", "cache", "cli"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(root / name, folder / name, symlinks=True, ignore=ignore)
        return folder

    return copy


@pytest.fixture(scope="session")
def run_in() -> Callable[..., str]:
    """Run a command in a folder, without PYTHONPATH; returns what it prints, and fails if it fails."""

    def run(folder: Path, *command: object) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
