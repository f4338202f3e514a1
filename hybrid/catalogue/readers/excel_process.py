"""The sheets of an Excel or OpenDocument file, read in a process of its own that has limits.

A file of a kilobyte may claim a cell in the last row and column, or a value that is repeated a thousand
million times: what reads it would fill the memory, end the whole process, or go on for hours. This module is
the program of that process, too: it imports nothing of hybrid, and starts in a tenth of a second.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

_MB = 1 << 20
MEMORY, MEMORY_EACH = 512 * _MB, 64  # bytes, and for each byte of the file
SECONDS, SECONDS_EACH = 4, 1  # of the processor, and for each MiB of the file
PATIENCE = 20  # seconds of the clock for each of the processor: the machine may be busy
_KINDS: dict[str, Any] = {"datetime": datetime, "date": date, "time": time}


class UnreadableBookError(ValueError):
    """A file is no Excel file, or its reader needed more than it may."""


def read_book(content: bytes) -> list[dict[str, Any]]:
    """Read the work sheets of a file.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    list of dict
        Of each: `name`, `visible`, `rows` (lists of cells, of one length), `top`, `left` and `merged`.

    Raises
    ------
    UnreadableBookError
        If it cannot be read.
    """
    # Only what this process itself would import: never from the current directory.
    here = [each for each in sys.path if each and Path(each).resolve() != Path.cwd()]
    start = f"import sys, runpy; sys.path[:] = {here!r}; runpy.run_path({__file__!r}, run_name='__main__')"
    megabytes, seconds = _limits(len(content))
    # A reader of Rust that has no memory left waits for ever if it is to print where it was.
    environment = {**os.environ, "RUST_BACKTRACE": "0", "RUST_LIB_BACKTRACE": "0"}
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            [sys.executable, "-I", "-c", start],
            input=content,
            capture_output=True,
            check=False,
            env=environment,
            timeout=PATIENCE * seconds,
        )
        if done.returncode == 0:
            answer = json.loads(done.stdout, object_hook=_restore)
            if isinstance(answer, list):
                return answer
            raise UnreadableBookError(str(answer))
    raise UnreadableBookError(
        "one that its reader cannot open with "
        f"{megabytes // _MB:,} MiB of memory and {seconds} s of a processor. Are there cells or spaces far "
        "outside the table? Delete them, or save the table as CSV (UTF-8)"
    )


def _limits(size: int) -> tuple[int, int]:
    """Bytes of memory, and seconds of the processor."""
    return MEMORY + MEMORY_EACH * size, SECONDS + SECONDS_EACH * size // _MB


def _limit(size: int) -> None:
    """Limit this process, where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        memory, seconds = _limits(size)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _sheets(content: bytes) -> list[dict[str, Any]] | str:
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        found = []
        for about in book.sheets_metadata:
            if about.typ != calamine.SheetTypeEnum.WorkSheet:
                continue
            sheet = book.get_sheet_by_name(about.name)
            top, left = sheet.start or (0, 0)
            found.append(
                {
                    "name": sheet.name,
                    "visible": about.visible == calamine.SheetVisibleEnum.Visible,
                    "rows": sheet.to_python(),
                    "top": top,
                    "left": left,
                    "merged": getattr(sheet, "merged_cell_ranges", None) or (),  # from 0.4 on
                }
            )
    except (calamine.CalamineError, ValueError, OverflowError) as error:
        return str(error)
    return found


def _plain(value: Any) -> Any:
    """Write dates as what JSON has."""
    if isinstance(value, timedelta):
        return {"timedelta": [value.days, value.seconds, value.microseconds]}
    return {type(value).__name__: value.isoformat()}


def _restore(found: dict[str, Any]) -> Any:
    if len(found) != 1:
        return found
    ((kind, value),) = found.items()
    return timedelta(*value) if kind == "timedelta" else _KINDS[kind].fromisoformat(value)


if __name__ == "__main__":
    given = sys.stdin.buffer.read()
    _limit(len(given))
    sys.stdout.write(json.dumps(_sheets(given), default=_plain))
