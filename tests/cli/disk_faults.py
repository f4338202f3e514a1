"""Commands on a disk that refuses: what the kernel is told to refuse, and what must hold afterwards.

Runs in a copy of a process that has loaded the libraries: `run_trials` runs a command without a fault, then
once for each fault, each time in the same project, made anew, and a second time after the fault.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from refusing_kernel import Outcome, run_refused

CODES = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT, errno.EROFS)
# Files that tell the time, or seconds that passed.
VOLATILE = re.compile(
    r"(hybrid-demo/)?runs/.*|hybrid-demo/report\.csv|.*\.(json|html|md|h5|parquet|npz)|.*ledger\.jsonl"
)
# What is done of a study, or fetched, is kept, and the next call goes on from there; a dead disk keeps locks.
KEPT = re.compile(r"\.partial/|ledger\.part\.jsonl|\.lock$|^posters/")
AUTOGRAPH = re.compile(r"__autograph_generated_file|^home/")  # of libraries, not of hybrid
Files = dict[str, bytes]  # path → SHA-256


class Fault(NamedTuple):
    """The call that is refused, and how."""

    at: int
    code: int
    how: str = "once"  # once; full: all that writes from there on; dead: all calls from there on


def program(words: Sequence[str], out: int, err: int) -> Callable[[], int]:
    """The command, with its output to two descriptors."""

    def run() -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(out, 1)
        os.dup2(err, 2)
        from hybrid.cli.main import main

        warnings.simplefilter("ignore")
        try:
            main([*words])
        except SystemExit as left:
            return int(left.code or 0)
        except BaseException:
            traceback.print_exc()
            return 70
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
        return 71

    return run


def warm_up(words: Sequence[str]) -> None:
    """Run the command in this process, so that its copies need not load what it loads."""
    kept = os.dup(1), os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        try:
            program(words, nowhere.fileno(), nowhere.fileno())()
        finally:
            for number, copy in enumerate(kept, start=1):
                os.dup2(copy, number)
                os.close(copy)


class Place:
    """Where a command runs: `project`, made anew from a template, and folders for what is temporary."""

    def __init__(self, template: Path, root: Path) -> None:
        self.template, self.root = template, root
        self.project = root / "project"

    def make(self) -> None:
        """The project as it was, and empty folders."""
        os.chdir("/")
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ("tmp", "home"):
            (self.root / name).mkdir(parents=True)
        shutil.copytree(self.template, self.project, symlinks=True)
        os.chdir(self.project)
        os.environ["HOME"], tempfile.tempdir = str(self.root / "home"), str(self.root / "tmp")

    def run(self, words: Sequence[str], fault: Fault | None = None) -> tuple[Outcome, str]:
        """Run a command; what became of it, and its stderr."""
        out, err = os.memfd_create("out"), os.memfd_create("err")
        try:
            named: dict[str, Any] = {}
            if fault:
                named = {"at": fault.at, "code": fault.code}
                named |= {"for_good": fault.how != "once", "removing": fault.how == "dead"}
            outcome = run_refused(program(words, out, err), str(self.root), **named)
            return outcome, os.pread(err, 1 << 20, 0).decode()
        finally:
            os.close(out)
            os.close(err)

    def files(self) -> Files:
        """What is there, by its hash."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(
                path.relative_to(self.project if self.project in path.parents else self.root)
            )
            if path.is_file() and not path.is_symlink() and not AUTOGRAPH.search(name):
                found[name] = hashlib.sha256(path.read_bytes()).digest()
        return found


def is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)


def problems(
    before: Files, after: Files, reference: Files, volatile: set[str], project: Path, done: bool
) -> Iterator[str]:
    """What a fault has done that it must not; `done`: the command says that it has done its work."""
    for name in sorted(before.keys() | after.keys() | reference.keys()):
        old, now, new = before.get(name), after.get(name), reference.get(name)
        if is_hidden(name):
            if old is not None and now != old and new == old:
                yield f"{name}: was there before, is {'lost' if now is None else 'another'}"
        elif old is None and KEPT.search(name):
            continue
        elif name in volatile and now is not None:
            if now != old and (torn := damage(project / name)):
                yield f"{name}: {torn}"
        elif done and now != new:
            yield f"{name}: not as without the fault, though the command says that it is done"
        elif now not in (old, new):
            kind = "lost" if now is None else "rubbish" if old is None and new is None else "torn"
            yield f"{name}: {kind}"
    yield from mixed(before, after, project)


def mixed(before: Files, after: Files, project: Path) -> Iterator[str]:
    """Folders of runs that are neither the old nor a whole new one."""
    from hybrid.model_file.manifest import MANIFEST

    found_runs = (*project.glob("runs/[!.]*"), *project.glob("hybrid-demo/runs/[!.]*"))
    for folder in sorted(path for path in found_runs if path.is_dir()):
        start = f"{folder.relative_to(project)}/"
        old = {n: h for n, h in before.items() if n.startswith(start) and "/studies/" not in n}
        now = {n: h for n, h in after.items() if n.startswith(start) and "/studies/" not in n}
        if old == now:
            continue
        try:
            listed = json.loads((folder / MANIFEST).read_text())["files"]
        except (OSError, ValueError, KeyError) as error:
            yield f"{start}: neither the old nor a whole new run: {error!r}"
            continue
        for name, known in listed.items():
            found = after.get(start + name, b"").hex()
            if found != (known if isinstance(known, str) else known["sha256"]):
                yield f"{start}{name}: not what its manifest has"


def damage(path: Path) -> str | None:
    """What is wrong with a file whose content differs from run to run."""
    data = path.read_bytes()
    try:
        if path.suffix == ".json":
            json.loads(data)
        elif path.suffix == ".jsonl":
            [json.loads(line) for line in data.splitlines()]
        elif path.suffix == ".html" and not data.rstrip().endswith(b"</html>"):
            return "cut short"
        elif path.suffix == ".npz":
            import numpy as np

            with np.load(path, allow_pickle=False) as arrays:
                [arrays[name] for name in arrays.files]
        elif path.suffix == ".h5":
            import h5py

            with h5py.File(path, "r") as file:
                file.visititems(lambda _, it: it[()] if isinstance(it, h5py.Dataset) else None)
        elif not data:
            return "empty"
    except Exception as error:
        return f"damaged: {error!r}"
    return None


def said_problems(outcome: Outcome, said: str, usual: int, code: int) -> Iterator[str]:
    """What is wrong with how a command ended."""
    if outcome.hung:
        yield "hung"
    if outcome.status not in (usual, 1):
        yield f"exit {outcome.status}"
    if "Traceback (most" in said:
        yield "traceback"
    if "is a fault of hybrid" in said:
        yield "called a fault of hybrid"
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    if outcome.status == 1 != usual:
        last = [line for line in said.rstrip().splitlines() if not line.startswith("Go on with: ")][
            -1
        ]
        if len(errors) != 1 or last != errors[0]:
            yield f"expected one message, found {len(errors)}"
        elif os.strerror(code) not in errors[0]:
            yield "the message has no reason"
        elif not re.search(
            r"\w/\w|\w\.\w|found that \S+ cannot|cannot write [\w ]*[\w.-]+:", errors[0]
        ):
            yield "the message has no file"
        elif len(errors[0].split(". ")) < 2:
            yield "the message has no advice"


def run_trials(
    name: str,
    words: Sequence[str],
    place: Place,
    count: int | str | None,
    seed: int,
    warm: bool = True,
) -> dict[str, int]:
    """Run a command without a fault, then with faults: all, or as many as `count` has, drawn by `seed`.

    "each": one of each call, their kinds in rotation from `seed` on.

    None (0) are of a command that reads: it must do its work where nothing at all can be written.
    """
    tally = {"calls": 0, "faults": 0, "errors": 0, "harmless": 0, "problems": 0, "left": 0}
    place.make()
    before = place.files()
    first, said = place.run(words)
    if first.hung or first.status not in (0, 1) or "Traceback" in said:
        raise RuntimeError(f"{name}: without a fault, exit {first.status}: {said}")
    usual, reference = first.status, place.files()
    volatile = {n for n in reference if VOLATILE.fullmatch(n) and before.get(n) != reference[n]}
    volatile |= {n for n in reference if re.match(r"(hybrid-demo/)?runs/(?!\.)", n)}
    tally["calls"] = len(first.calls)
    if warm:
        place.make()
        warm_up(words)
    for fault in faults(len(first.calls), count, seed):
        place.make()
        outcome, said = place.run(words, fault)
        if outcome.refused is None:
            continue
        after = place.files()
        tally["faults"] += 1
        tally["errors" if outcome.status != usual else "harmless"] += 1
        found = [*said_problems(outcome, said, usual, fault.code)]
        done = outcome.status == usual and not outcome.hung
        if count == 0 and not done:
            found.append("it only reads, and does not work where nothing can be written")
        found += problems(before, after, reference, volatile, place.project, done)
        hidden = [n for n in after if n not in before and n not in reference and ".tmp-" in n]
        if fault.how == "once" and outcome.refused[0] not in ("unlink", "unlinkat", "rmdir"):
            found += [f"{n}: left" for n in hidden]
        if not done or fault.at % 4 == 0:
            second, said_then = place.run(words)
            if not done and second.status != usual:
                found.append(f"again: exit {second.status}: {said_then.strip()[-300:]}")
            if not done:
                later = place.files()
                found += [
                    f"again: {each}"
                    for each in problems(before, later, reference, volatile, place.project, True)
                ]
                tally["left"] += any(n in later for n in hidden)
        tally["problems"] += bool(found)
        if found:
            where = outcome.refused[1].replace(str(place.root), "")
            print(
                f"{name}: call {fault.at} ({outcome.refused[0]} {where}), {errno.errorcode[fault.code]}"
                f" {fault.how}, exit {outcome.status}: {'; '.join(found[:6])}"
                + (f" ({len(found)} in all)" if len(found) > 6 else "")
                + f"\n    said: {said.strip()[-600:]}",
                flush=True,
            )
    return tally


def faults(calls: int, count: int | str | None, seed: int) -> list[Fault]:
    """All faults of a command that makes so many calls, one of each call, or some of them."""
    dice = random.Random(seed)
    if count == 0:
        return [Fault(1, code, "dead") for code in (errno.EROFS, errno.EACCES)]
    if count == "each":
        kinds = [*((code, "once") for code in CODES), (errno.ENOSPC, "full"), (errno.EROFS, "dead")]
        return [Fault(at, *kinds[(seed + at) % len(kinds)]) for at in range(1, calls + 1)]
    if not isinstance(count, int):
        every = [Fault(at, code) for at in range(1, calls + 1) for code in CODES]
        for at in range(1, calls + 1):
            every += [Fault(at, errno.ENOSPC, "full"), Fault(at, errno.EROFS, "dead")]
        return every
    return [
        Fault(
            dice.randint(1, calls),
            dice.choice(CODES),
            dice.choice(("once", "once", "full", "dead")),
        )
        for _ in range(count if calls else 0)
    ]


def serve(cases: str) -> None:
    """The program: a JSON list of the arguments of `run_trials` → lines of problems, and a tally for each."""
    for case in json.loads(cases):
        place = Place(Path(case.pop("template")), Path(case.pop("root")))
        start = time.monotonic()
        tally = run_trials(place=place, **case)
        tally["seconds"] = round(time.monotonic() - start)
        print(json.dumps({"name": case["name"], **tally}), flush=True)
