"""Advisory leases: who works on what, and who is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid.cache import Leases
from hybrid.cache.leases import LEASE_SECONDS


def claim_of(folder: Path, share: str) -> Path:
    return folder / "claims" / f"{share}.claim"


def grow_old(folder: Path, seconds: float) -> None:
    for path in (folder / "claims").glob("*.alive"):
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


def test_a_share_has_one_owner(tmp_path: Path) -> None:
    with Leases(tmp_path) as one, Leases(tmp_path) as two:
        assert one.acquire("a")
        assert not two.acquire("a")
        assert two.acquire("b")
        assert not one.acquire("b")
        one.release()
        assert two.acquire("a")
        assert one.acquire("c")  # released, but not retired
    assert list((tmp_path / "claims").iterdir()) == []


def test_the_lease_of_a_process_that_is_gone_is_taken_over(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from hybrid.cache import Leases\n"
        "assert Leases(Path(sys.argv[1])).acquire('a'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert claim_of(tmp_path, "a").exists()
    with Leases(tmp_path) as leases:
        assert leases.acquire("a")


@pytest.mark.parametrize(
    ("age", "taken"), [(LEASE_SECONDS - 30, False), (LEASE_SECONDS + 30, True)]
)
def test_on_another_machine_the_heartbeat_decides(tmp_path: Path, age: float, taken: bool) -> None:
    other = Leases(tmp_path)
    assert other.acquire("a")
    claim = claim_of(tmp_path, "a")
    claim.write_text(json.dumps({**json.loads(claim.read_text()), "host": "elsewhere", "pid": 1}))
    grow_old(tmp_path, age)
    with Leases(tmp_path) as leases:
        assert leases.acquire("a") is taken


def test_a_process_without_a_heartbeat_is_gone(tmp_path: Path) -> None:
    other = Leases(tmp_path)
    assert other.acquire("a")
    other.heartbeat.unlink()
    with Leases(tmp_path) as leases:
        assert leases.acquire("a")
    other.release()  # does not take what is not its own any more
    assert not claim_of(tmp_path, "a").exists()


def test_a_claim_that_is_being_written_is_respected_for_a_moment(tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    claim_of(tmp_path, "a").touch()
    with Leases(tmp_path) as leases:
        assert not leases.acquire("a")
        then = claim_of(tmp_path, "a").stat().st_mtime - 60
        os.utime(claim_of(tmp_path, "a"), (then, then))
        assert leases.acquire("a")


def test_where_no_lease_can_be_had_the_work_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "claims").touch()  # a file where the folder should be
    with Leases(tmp_path) as leases:
        assert leases.acquire("a")
        leases.renew()
