"""A small project with runs of many kinds, for the run folders that are changed."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import warnings
from pathlib import Path

OUTSIDE = "outside"
WORDS = {
    "Comedy": "funny laugh joke wedding",
    "Horror": "ghost blood scream night",
    "Western": "sheriff horse desert gun",
}
ITEMS = 30
BLOCKS = ["--blocks", "text,metadata"]
POSTERS = ["--backbone", "small", "--weights", "random", "--input-size", "24x24"]
# Name of a run → how it is made.
FITS = {
    "svm": ["fit-svm", *BLOCKS, "--folds", "2"],
    "multiclass": ["fit-svm", "--blocks", "text", "--task", "multiclass", "--folds", "2"],
    "calibrated": ["fit-svm", *BLOCKS, "--calibration", "sigmoid", "--folds", "2"],
    "chain": ["fit-svm", *BLOCKS, "--chain", "--folds", "2"],
    "forest": ["fit-ovr", *BLOCKS, "--estimator", "forest", "--folds", "2"],
    "posters": ["fit-svm", *POSTERS[:4], "--folds", "2"],
    "deep": ["fit-deep", "--backbone", "text", "--epochs", "1", "--head-units", "4"],
    "network": ["fit-deep", "--backbone", "small", "--input-size", "24x24", "--epochs", "1"],
}
QUICK = ("svm", "multiclass")
ALL = tuple(FITS)
STUDIES = {"svm": ["study", "svm", "--ablation"]}


def make_project(folder: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Write a catalogue, split it, and fit runs; return the names of those that were asked for."""
    folder.mkdir(parents=True)
    _write_films(folder)
    commands = [["split"]]
    if {"posters", "network"} & set(names):
        commands.append(["extract", *POSTERS])
    commands += [[*FITS[name], "--name", name] for name in names]
    commands += [STUDIES[name] for name in names if name in STUDIES]
    for command in commands:
        _run(command, folder)
    (folder / "out").mkdir()
    return names


def _run(command: list[str], folder: Path) -> None:
    from hybrid.cli.main import hybrid

    before, said = Path.cwd(), io.StringIO()
    os.chdir(folder)
    try:
        with (
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            hybrid.main(command, standalone_mode=False)
    finally:
        os.chdir(before)


def _write_films(folder: Path) -> None:
    from PIL import Image

    names = list(WORDS)
    (folder / "posters").mkdir()
    with (folder / "catalogue.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "year", "genres", "overview", "poster"])
        for i in range(ITEMS):
            genres = sorted({names[i % 3], names[i // 3 % 3]})
            words = " ".join(WORDS[genre] for genre in genres)
            Image.new("RGB", (32, 48), (i * 8, 80 * (i % 3), 200 - i)).save(
                folder / f"posters/{i}.png"
            )
            writer.writerow(
                [
                    f"f{i:03}",
                    f"Film {i}",
                    1950 + i,
                    "|".join(genres),
                    f"{words} {i}",
                    f"posters/{i}.png",
                ]
            )
