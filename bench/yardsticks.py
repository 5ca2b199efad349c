"""What this machine gives by itself for the same bytes, so that speeds can be compared."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from core import limits

_MB: Final = 1_000_000
Sink = Callable[[memoryview], object]


def disk(source: Path) -> float:
    """Return the MB/s of writing the bytes of `source` to a new file and syncing it."""
    copy = source.with_name("copy")
    began = time.monotonic()
    try:
        with source.open("rb", buffering=0) as file, copy.open("wb", buffering=0) as out:
            _pump(file.readinto, out.write)
            os.fsync(out.fileno())
        return _rate(source, began)
    finally:
        copy.unlink(missing_ok=True)


def loopback(source: Path) -> float:
    """Return the MB/s of sending `source` through a local connection and hashing it there."""
    began = time.monotonic()
    digest = hashlib.sha256()
    _through_loopback(source, digest.update)
    return _rate(source, began)


def plain_receiver(source: Path) -> float:
    """Return the MB/s of the least that a receiver must do: receive, hash, write, sync."""
    copy = source.with_name("copy")
    digest = hashlib.sha256()
    began = time.monotonic()
    try:
        with copy.open("wb", buffering=0) as out:

            def keep(data: memoryview) -> None:
                digest.update(data)
                out.write(data)

            _through_loopback(source, keep)
            os.fsync(out.fileno())
        return _rate(source, began)
    finally:
        copy.unlink(missing_ok=True)


ALL: Final[Mapping[str, Callable[[Path], float]]] = MappingProxyType(
    {
        "disk: write, fsync": disk,
        "loopback: receive, SHA-256": loopback,
        "both, in one thread": plain_receiver,
    }
)


def _through_loopback(source: Path, sink: Sink) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = threading.Thread(target=_send, args=[source, listener.getsockname()])
        sender.start()
        connection, _ = listener.accept()
        with connection:
            _pump(connection.recv_into, sink)
        sender.join()


def _send(source: Path, address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection, source.open("rb") as file:
        connection.sendfile(file)


def _pump(read_into: Callable[[memoryview], int | None], sink: Sink) -> None:
    buffer = memoryview(bytearray(limits.CHUNK_BYTES))
    while count := read_into(buffer):
        sink(buffer[:count])


def _rate(source: Path, began: float) -> float:
    return source.stat().st_size / _MB / (time.monotonic() - began)
