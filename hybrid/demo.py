"""Wiring: the whole way on the embedded sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.datasets.sample import write_sample
from hybrid.errors import RunError
from hybrid.extraction.extract import extract_embeddings
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment, fit_deep, fit_head
from hybrid.runs.folder import read_record
from hybrid.splitting.methods import split_catalogue
from hybrid.splitting.splits import write_split
from hybrid.types import EmbeddingOptions, Split
from hybrid.utils.progress import Progress

if TYPE_CHECKING:
    from hybrid.deep.options import DeepOptions
    from hybrid.report import Comparison

EPOCHS = 12
FUSED_EPOCHS = 6
# Height and width of the posters that the quick demo's networks see; by default the scratch net's own.
QUICK_SIZE = (96, 64)
HEADS: tuple[tuple[str, str, tuple[str, ...] | None], ...] = (
    ("svm", "svm", None),
    ("svm-poster", "svm", ("poster",)),
    ("svm-text", "svm", ("text",)),
    ("svm-metadata", "svm", ("metadata",)),
    ("dummy-stratified", "dummy-stratified", ("text",)),
)


def run_demo(
    folder: str | Path,
    *,
    full: bool = False,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> Comparison:
    """Run the whole pipeline on the embedded sample: split, networks, extraction, heads, report.

    Parameters
    ----------
    folder : str or Path
        Created if it does not exist. What an earlier demo left there is used again.
    full : bool, default=False
        Train the networks on posters of the scratch net's own size. By default they see posters of
        `QUICK_SIZE`, which takes a quarter of the time.
    seed : int, default=0
    workers : int, default=1
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
    base = _experiment(catalogue, split, scratch, seed, progress)
    size = None if full else QUICK_SIZE
    networks = _networks(str(scratch), size)
    for name, (network, options) in networks.items():
        _train(replace(base, folder=folder / "runs" / name), network, options, workers)
    extract_embeddings(
        catalogue,
        "scratch",
        weights=str(scratch),
        options=EmbeddingOptions(input_size=size),
        cache=cache,
        workers=workers,
        progress=progress,
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
        fit_head(replace(base, folder=folder / "runs" / name, progress=Progress()), model, {})
    from hybrid.report import make_report

    runs = [folder / "runs" / name for name in (*networks, *(name for name, _, _ in HEADS))]
    return make_report(catalogue, runs, folder / "report.html")


def _networks(scratch: str, size: tuple[int, int] | None) -> dict[str, tuple[str, DeepOptions]]:
    """Run → its network and how it is trained; the fused ones look at posters with the scratch net's body."""
    from hybrid.deep.options import DeepOptions

    fused = DeepOptions(body="scratch", weights=scratch, epochs=FUSED_EPOCHS, input_size=size)
    return {
        "scratch": (
            "scratch",
            DeepOptions(epochs=EPOCHS, batch_size=32, stages=1, input_size=size),
        ),
        "text-net": ("text", DeepOptions()),
        "fused-net": ("fused", fused),
        "fused-tuned": ("fused", replace(fused, unfreeze="all")),
    }


def _experiment(
    catalogue: Catalogue, split: Split, run: Path, seed: int, progress: Progress
) -> Experiment:
    folder = catalogue.path.parent
    cache = str(folder / ".hybrid-cache")
    return Experiment(
        catalogue, split, run, folder / "splits.csv", "hybrid demo", seed, progress, cache
    )


def _train(experiment: Experiment, network: str, options: DeepOptions, workers: int) -> None:
    """Train a network, unless this very training has been done."""
    run, say = experiment.folder, experiment.progress.say
    if _is_done(experiment, options):
        say(f"{run} is there already")
        return
    say(f"training {run.name} for at most {options.epochs} epochs a stage")
    fit_deep(experiment, network, options, workers)


def _is_done(experiment: Experiment, options: DeepOptions) -> bool:
    try:
        record = read_record(experiment.folder)
    except RunError:
        return False
    settings = {name: record["settings"].get(name) for name in vars(options)}
    return (
        record["catalogue"]["sha256"] == experiment.catalogue.sha256
        and record["split"]["sha256"] == experiment.split.sha256
        and record["seed"] == experiment.seed
        and settings == vars(options)
    )
