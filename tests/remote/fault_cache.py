"""Kill `hybrid extract` on two machines with a cache on S3, cut them off, and look for rows that were lost.

    python -m tests.remote.fault_cache --faults 100 FOLDER

Both machines, each with a mirror of its own, embed the same posters. Prints one line of JSON. The backbone
is a stand-in, as in `tests/cache/fault_kill.py`; the server is moto's, in a process of its own, which is cut
off, and lives on.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import shutil
import signal
import time
import warnings
from pathlib import Path
from typing import Any

import s3fs  # each life would load it

import hybrid.extraction.plan
from hybrid.remote import filesystem
from tests.cache import fault_kill
from tests.cache.fault_kill import StandIn, contents, write_catalogue
from tests.remote.server import S3Server, settings
from tests.remote.way import Way

MACHINES = 2


def fork(mirrors: Path, *arguments: Any) -> int:
    """Extract in a process of its own, with its own mirror; its number."""
    os.environ["HYBRID_REMOTE"] = str(mirrors)
    return fault_kill.fork(*arguments)


def make_bucket() -> None:
    s3fs.S3FileSystem().mkdir("bucket")


def read_afresh(cache: Path, folder: Path) -> Any:
    """What a machine reads that has no mirror yet, in a process of its own."""
    os.environ["HYBRID_REMOTE"] = str(folder / "fresh")
    child = os.fork()
    if not child:
        status = 1
        try:
            (folder / "found").write_bytes(pickle.dumps(contents(cache)))
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0, "the cache cannot be read"
    shutil.rmtree(folder / "fresh", ignore_errors=True)
    return pickle.loads((folder / "found").read_bytes())


class Faults:
    """Lives of two machines, and what becomes of them.

    Parameters
    ----------
    folder : Path
    way : Way
        To the server.
    seed : int
    """

    def __init__(self, folder: Path, way: Way, seed: int) -> None:
        self.folder, self.way, self.dice = folder, way, random.Random(seed)
        self.catalogue, self.log = write_catalogue(folder), folder / "log"
        start = time.perf_counter()
        whole = folder / "whole"
        assert os.waitpid(fault_kill.fork(self.catalogue, whole, 1, folder / "x"), 0)[1] == 0
        self.whole, self.seconds = contents(whole), time.perf_counter() - start
        names = ("kills", "cuts", "lives", "completed", "acknowledged", "lost", "wrong")
        self.counts = dict.fromkeys(names, 0)

    def live(self, cache: Path, disturb: bool) -> bool:
        """Let both machines extract; whether one came to the end."""
        lives = [
            fork(self.folder / f"machine {i}", self.catalogue, cache, 1, self.log)
            for i in range(MACHINES)
        ]
        self.counts["lives"] += MACHINES
        time.sleep(self.dice.uniform(0.0, 2 * self.seconds))
        what = self.dice.choice(["one", "both", "cut"]) if disturb else ""
        if what == "cut":
            self.way.cut()
            self.counts["cuts"] += 1
            if self.dice.random() < 0.5:
                time.sleep(self.dice.uniform(0.0, 1.0))
                self.way.restore()
                what = "cut and back"
        for child in lives[: {"one": 1, "both": 2}.get(what, 0)]:
            os.kill(child, signal.SIGKILL)
        ends = [os.waitpid(child, 0)[1] for child in lives]
        if what == "cut":
            self.way.restore()
        self.counts["kills"] += sum(map(os.WIFSIGNALED, ends))
        failed = [end for end in ends if end and not os.WIFSIGNALED(end)]
        assert not failed or what.startswith("cut"), "a life failed that nothing was done to"
        return 0 in ends

    def check(self, cache: Path, done: bool) -> None:
        """Count acknowledged rows that are not at the URL, or are others."""
        found = read_afresh(cache, self.folder)
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        acknowledged = {bytes.fromhex(line) for line in lines if len(line) == 64}
        self.counts["lost"] += len(acknowledged - found[0].keys())
        self.counts["wrong"] += sum(self.whole[0].get(k) != row for k, row in found[0].items())
        if done:
            assert found == self.whole, "the final content is another"
            self.counts["completed"] += 1
            self.counts["acknowledged"] += len(acknowledged)
            self.log.unlink(missing_ok=True)
            for i in range(MACHINES):
                shutil.rmtree(self.folder / f"machine {i}", ignore_errors=True)

    def run(self, faults: int) -> dict[str, int]:
        """Disturb until there were so many faults; then let them come to an end."""
        done, number = True, 0
        while self.counts["kills"] + self.counts["cuts"] < faults or not done:
            number += done
            cache = Path(f"s3://bucket/cache-{number}")
            disturb = self.counts["kills"] + self.counts["cuts"] < faults
            done = self.live(cache, disturb)
            self.check(cache, done)
        return self.counts


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("folder", type=Path)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("error", UserWarning)  # as of a part that was damaged
    warnings.filterwarnings("ignore", message="random weights")
    hybrid.extraction.plan.load_backbone = lambda *_: StandIn()  # type: ignore[assignment]
    filesystem.PAUSES = (0.1,)
    server = S3Server()
    way = Way(server.url)
    os.environ.update(settings(server), AWS_ENDPOINT_URL=way.url)
    try:
        if not (child := os.fork()):  # this process has no threads
            make_bucket()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(json.dumps(Faults(options.folder, way, options.seed).run(options.faults)))
    finally:
        way.cut()
        server.kill()


if __name__ == "__main__":
    main()
