"""How busy the GPUs are while something runs, as their driver's own tool tells it."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import threading
from types import TracebackType

MILLISECONDS = 200  # between two samples


class GpuLoad:
    """Samples nvidia-smi inside a ``with`` block; where there is no such tool it samples nothing.

    Attributes
    ----------
    samples : list of float
        Percent of the time in which a GPU computed anything; of several GPUs, one after another.
    """

    def __init__(self) -> None:
        self.samples: list[float] = []
        self._tool: subprocess.Popen[str] | None = None

    @property
    def median(self) -> float | None:
        """Of the samples in which a GPU worked; None without any."""
        worked = [load for load in self.samples if load]
        return statistics.median(worked) if worked else None

    def __enter__(self) -> GpuLoad:
        if tool := shutil.which("nvidia-smi"):
            query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
            command = [tool, *query, f"--loop-ms={MILLISECONDS}"]
            self._tool = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            self._thread = threading.Thread(target=self._read, args=(self._tool,), daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tool is not None:
            self._tool.terminate()
            self._tool.wait()
            self._thread.join()

    def _read(self, tool: subprocess.Popen[str]) -> None:
        """Each line is the load of one GPU, which some devices do not tell."""
        assert tool.stdout is not None
        with tool.stdout:
            for line in tool.stdout:
                if line.strip().isdecimal():
                    self.samples.append(float(line))
