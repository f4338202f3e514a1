"""Advisory leases: who works on what, and who is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid.cache import Claims
from hybrid.cache.leases import LEASE_SECONDS


def claim_of(folder: Path, share: str) -> Path:
    return folder / "claims" / f"{share}.claim"


def grow_old(folder: Path, seconds: float) -> None:
    for path in (folder / "claims").glob("*.alive"):
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


def test_a_share_has_one_owner(tmp_path: Path) -> None:
    with Claims(tmp_path) as one, Claims(tmp_path) as two:
        assert one.take("a")
        assert not two.take("a")
        assert two.take("b")
        assert not one.take("b")
        one.release()
        assert two.take("a")
        assert one.take("c")  # released, but not retired
    assert list((tmp_path / "claims").iterdir()) == []


def test_the_lease_of_a_process_that_is_gone_is_taken_over(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from hybrid.cache import Claims\n"
        "assert Claims(Path(sys.argv[1])).take('a'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert claim_of(tmp_path, "a").exists()
    with Claims(tmp_path) as claims:
        assert claims.take("a")


@pytest.mark.parametrize(
    ("age", "taken"), [(LEASE_SECONDS - 30, False), (LEASE_SECONDS + 30, True)]
)
def test_on_another_machine_a_sign_of_life_decides(tmp_path: Path, age: float, taken: bool) -> None:
    other = Claims(tmp_path)
    assert other.take("a")
    claim = claim_of(tmp_path, "a")
    claim.write_text(json.dumps({**json.loads(claim.read_text()), "host": "elsewhere", "pid": 1}))
    grow_old(tmp_path, age)
    with Claims(tmp_path) as claims:
        assert claims.take("a") is taken


def test_a_process_without_a_sign_of_life_is_gone(tmp_path: Path) -> None:
    other = Claims(tmp_path)
    assert other.take("a")
    other.sign.unlink()
    with Claims(tmp_path) as claims:
        assert claims.take("a")
    other.release()  # does not take what is not its own any more
    assert not claim_of(tmp_path, "a").exists()


def test_a_claim_that_is_being_written_is_respected_for_a_moment(tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    claim_of(tmp_path, "a").touch()
    with Claims(tmp_path) as claims:
        assert not claims.take("a")
        then = claim_of(tmp_path, "a").stat().st_mtime - 60
        os.utime(claim_of(tmp_path, "a"), (then, then))
        assert claims.take("a")


def test_where_no_lease_can_be_had_the_work_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "claims").touch()  # a file where the folder should be
    with Claims(tmp_path) as claims:
        assert claims.take("a")
        claims.renew()
