"""An export to HDF5 on a disk that refuses: an error, and the process lives on to say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hybrid.cache.export import export

REFUSED = """
import resource, signal
from pathlib import Path
import numpy as np
from hybrid.cache.costs import RowCosts
from hybrid.cache.export import _write_h5

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
FREE, said = resource.RLIM_INFINITY, []
ids, rows = np.array(["a", "b"]), np.ones((2, 300), np.float32)
_write_h5(Path("whole.h5"), ids, 300, [rows], RowCosts.unknown(2))
size = Path("whole.h5").stat().st_size
for limit in (0, 1, 1000, size // 2, size - 100):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, FREE))
    try:
        _write_h5(Path(f"{limit}.h5"), ids, 300, [rows], RowCosts.unknown(2))
    except OSError as error:
        said.append(("refused", "File too large" in str(error)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (FREE, FREE))  # stdout is a file, too
for each in said:
    print(*each)
"""


def test_a_refusal_is_an_error_and_the_process_survives(loaded: Any, tmp_path: Path) -> None:
    done = loaded.run(REFUSED, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["refused True"] * 5
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_an_export_is_read_by_h5py(tmp_path: Path, rows: int) -> None:
    ids = np.array([f"f{i}" for i in range(rows)], dtype=str)
    vectors = np.random.default_rng(0).random((rows, 7), dtype=np.float32)
    export(tmp_path / "e.h5", ids, 7, [vectors[:300], vectors[300:]])
    with h5py.File(tmp_path / "e.h5", "r") as file:
        np.testing.assert_array_equal(file["embeddings"][:], vectors)
        assert [each.decode() for each in file["ids"][:]] == ids.tolist()
