"""No option is ignored: each has an effect, or is refused before anything is done.

`ALWAYS` names the options that count whatever else is said, `REFUSED` has for each other option a command in
which it would have no effect. A new option must be in one of the two.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from hybrid.cli.main import COMMANDS, hybrid

Call = Callable[..., int]

COMMON = ("catalogue", "splits", "cache", "runs", "seed", "workers", "cluster", "quiet", "json")
# The common options that mean something to a command, besides --quiet and --json.
MEANS = {
    "demo": {"seed", "workers"},
    "sample": {"seed"},
    "import": set(),
    "import-embeddings": {"catalogue", "cache", "workers"},
    "race": {"catalogue", "splits", "cache", "seed", "workers"},
    "tune": {"catalogue", "splits", "cache", "seed", "workers"},
    "fetch-posters": {"catalogue", "workers", "cluster"},
    "check": {"catalogue", "workers", "cluster"},
    "split": {"catalogue", "splits", "cache", "seed", "workers", "cluster"},
    "audit": {"catalogue", "splits", "cache", "runs", "seed", "workers", "cluster"},
    "extract": {"catalogue", "cache", "seed", "workers", "cluster"},
    "fit-svm": {*COMMON} - {"quiet", "json"},
    "fit-ovr": {*COMMON} - {"quiet", "json"},
    "fit-deep": {*COMMON} - {"cluster", "quiet", "json"},
    "predict": {"catalogue", "cache", "runs", "workers", "cluster"},
    "report": {"catalogue", "runs", "seed", "workers"},
    "explain": {"catalogue", "cache", "runs", "seed", "workers"},
    "describe": {"runs"},
    "study": {*COMMON} - {"quiet", "json"},
    "model-card": {"catalogue", "runs", "seed", "workers"},
    "convert": {"runs"},
    "cache ls": {"cache", "workers"},
    "cache explain": {"catalogue", "cache", "seed", "workers"},
    "cache verify": {"cache", "workers"},
    "cache compact": {"cache", "workers"},
    "cache gc": {"cache", "workers"},
    "cache export": {"catalogue", "cache", "seed", "workers"},
    "backbones": set(),
}

# They say how the catalogue is read, and are checked against its columns by every command.
COLUMNS = {
    "id-column",
    "label-column",
    "label-separator",
    "poster-column",
    "posters",
    "label-map",
    "min-label-count",
    "unknown-column",
    "text",
    "numeric",
    "categorical",
    "list",
    "date",
    "drop",
    "decimal",
    "date-order",
}
ANY_EMBEDDING = {"precision", "dtype", "engine"}  # of posters or of texts
POSTERS = ["--backbone", "mobilenet-075"]
TEXTS = ["--text-encoder", "encoder"]  # refused before it is looked for
SELECTED = {"backbone", "dtype", "embeddings"}
TASK = {"task", "single-label", "genres", "per-genre"}
HEAD = {
    "blocks",
    "nested",
    "folds",
    "curve",
    "licence",
    "name",
    "ablation",
    "repeats",
    *TASK,
}
DEEP = {
    *(
        "backbone",
        "name",
        "resume",
        "dry-run",
        "tensorboard",
        "licence",
    ),
    *TASK,
    *(
        "head-units",
        "dropout",
        "stages",
        "epochs",
        "patience",
        "batch-size",
        "learning-rate",
        "schedule",
    ),
    *("weight-decay", "label-smoothing", "loss", "accumulate", "precision", "devices"),
    "calibration",
}
ALWAYS = {
    "demo": {"full", "force"},
    "sample": {"items"},
    "import": {"out", "genre-names"},
    "import-embeddings": {
        *(*COLUMNS, "block", "of", "ids", "id-name", "vector-column", "dtype", "add", "licence"),
        "trained-on",
    },
    "race": {
        *(*COLUMNS, "backbone", "text-encoder", "budget", "with-blocks", "start", "metric", "confidence"),
        *("folds", "licence", "out", "dry-run", "force"), *ANY_EMBEDDING, *TASK,
    },
    "tune": {
        *(*COLUMNS, "text-encoder", "backbone", "name", "encoders", "precision", "dry-run", "force"),
        *("folds", "epochs", "layers", "learning-rate", "head-rate", "layer-decay", "warm-up"),
        *("weight-decay", "dropout", "batch-size", "patience", "refit", "licence"), *TASK,
    },
    "fetch-posters": {
        *("id-column", "url-column", "out", "concurrency", "rate", "timeout", "retries", "max-bytes"),
        *("max-pixels", "max-shared", "allow-private", "retry-failed", "refresh", "strict", "force"),
    },
    "check": {*COLUMNS, "strict"},
    "split": {*COLUMNS, "method", "validation", "force"},
    "audit": {*COLUMNS, *SELECTED, "text-encoder", "text-embeddings", "run", "repair", "sheet", "force"},
    # A dry run rehearses the command that it is given, with all its options.
    "extract": {
        *(*COLUMNS, *ANY_EMBEDDING, "backbone", "text-encoder", "ids", "limit"),
        *("licence", "strict"),
    },
    "fit-svm": {*COLUMNS, *HEAD, "metric", "C", "calibration", "chain"},
    "fit-ovr": {*COLUMNS, *HEAD, "estimator"},
    "fit-deep": {*COLUMNS, *DEEP},
    "predict": {"out", "posters", "licence", "force"},
    "report": {*COLUMNS, "external", "out", "draws", "force"},
    "explain": {"genre", "top", "features", "posters", "force"},
    # Of a network; a run refuses them all.
    "describe": {
        *("head-units", "dropout", "stages", "epochs", "patience", "batch-size", "learning-rate"),
        *("schedule", "weight-decay", "label-smoothing", "loss", "accumulate", "precision", "task"),
    },
    "study": {"ablation", "curve", "repeats", "nested", "licence"},
    "model-card": {*COLUMNS, "out", "draws", "force"},
    "convert": {"allow-pickle"},
    "cache ls": set(),
    "cache explain": {*COLUMNS, *ANY_EMBEDDING, "backbone", "text-encoder"},
    "cache verify": {"deep"},
    "cache compact": set(),
    "cache gc": {"dry-run"},
    "cache export": {*COLUMNS, "dtype", "embeddings", "text-encoder", "block", "out", "force"},
    "backbones": {"layers"},
}  # fmt: skip

PARQUET = ["--catalogue", "films.parquet", "--encoding", "utf-8"]
URLS = ["--catalogue", "urls.csv"]
TEXT = ["--blocks", "text"]
POSTER = ["--blocks", "poster"]
DUMMY = ["--estimator", "dummy-stratified", *TEXT]
FOREST = ["--estimator", "forest", *TEXT]


def for_heads(command: str, head: list[str]) -> dict[tuple[str, str], list[str]]:
    """What a fit command refuses, whichever head it fits."""
    refused = {
        "encoding": PARQUET,
        "backbone": [*TEXT, "--backbone", "mobilenet-075"],
        "weights": ["--weights", "absent.h5"],
        "dtype": [*TEXT, "--dtype", "float16"],
        "embeddings": [*TEXT, "--embeddings", "9c"],
        "poster-pooling": ["--poster-pooling", "mean"],  # no item has several posters
        "text-encoder": [*TEXT, "--text-encoder", "all-MiniLM-L6-v2"],
        "text-embeddings": [*TEXT, "--text-embeddings", "9c"],
        "max-ngram": [*POSTER, "--max-ngram", "2"],  # the default, typed
        "max-chars": [*POSTER, "--max-chars", "0"],
        "min-df": [*POSTER, "--min-df", "3"],
        "max-features": [*POSTER, "--max-features", "10"],
        "sublinear": [*POSTER, "--no-sublinear"],
        "segmenter": [*TEXT, "--segmenter", "icu"],  # no text without spaces
        "min-count": [*TEXT, "--min-count", "3"],
        "year-bin": [*TEXT, "--year-bin", "5"],
        "block-weight": [*TEXT, "--block-weight", "poster=2"],
        "thresholds": ["--metric", "micro-f1", "--thresholds", "genre"],
    }
    return {(command, option): [*head, *words] for option, words in refused.items()}


REFUSED = {
    **for_heads("fit-svm", []),
    **for_heads("fit-ovr", ["--estimator", "logistic"]),
    ("fit-svm", "search"): [*TEXT, "--C", "0.1", "--search"],
    ("fit-ovr", "chain"): ["--estimator", "stacking", "--chain"],
    ("fit-ovr", "search"): ["--estimator", "boosting", "--search"],
    ("fit-ovr", "metric"): [*DUMMY, "--metric", "map"],
    ("fit-ovr", "calibration"): [*DUMMY, "--calibration", "sigmoid"],
    **{
        (command, option): [*words, "--task", "multiclass", f"--{option}", *value]
        for command, words in {
            "fit-svm": TEXT,
            "fit-ovr": ["--estimator", "logistic", *TEXT],
            "fit-deep": ["--backbone", "text"],
        }.items()
        for option, value in {
            "thresholds": ["genre"],
            "shrinkage": ["3"],
            "max-labels": ["2"],
            "at-least-one": [],
        }.items()
    },
    ("study", "by"): ["svm", "--ablation", "--by", "year"],
    ("study", "method"): ["svm", "--ablation", "--method", "random"],
    **{
        ("import", option): [kind, "catalogue.csv", "--out", "imported", f"--{option}", value]
        for option, kind, value in (
            ("posters", "folder", "posters"),
            ("join", "folder", "films"),
            ("title-type", "csv", "movie"),
            ("map", "imdb", "title=title"),
            ("label-separator", "imdb", ","),
            ("encoding", "huggingface", "utf-8"),
        )
    },
    ("fetch-posters", "base-url"): [*URLS, "--base-url", "http://localhost/posters"],
    ("fetch-posters", "tmdb-size"): [*URLS, "--tmdb-size", "w342"],
    **{
        (command, option): [*TEXTS, f"--{option}", *value]
        for command in ("extract", "cache explain", "race")
        for option, *value in (
            ("weights", "random"),
            ("layer", "last"),
            ("pooling", "max"),
            ("input-size", "64"),
            ("fit", "squash"),
            ("mean", "0.5"),
            ("std", "0.5"),
        )
    },
    **{
        ("tune", option): [*TEXTS, f"--{option}", value]
        for option, value in (("weights", "imagenet"), ("input-size", "64"))
    },
    **{
        ("tune", option): [*POSTERS, f"--{option}", value]
        for option, value in (("max-length", "128"), ("lora-rank", "4"), ("lora-alpha", "8"))
    },
    ("extract", "batch-size"): [*TEXTS, "--batch-size", "8"],
    ("extract", "shard"): ["--backbone", "small", "--shard", "1/2", "--cluster", "local:2"],
    ("extract", "dry-run"): ["--backbone", "small", "--dry-run", "--cluster", "local:2"],
    ("extract", "retry-failed"): [*TEXTS, "--retry-failed"],
    **{
        (command, option): [*POSTERS, f"--{option}", value]
        for command in ("extract", "cache explain", "race")
        for option, value in (
            ("chunks", "first"),
            ("max-length", "64"),
            ("prefix", ""),
            ("last-layers", "1"),
        )
    },
    ("cache export", "backbone"): [*TEXTS, *POSTERS, "--out", "e.npz"],
    ("fit-svm", "rows"): ["--chain", "--rows", "disk"],
    ("fit-ovr", "rows"): ["--estimator", "knn", "--rows", "disk"],
    ("split", "by"): ["--by", "year"],
    ("split", "folds"): ["--folds", "5"],
    ("split", "repeats"): ["--method", "kfold", "--repeats", "3"],
    ("split", "test"): ["--method", "kfold", "--test", "0.3"],
    ("split", "group-column"): ["--method", "legacy-2017", "--group-column", "directors"],
    ("split", "cluster"): ["--method", "legacy-2017", "--cluster", "local:2"],
    ("split", "near-duplicates"): ["--method", "legacy-2017", "--near-duplicates"],
    ("audit", "weights"): ["--weights", "absent.h5"],
    ("cache export", "poster-pooling"): ["--poster-pooling", "max", "--out", "e.npz"],
    ("cache export", "weights"): ["--weights", "imagenet", "--out", "e.npz"],
    ("fit-deep", "body"): ["--backbone", "small", "--body", "vgg16"],
    ("fit-deep", "input-size"): ["--backbone", "text", "--input-size", "64"],
    ("fit-deep", "weights"): ["--backbone", "text", "--weights", "imagenet"],
    ("fit-deep", "unfreeze"): ["--backbone", "scratch", "--unfreeze", "2"],
    ("fit-deep", "fine-learning-rate"): ["--backbone", "vgg16-fc", "--fine-learning-rate", "0.1"],
    ("fit-deep", "poster-pooling"): [
        "--backbone",
        "fused",
        "--body",
        "mobilenet-075",
        "--poster-pooling",
        "max",
    ],
    ("fit-deep", "cache-frozen"): ["--backbone", "scratch", "--cache-frozen"],
    **{
        (command, option): [*network, f"--{option}", value]
        for command, network in (("fit-deep", ["--backbone", "text"]), ("describe", ["text"]))
        for option, value in (
            ("blocks", "text"),
            ("text-encoder", "tiny"),
            ("text-embeddings", "0a"),
        )
    },
    ("describe", "labels"): ["svm", "--labels", "3"],
    ("describe", "input-size"): ["svm", "--input-size", "64"],
    ("describe", "weights"): ["svm", "--weights", "imagenet"],
    ("describe", "poster-pooling"): ["scratch", "--poster-pooling", "max"],
    ("describe", "cache-frozen"): ["svm", "--cache-frozen"],
    ("describe", "body"): ["small", "--body", "vgg16"],
    ("describe", "unfreeze"): ["scratch", "--unfreeze", "2"],
    ("describe", "fine-learning-rate"): ["vgg16-fc", "--fine-learning-rate", "0.1"],
    ("predict", "weights"): ["text", "--weights", "imagenet"],
    ("predict", "text-encoder"): ["text", "--text-encoder", "all-MiniLM-L6-v2"],
    ("explain", "rank"): ["svm", "f001", "--rank", "unit"],
    ("explain", "weights"): ["svm", "f001", "--weights", "imagenet"],
    ("explain", "map"): ["svm", "--map"],
    ("explain", "channels"): ["svm", "--channels", "3"],
    ("explain", "occlude"): ["svm", "f001", "--occlude"],
    ("explain", "html"): ["svm", "--html", "page.html"],
    **{
        (command, "encoding"): [*words, *PARQUET]
        for command, words in {
            "check": [],
            "fetch-posters": [],
            "split": [],
            "tune": ["--text-encoder", "all-MiniLM-L6-v2"],
            "race": ["--text-encoder", "all-MiniLM-L6-v2", "--backbone", "vgg16"],
            "import-embeddings": ["made.npz", "--block", "clip"],
            "audit": [],
            "extract": ["--backbone", "mobilenet-075", "--weights", "random"],
            "fit-deep": ["--backbone", "small"],
            "predict": ["svm"],
            "report": [],
            "explain": ["svm"],
            "model-card": ["svm"],
            "study": ["svm", "--ablation"],
            "cache explain": ["--backbone", "mobilenet-075", "--weights", "random"],
            "cache export": ["--out", "e.npz"],
        }.items()
    },
}


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(hybrid)
    for name in COMMANDS:
        command = hybrid.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", each) for sub, each in command.commands.items())
        elif command is not None:
            yield name, command


FOUND = {
    name: {
        parameter.opts[0].lstrip("-")
        for parameter in command.params
        if isinstance(parameter, click.Option)
    }
    for name, command in commands()
}


@pytest.fixture
def project(fitted_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(fitted_project, folder)
    (folder / "films.parquet").write_bytes(b"")  # refused before it is read
    (folder / "urls.csv").write_text("id,poster\n1,http://localhost/1.jpg\n")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    return folder


@pytest.mark.parametrize("name", FOUND)
def test_common_options_are_those_that_mean_something(name: str) -> None:
    assert FOUND[name] & {*COMMON} == {*MEANS[name], "quiet", "json"}


@pytest.mark.parametrize("name", FOUND)
def test_every_option_counts_always_or_is_refused_somewhere(name: str) -> None:
    refused = {option for command, option in REFUSED if command == name} - {*COMMON}
    assert FOUND[name] - {*COMMON} == ALWAYS[name] | refused
    assert not ALWAYS[name] & refused


@pytest.mark.parametrize(("command", "option"), REFUSED)
def test_an_option_that_would_be_ignored_is_refused(
    command: str,
    option: str,
    project: Path,
    call: Call,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(project.rglob("*"))
    assert call(*command.split(), *REFUSED[command, option]) == 2
    out, err = capsys.readouterr()
    assert f"--{option}" in err
    assert "expected" in err
    assert out == ""
    assert sorted(project.rglob("*")) == before


def test_all_options_that_would_be_ignored_are_named_at_once(
    project: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [
        "--max-ngram",
        "3",
        "--year-bin",
        "5",
        "--block-weight",
        "sound=2",
        "--weights",
        "x.h5",
    ]
    assert call("fit-svm", *POSTER, *wrong, "--metric", "micro-f1", "--thresholds", "genre") == 2
    err = capsys.readouterr().err
    for option in ("max-ngram", "year-bin", "block-weight", "weights", "thresholds"):
        assert f"--{option}" in err


def test_what_the_default_says_is_fine_where_it_has_an_effect(project: Path, call: Call) -> None:
    quick = ["--folds", "2", "--C", "0.1", "--quiet", "--name", "again"]
    assert call("fit-svm", *quick, *TEXT, "--max-ngram", "2", "--thresholds", "genre") == 0
    assert call("split", "--method", "kfold", "--folds", "5", "--quiet") == 0


@pytest.mark.parametrize("name", ["fit-deep", "fit-svm", "fit-ovr"])
def test_the_help_names_no_option_that_the_command_lacks(name: str) -> None:
    command = dict(commands())[name]
    own = {option for parameter in command.params for option in parameter.opts}
    helped = next(p.help for p in command.params if "--thresholds" in p.opts)
    assert ("--metric" in helped) == ("--metric" in own)


def test_the_help_of_explain_names_features() -> None:
    assert "--features lists" in (dict(commands())["explain"].help or "")
