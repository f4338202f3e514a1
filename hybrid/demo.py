"""Wiring: the whole way on the embedded sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid.catalogue import load_catalogue
from hybrid.datasets.sample import is_sample, write_sample
from hybrid.errors import RunError, SampleError
from hybrid.extraction.extract import extract_embeddings
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_deep import fit_deep
from hybrid.runs.fit_head import fit_head
from hybrid.runs.migration import FORMAT
from hybrid.runs.record import RunRecord
from hybrid.splitting.methods import split_catalogue
from hybrid.splitting.split_file import check_split_target, write_split
from hybrid.types import EmbeddingOptions, EmbeddingSelector, as_plain
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.counts import counted
from hybrid.utils.progress import Progress
from hybrid.utils.writable import check_new_folder

if TYPE_CHECKING:
    from hybrid.deep.options import DeepOptions
    from hybrid.report import Report

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


@limited_by_context
def run_demo(
    folder: str | Path,
    *,
    full: bool = False,
    context: Context | None = None,
) -> Report:
    """Run the whole pipeline on the embedded sample: split, networks, extraction, heads, report.

    Parameters
    ----------
    folder : str or Path
        Created if it does not exist. What an earlier demo left there is used again.
    full : bool, default=False
        Train the networks on posters of the scratch net's own size. By default they see posters of
        `QUICK_SIZE`, which takes a quarter of the time.
    context : Context, optional
        Its seed, workers and progress are used; the cache is ``folder/.hybrid-cache``.

    Returns
    -------
    Report
        As the report shows it; the page is ``folder/report.html``.
    """
    folder = Path(folder)
    context = replace(context or Context(), cache=str(folder / ".hybrid-cache"))
    progress = context.progress
    check_new_folder("DIR", folder)
    _check_outputs(folder)
    if not (folder / "catalogue.csv").exists():
        progress.say(f"drawing the sample catalogue in {folder}")
        write_sample(folder, seed=context.seed)
    catalogue = load_catalogue(folder / "catalogue.csv")
    scratch = folder / "runs" / "scratch"
    split = split_catalogue(catalogue, context=context)
    write_split(split, folder / "splits.csv")
    base = Experiment(catalogue, split, scratch, folder / "splits.csv", "hybrid demo", context)
    size = None if full else QUICK_SIZE
    networks = _networks(str(scratch), size)
    for name, (network, options) in networks.items():
        _train(replace(base, folder=folder / "runs" / name), network, options)
    extract_embeddings(
        catalogue,
        "scratch",
        weights=str(scratch),
        options=EmbeddingOptions(input_size=size),
        context=context,
    )
    embeddings = EmbeddingSelector("scratch", str(scratch), "float16")
    quiet = replace(context, progress=Progress())
    for name, head, blocks in HEADS:
        progress.say(f"fitting {name}")
        looks = blocks is None or "poster" in blocks
        model = make_hybrid(
            catalogue,
            head=head,
            blocks=blocks,
            select=embeddings if looks else (),
            context=quiet,
        )
        fit_head(replace(base, folder=folder / "runs" / name, context=quiet), model)
    from hybrid.report import make_report

    runs = [folder / "runs" / name for name in (*networks, *(name for name, _, _ in HEADS))]
    return make_report(catalogue, runs, folder / "report.html")


def _check_outputs(folder: Path) -> None:
    """Raise where a file that is not of an earlier demo would be used or replaced."""
    from hybrid.report.build import check_report_target

    catalogue = folder / "catalogue.csv"
    if catalogue.exists() and not is_sample(folder):
        raise SampleError(
            f"DIR: expected a new folder or that of an earlier demo, found {catalogue}, which is no sample. "
            "Name another folder."
        )
    if folder.is_dir():
        check_split_target(folder / "splits.csv")
        check_report_target(folder / "report.html")


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


def _train(experiment: Experiment, network: str, options: DeepOptions) -> None:
    """Train a network, unless this very training has been done."""
    run, say = experiment.folder, experiment.context.progress.say
    if _is_done(experiment, options):
        say(f"{run} is there already")
        return
    say(f"training {run.name} for at most {counted(options.epochs, 'epoch')} a stage")
    fit_deep(experiment, network, options)


def _is_done(experiment: Experiment, options: DeepOptions) -> bool:
    try:
        record = RunRecord.read(experiment.folder)
    except RunError:
        return False
    options = options.settled()
    settings = {name: record.settings.get(name) for name in vars(options)}
    return (
        record.format_read == FORMAT
        and record.catalogue.sha256 == experiment.catalogue.sha256
        and record.split.sha256 == experiment.split.sha256
        and record.seed == experiment.context.seed
        and settings == as_plain(vars(options))
    )
