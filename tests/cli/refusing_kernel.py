"""Programs whose system calls that write are refused, one or all from one on, by the kernel itself.

A process under a seccomp filter asks another one, the supervisor, before each call that opens a file for
writing, writes, syncs, or changes a name. The supervisor looks where the call goes, counts those that go into
one folder, and answers that the kernel go on, or with an error. So the calls of h5py, Arrow and Pillow are
refused like those of Python. Linux on x86-64 or ARM only.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

# Call → its numbers on x86-64 and ARM (0: there is none), and where its first path or descriptor is.
FD, PATH, AT = "descriptor", "path", "descriptor of a folder and path"
CALLS = {
    "open": (2, 0, PATH),
    "creat": (85, 0, PATH),
    "openat": (257, 56, AT),
    "write": (1, 64, FD),
    "pwrite": (18, 68, FD),
    "writev": (20, 66, FD),
    "pwritev": (296, 70, FD),
    "sendfile": (40, 71, FD),
    "copy_file_range": (326, 285, FD),
    "fsync": (74, 82, FD),
    "fdatasync": (75, 83, FD),
    "truncate": (76, 45, PATH),
    "ftruncate": (77, 46, FD),
    "fallocate": (285, 47, FD),
    "mkdir": (83, 0, PATH),
    "mkdirat": (258, 34, AT),
    "rename": (82, 0, PATH),
    "renameat": (264, 38, AT),
    "renameat2": (316, 276, AT),
    "link": (86, 0, PATH),
    "linkat": (265, 37, AT),
    "symlink": (88, 0, PATH),
    "symlinkat": (266, 36, PATH),
    "unlink": (87, 0, PATH),
    "unlinkat": (263, 35, AT),
    "rmdir": (84, 0, PATH),
    "utimensat": (280, 88, AT),
    "chmod": (90, 0, PATH),
    "fchmod": (91, 52, FD),
    "fchmodat": (268, 53, AT),
}
FLAGS = {"open": 1, "openat": 2}  # position of the flags of an opening
SECOND = {"sendfile": 0, "copy_file_range": 2}  # the descriptor that is written
MACHINES = {
    "x86_64": (0, 0xC000003E, 317),
    "aarch64": (1, 0xC00000B7, 277),
}  # …, and seccomp's number
REMOVING = {"unlink", "unlinkat", "rmdir", "rename", "renameat", "renameat2", "chmod", "fsync"}
PR_SET_NO_NEW_PRIVS, SET_FILTER, NEW_LISTENER = 38, 1, 8
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, ASK = 0x7FFF0000, 0x7FC00000
RECEIVE, SEND = 0xC0502100, 0xC0182101
GO_ON = 1
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
LIMIT = 120.0  # seconds of a program


@dataclass
class Outcome:
    """What became of a program."""

    status: int = 0  # exit status, or minus the signal
    calls: list[tuple[str, str]] = field(default_factory=list)  # call and path, of those counted
    refused: tuple[str, str] | None = None  # the first one
    hung: bool = False


def is_possible() -> bool:
    """Whether this system has what is needed."""
    return platform.system() == "Linux" and platform.machine() in MACHINES


def _program() -> bytes:
    machine, architecture, _ = MACHINES[platform.machine()]

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    steps = [step(LOAD, 4), step(EQUAL, architecture, 1, 0), step(RETURN, ALLOW), step(LOAD, 0)]
    for name, numbers in CALLS.items():
        if number := numbers[machine]:
            if position := FLAGS.get(name):
                steps += [
                    step(EQUAL, number, 0, 4),
                    step(LOAD, 16 + 8 * position),
                    step(ANY_BIT, WRITING, 0, 1),
                    step(RETURN, ASK),
                    step(RETURN, ALLOW),
                ]
            else:
                steps += [step(EQUAL, number, 0, 1), step(RETURN, ASK)]
    return b"".join([*steps, step(RETURN, ALLOW)])


def _ask_from_now_on() -> int:
    """Let this process ask before its calls; the descriptor that the supervisor answers at."""

    class Filter(ctypes.Structure):
        _fields_ = (("steps", ctypes.c_ushort), ("program", ctypes.c_void_p))

    library = ctypes.CDLL(None, use_errno=True)
    program = _program()
    kept = ctypes.create_string_buffer(program, len(program))
    filtered = Filter(len(program) // 8, ctypes.addressof(kept))
    library.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    number = MACHINES[platform.machine()][2]
    found: int = library.syscall(number, SET_FILTER, NEW_LISTENER, ctypes.byref(filtered))
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "seccomp")
    return found


def run_refused(
    program: Callable[[], int],
    folder: str,
    at: int = 0,
    code: int = errno.ENOSPC,
    for_good: bool = False,
    removing: bool = False,
) -> Outcome:
    """Run a function in a copy of this process, and refuse its call number `at` (from 1) into `folder`.

    Parameters
    ----------
    program : callable
        Its result is the exit status.
    folder : str
        Only calls into it are counted and refused.
    at : int, default=0
        None.
    code : int, default=errno.ENOSPC
    for_good : bool, default=False
        Refuse all calls from there on, …
    removing : bool, default=False
        … also those that rename, remove and sync, which a full disk still allows.
    """
    ours, theirs = socket.socketpair()
    child = os.fork()
    if not child:
        status = 70
        try:
            ours.close()
            asked = _ask_from_now_on()
            socket.send_fds(theirs, [b"x"], [asked])
            os.close(asked)
            status = program()
        finally:
            os._exit(status)
    theirs.close()
    _, files, _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    outcome = Outcome()
    try:
        _answer(files[0], folder, outcome, at, code, for_good, removing)
    finally:
        os.close(files[0])
        if outcome.hung:
            os.kill(child, signal.SIGKILL)
        outcome.status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return outcome


def _answer(
    asked: int,
    folder: str,
    outcome: Outcome,
    at: int,
    code: int,
    for_good: bool,
    removing: bool,
) -> None:
    """Answer until nobody asks any more."""
    machine = MACHINES[platform.machine()][0]
    names = {numbers[machine]: name for name, numbers in CALLS.items() if numbers[machine]}
    poll, end = select.poll(), time.monotonic() + LIMIT
    poll.register(asked, select.POLLIN)
    while True:
        events = poll.poll(max(0.0, end - time.monotonic()) * 1000)
        if not events:
            outcome.hung = True
            return
        if not events[0][1] & select.POLLIN:
            return
        request = bytearray(80)
        try:
            fcntl.ioctl(asked, RECEIVE, request)
        except OSError:
            continue  # who asked is gone
        key, process, _, number, _, _, *arguments = struct.unpack("QIIiIQ6Q", request)
        name, error = names[number], 0
        path = _where(name, process, arguments)
        if path == folder or path.startswith(folder + "/"):
            outcome.calls.append((name, path))
            count = len(outcome.calls)
            if at and (
                count == at or (for_good and count > at and (removing or name not in REMOVING))
            ):
                error = code
                outcome.refused = outcome.refused or (name, path)
        answer = struct.pack("QqiI", key, 0, -error, 0 if error else GO_ON)
        try:
            fcntl.ioctl(asked, SEND, bytearray(answer))
        except OSError:
            continue


def _where(name: str, process: int, arguments: list[int]) -> str:
    """The path that a call is about; empty where nobody can tell."""
    kind = CALLS[name][2]
    try:
        if kind == FD:
            return _opened(process, arguments[SECOND.get(name, 0)])
        if name == "symlinkat":
            folder, place = arguments[1], arguments[2]
        elif kind == AT:
            folder, place = arguments[0], arguments[1]
        else:
            # symlink and rename: the new name is the second, in the same folder in practice
            folder, place = -100 & 0xFFFFFFFF, arguments[1 if name == "symlink" else 0]
        text = _text(process, place) if place else ""
        base = (
            str(Path(f"/proc/{process}/cwd").readlink())
            if folder & 0xFFFFFFFF == -100 & 0xFFFFFFFF
            else _opened(process, folder)
        )
        return os.path.normpath(Path(base) / text)
    except OSError:
        return ""


def _opened(process: int, descriptor: int) -> str:
    return str(Path(f"/proc/{process}/fd/{descriptor & 0xFFFFFFFF}").readlink())


def _text(process: int, place: int) -> str:
    memory = os.open(f"/proc/{process}/mem", os.O_RDONLY)
    try:
        found = b""
        while b"\0" not in found and len(found) < 4096:
            # No further than the page: the next one may not be there.
            more = os.pread(memory, 4096 - place % 4096, place)
            if not more:
                break
            found, place = found + more, place + len(more)
    finally:
        os.close(memory)
    return os.fsdecode(found.partition(b"\0")[0])
