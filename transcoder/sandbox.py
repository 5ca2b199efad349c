"""Start a program that is not trusted with the file it reads.

Run as `python -I -S sandbox.py PARENT_PID AS=BYTES CPU=S FSIZE=BYTES NOFILE=N READ=PATH WORK=PATH
-- PROGRAM ARG…`. It gives up what the program does not need and becomes it. Standard library only,
and few modules: it costs about 20 ms. What the platform does not offer (namespaces on macOS) is
left out.

Against a program that a file has taken over, on Linux:

| it may want | what stands in the way |
|---|---|
| keys in its environment | the environment is `ENVIRONMENT` |
| keys in its parent's | a namespace of its own; where there is none, `hidden` |
| the network, such as Google's metadata server | a network without routes; no new sockets |
| the memory of other processes | no `ptrace` and its kin |
| a process that outlives it | it can start threads, but no processes |
| the death of its parent or of another job | it can signal nobody but itself |
| other jobs' files, the service's data, keys on disk | Landlock: only its job's folder to read |
| to leave or change something elsewhere | Landlock: only its job's folder to write |

The namespaces need a kernel that gives them to ordinary users, which many container platforms
do not; Landlock needs Linux 5.13 and must be switched on. The filter of system calls needs nothing.
Where all are refused only FFmpeg's own list of protocols is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import signal
import struct
import sys
from typing import Final, NamedTuple

NICENESS: Final = 5
"""The service answers before its encoders compute."""
ENVIRONMENT: Final = {"LC_ALL": "C", "MALLOC_ARENA_MAX": "4", "SVT_LOG": "1"}
"""All that the program gets. Few arenas: else many cores use up the address space (glibc). The AV1
encoder writes of errors only, else its greetings count as messages about the file."""
CANNOT_START: Final = 126
"""Exit status when the program could not be started, as shells have it."""
_PATHS: Final = ("READ", "WORK")
"""What may be read, and where may be written."""
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
"""From <linux/prctl.h> and <linux/sched.h>."""


class _Calls(NamedTuple):
    """Numbers of system calls. `own` take a process first: only this one, or 0 which means it.

    `pair` makes two sockets: of the other kinds than streams, each can send to any name as well.
    `marks` are refused too: they do to any file what Landlock has no word for.
    """

    architecture: int
    refused: tuple[int, ...]
    own: tuple[int, ...]
    clone: int
    pair: int
    marks: tuple[int, ...]


_MACHINES: Final = {
    "x86_64": _Calls(
        0xC000003E,
        (41, 101, 310, 311, 425, 438, 57, 58, 129, 200, 297, 424),
        (62, 234, 302),
        56,
        53,
        (
            *(90, 91, 268, 452, 92, 93, 94, 260, 132, 235, 261, 280),
            *(188, 189, 190, 463, 197, 198, 199, 466, 469, 254, 300),
        ),
    ),
    "aarch64": _Calls(
        0xC00000B7,
        (198, 117, 270, 271, 425, 438, 138, 130, 240, 424),
        (129, 131, 261),
        220,
        199,
        (52, 53, 452, 54, 55, 88, 5, 6, 7, 463, 14, 15, 16, 466, 469, 27, 262),
    ),
}
"""AUDIT_ARCH of <linux/audit.h>. Refused are socket, ptrace, process_vm_readv, process_vm_writev,
io_uring_setup (it opens sockets too), pidfd_getfd; fork and vfork where there are any;
rt_sigqueueinfo, tkill, rt_tgsigqueueinfo, pidfd_send_signal. `own` are kill, tgkill, prlimit64.
`pair` is socketpair. `marks` change modes (the chmods), owners (chowns), times (utimes) and
attributes (setxattrs, removexattrs, file_setattr), or watch (inotify_add_watch, fanotify_init)."""
_CLONE3: Final = 435
"""It hides its flags from a filter. The C library takes `clone` where it seems not to exist."""
_CLONE_THREAD: Final = 0x10000
_SOCKET_KINDS: Final = 0xF
_SOCK_STREAM: Final = 1
_SECCOMP_MODE_FILTER: Final = 2
_FOREIGN_CALLS: Final = 0x40000000
"""From here on x86-64 has its system calls once more, with other numbers (x32)."""
_ALLOW: Final = 0x7FFF0000
_ERROR: Final = 0x00050000
"""From <linux/seccomp.h>: what a filter answers."""
_LOAD: Final = 0x20
_IF_EQUAL: Final = 0x15
_IF_NOT_BELOW: Final = 0x35
_IF_BITS: Final = 0x45
_AND: Final = 0x54
_RETURN: Final = 0x06
"""BPF's instructions, from <linux/bpf_common.h>."""


def main(argv: list[str]) -> int:
    """Confine this process and become the program; returns only if that fails."""
    split = argv.index("--")
    parent, *words = argv[:split]
    program = argv[split + 1 :]
    given = [word.split("=", 1) for word in words]
    with contextlib.suppress(OSError):
        os.setsid()
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    if sys.platform == "linux":
        _confine(int(parent), *([path for kind, path in given if kind == of] for of in _PATHS))
    for name, value in given:
        if name not in _PATHS:
            _limit(name, int(value))
    for ignored in (signal.SIGXFSZ, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_DFL)  # Python ignores them, and the program would too
    try:
        os.execve(program[0], program, ENVIRONMENT)  # noqa: S606 - there is no shell on purpose
    except OSError as error:
        sys.stderr.write(f"cannot start the program: {error.strerror}\n")
    return CANNOT_START


def _confine(parent: int, reading: list[str], working: list[str]) -> None:
    sys.path.append(__file__.rsplit(os.sep, 2)[0])
    from transcoder import landlock  # noqa: PLC0415 - as a script it is told only now where

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(CANNOT_START)  # the parent died before the kernel was told to watch it
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    landlock.restrict(reading=reading, working=working)
    _forbid_calls(libc)


class _Filter(ctypes.Structure):
    """`struct sock_fprog` of <linux/filter.h>."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _forbid_calls(libc: ctypes.CDLL) -> None:
    """Let the kernel refuse the calls of `_MACHINES`, from now on and for whatever comes after."""
    machine = os.uname().machine
    if machine in _MACHINES:
        code = _filter(_MACHINES[machine], os.getpid())
        program = _Filter(len(code) // 8, code)
        libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)


def _filter(calls: _Calls, own: int) -> bytes:
    """Return the filter: each step is (instruction, jump if so, jump if not, operand).

    A call is a number, an architecture and, from byte 16 on, what it is given, 8 bytes each: of
    that the low half is looked at. `own` is this process, which keeps its number in `execve`.
    """
    allow, refuse, absent = "allow", "refuse", "absent"
    steps: list[tuple[int, int | str, int | str, int]] = [
        (_LOAD, 0, 0, 4),
        (_IF_EQUAL, 0, refuse, calls.architecture),
        (_LOAD, 0, 0, 0),
        (_IF_NOT_BELOW, refuse, 0, _FOREIGN_CALLS),
        *((_IF_EQUAL, refuse, 0, number) for number in (*calls.refused, *calls.marks)),
        (_IF_EQUAL, absent, 0, _CLONE3),
        *((_IF_EQUAL, 0, 3, calls.pair), (_LOAD, 0, 0, 24), (_AND, 0, 0, _SOCKET_KINDS)),
        (_IF_EQUAL, allow, refuse, _SOCK_STREAM),
        *((_IF_EQUAL, 0, 2, calls.clone), (_LOAD, 0, 0, 16)),
        (_IF_BITS, allow, refuse, _CLONE_THREAD),
    ]
    for number in calls.own:
        steps += [(_IF_EQUAL, 0, 3, number), (_LOAD, 0, 0, 16)]
        steps += [(_IF_EQUAL, allow, 0, 0), (_IF_EQUAL, allow, refuse, own)]
    ends = {allow: _ALLOW, refuse: _ERROR | errno.EACCES, absent: _ERROR | errno.ENOSYS}
    places = {name: len(steps) + at for at, name in enumerate(ends)}
    steps += [(_RETURN, 0, 0, answer) for answer in ends.values()]

    def jump(to: int | str, here: int) -> int:
        return to if isinstance(to, int) else places[to] - here - 1

    return b"".join(
        struct.pack("=HBBI", code, jump(so, at), jump(not_so, at), operand)
        for at, (code, so, not_so, operand) in enumerate(steps)
    )


def _limit(name: str, value: int) -> None:
    """Set soft and hard limit alike; one that is lower already stays."""
    kind = getattr(resource, f"RLIMIT_{name}")
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (value, value))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
