"""Wiring: the whole way on the embedded sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import RunError
from hybrid.experiment import Experiment, fit_deep, fit_head
from hybrid.extract import extract_embeddings
from hybrid.pipeline import make_hybrid
from hybrid.progress import Progress
from hybrid.records import Split
from hybrid.runs import read_record
from hybrid.sample import write_sample
from hybrid.splits import write_split
from hybrid.splitting import split_catalogue

if TYPE_CHECKING:
    from hybrid.report import Comparison

EPOCHS = 12  # about a minute on two cores
HEADS: tuple[tuple[str, str, tuple[str, ...] | None], ...] = (
    ("svm", "svm", None),
    ("svm-poster", "svm", ("poster",)),
    ("svm-text", "svm", ("text",)),
    ("svm-metadata", "svm", ("metadata",)),
    ("dummy-stratified", "dummy-stratified", ("text",)),
)


def run_demo(
    folder: str | Path, *, seed: int = 0, workers: int = 1, progress: Progress | None = None
) -> Comparison:
    """Sample, split, scratch net, extract, heads, report, all in one folder.

    Parameters
    ----------
    folder : str or Path
        Made if need be. What an earlier demo left there is used again.
    seed, workers : int
    progress : Progress, optional

    Returns
    -------
    Comparison
        As the report shows it; the page is ``folder/report.html``.
    """
    folder, progress = Path(folder), progress or Progress()
    if not (folder / "catalogue.csv").exists():
        progress.say(f"drawing the sample catalogue in {folder}")
        write_sample(folder, seed=seed)
    catalogue = load_catalogue(folder / "catalogue.csv")
    cache, scratch = str(folder / ".hybrid-cache"), folder / "runs" / "scratch"
    split = split_catalogue(catalogue, seed=seed, cache=cache, workers=workers)
    write_split(split, folder / "splits.csv")
    _train(catalogue, split, scratch, seed, workers, progress)
    extract_embeddings(
        catalogue, "scratch", weights=str(scratch), cache=cache, workers=workers, progress=progress
    )
    for name, head, blocks in HEADS:
        progress.say(f"fitting {name}")
        looks = blocks is None or "poster" in blocks
        model = make_hybrid(
            catalogue,
            head=head,
            blocks=blocks,
            backbone="scratch" if looks else None,
            weights=str(scratch) if looks else None,
            dtype="float16" if looks else None,
            cache=cache,
            seed=seed,
            workers=workers,
        )
        fit_head(_experiment(catalogue, split, folder / "runs" / name, seed), model, {})
    from hybrid.report import make_report

    runs = [scratch, *(folder / "runs" / name for name, _, _ in HEADS)]
    return make_report(catalogue, runs, folder / "report.html")


def _experiment(catalogue: Catalogue, split: Split, run: Path, seed: int) -> Experiment:
    folder = catalogue.path.parent
    cache = str(folder / ".hybrid-cache")
    return Experiment(
        catalogue, split, run, folder / "splits.csv", "hybrid demo", seed, cache=cache
    )


def _train(
    catalogue: Catalogue, split: Split, run: Path, seed: int, workers: int, progress: Progress
) -> None:
    """Train the scratch net, unless this very training has been done."""
    from hybrid.deep.options import DeepOptions

    options = DeepOptions(epochs=EPOCHS, batch_size=32, stages=1)
    if _is_done(run, catalogue, split, seed, vars(options)):
        progress.say(f"{run} is there already")
        return
    progress.say(f"training the scratch net for {EPOCHS} epochs, about a minute")
    experiment = _experiment(catalogue, split, run, seed)
    fit_deep(replace(experiment, progress=progress), "scratch", options, workers)


def _is_done(
    run: Path, catalogue: Catalogue, split: Split, seed: int, options: dict[str, Any]
) -> bool:
    try:
        record = read_record(run)
    except RunError:
        return False
    return (
        record["catalogue"]["sha256"] == catalogue.sha256
        and record["split"]["sha256"] == split.sha256
        and record["seed"] == seed
        and record["settings"] == options
    )
