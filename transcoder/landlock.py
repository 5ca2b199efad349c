"""Let this process, and what it becomes, reach only some files: Landlock, of Linux 5.13 and newer.

Each version of Landlock's interface ("ABI") can refuse more than the one before; what this kernel
does not know is left out. What is not refused by it: to see whether a path exists, to change modes,
owners and times (the filter of `sandbox` refuses that), and what is open already. Needs
`no_new_privs`. The numbers are those of <linux/landlock.h>, the calls have one number each
on x86-64 and aarch64; see landlock(7). Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterable
from typing import Final

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_ASK_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_REMOVE_DIR: Final = 1 << 4
_REMOVE_FILE: Final = 1 << 5
_MAKE_DIR: Final = 1 << 7
_MAKE_REG: Final = 1 << 8
_REFER: Final = 1 << 13
_TRUNCATE: Final = 1 << 14
_IOCTL_DEV: Final = 1 << 15
_FIRST: Final = (1 << 13) - 1
"""All that the first version can refuse about files."""
_LATER: Final = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV))
"""Refused since which version: files that change folders, cutting, commands to devices."""
_TCP: Final = 0b11
_TCP_SINCE: Final = 4
"""To bind to a port and to connect to one."""
_SCOPES: Final = 0b11
_SCOPES_SINCE: Final = 6
"""Abstract Unix sockets of others, and signals to others."""
_READING: Final = _EXECUTE | _READ_FILE | _READ_DIR
_WORKING: Final = (
    (_READ_FILE | _READ_DIR | _WRITE_FILE | _TRUNCATE | _REFER)
    | (_MAKE_REG | _MAKE_DIR | _REMOVE_FILE | _REMOVE_DIR)
)  # fmt: skip
"""In the folder to work in: no programs, links, pipes, sockets or devices."""
_OF_FILES: Final = _EXECUTE | _READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV
"""What can be said of a path that is no folder."""


def version() -> int:
    """Return the version of the interface; 0 where there is none, or where it is switched off."""
    if sys.platform != "linux":
        return 0
    return max(_call(ctypes.CDLL(None), _CREATE_RULESET, None, 0, _ASK_VERSION), 0)


def restrict(*, reading: Iterable[str], working: Iterable[str]) -> bool:
    """Refuse all files but those at and below `reading` and `working`; return whether they are.

    Below `reading` files may be read and started as programs, below `working` read, written and
    removed. What is not there is left out. TCP, signals to others and abstract sockets are refused
    as well. It cannot be taken back.
    """
    offered = version()
    if not offered:
        return False
    libc = ctypes.CDLL(None)
    files = _FIRST | sum(right for since, right in _LATER if offered >= since)
    attributes = _attributes(offered, files)
    rules = _call(libc, _CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    try:
        for rights, paths in ((_READING, reading), (_WORKING, working)):
            for path in paths:
                _allow(libc, rules, path, rights & files)
        return _call(libc, _RESTRICT_SELF, rules, 0) == 0
    finally:
        os.close(rules)


def _attributes(offered: int, files: int) -> bytes:
    """Return `struct landlock_ruleset_attr`, as long as this version knows it."""
    words = [files]
    if offered >= _TCP_SINCE:
        words.append(_TCP)
    if offered >= _SCOPES_SINCE:
        words.append(_SCOPES)
    return struct.pack(f"={len(words)}Q", *words)


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    """Add a rule; without it less is allowed, so whatever goes wrong here is left at that."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        _call(libc, _ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _call(libc: ctypes.CDLL, number: int, *words: int | bytes | None) -> int:
    given = (ctypes.c_long(word) if isinstance(word, int) else word for word in words)
    result: int = libc.syscall(ctypes.c_long(number), *given)
    return result
