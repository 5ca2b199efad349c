"""A TCP proxy that breaks on command, in threads of its own."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.network.faults import NONE, Fault

_PIECE: Final = 64 * 1024
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close send a reset."""
_TICK_S: Final = 0.02


@dataclass(slots=True)
class _Line:
    """A connection and what belongs to it. `hung` is set for one that is dead without a word."""

    near: socket.socket
    far: socket.socket | None = None
    hung: bool = False
    up: int = 0
    down: int = 0
    ended: bool = False
    more: list[socket.socket] = field(default_factory=list)

    def reset(self) -> None:
        """End it with a reset to both sides."""
        self.ended = True
        for end in (self.near, self.far, *self.more):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    end.shutdown(socket.SHUT_RDWR)
                with contextlib.suppress(OSError):
                    end.close()


class Proxy:
    """Stands before `target` on a port of its own; `port` stays the same over all faults."""

    def __init__(self, target: tuple[str, int], *, seed: int = 1) -> None:
        self.hits = 0
        self.connections = 0
        self.touched = threading.Event()
        """Set once anything came by that a fault could hurt; nobody sees who is refused."""
        self._target = target
        self._fault = NONE
        self._left = 0.0
        self._lock = threading.Lock()
        self._lines: list[_Line] = []
        self._dice = random.Random(seed)  # noqa: S311 - replayable, no secret
        self._closed = False
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._accepting.start()

    @property
    def host(self) -> str:
        """Return `host:port`."""
        return f"127.0.0.1:{self.port}"

    def break_with(self, fault: Fault) -> None:
        """Be broken from now on; what stands is dropped or hangs if the fault says so."""
        with self._lock:
            self._fault, self._left, self.hits = fault, fault.hits_max, 0
            self.touched.clear()
            standing = [line for line in self._lines if not line.ended]
            for line in standing:
                line.up = line.down = 0
                line.hung = line.hung or fault.hangs
            self.hits += len(standing) if fault.hangs else 0
        if fault.opens == "refused":
            self._stop_listening()
        if fault.drops:
            for line in standing:
                line.reset()
                self.hits += 1

    def heal(self) -> None:
        """Be well again. Connections that hang are reset, unless the fault was `for_good`.

        So does a middlebox that has forgotten them, as soon as it is asked again.
        """
        with self._lock:
            fault, self._fault = self._fault, NONE
        if not fault.for_good:
            self._reset_hung()
        if self._listener is None and not self._closed:
            self._listen()

    def close(self) -> None:
        """End everything."""
        self._closed = True
        self._stop_listening()
        for line in list(self._lines):
            line.reset()
        self._accepting.join(5)

    def _reset_hung(self) -> None:
        for line in list(self._lines):
            if line.hung:
                line.reset()

    def _listen(self) -> None:
        while True:
            try:
                self._listener = socket.create_server(("127.0.0.1", self.port))
            except OSError:
                time.sleep(_TICK_S)
            else:
                return

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self) -> None:
        while not self._closed:
            listener = self._listener
            try:
                near = listener.accept()[0] if listener is not None else None
            except OSError:
                near = None
            if near is None:
                time.sleep(_TICK_S)
                continue
            self.connections += 1
            threading.Thread(target=self._open, args=[near], daemon=True).start()

    def _open(self, near: socket.socket) -> None:
        fault = self._fault
        self._touch(fault)
        line = _Line(near)
        self._lines.append(line)
        if fault.opens == "reset":
            self.hits += 1
            line.reset()
            return
        if fault.opens == "silent":
            self.hits += 1
            line.hung = True
        try:
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.far = socket.create_connection(self._target, timeout=10)
            line.far.settimeout(None)
            line.far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if fault.doubled:
                self.hits += 1
                line.more.append(socket.create_connection(self._target, timeout=10))
        except OSError:
            line.reset()
            return
        back = threading.Thread(target=self._pass_down, args=[line], daemon=True)
        back.start()
        self._pass_up(line)
        back.join()
        line.ended = True
        self._lines.remove(line)
        for end in (line.near, line.far, *line.more):
            with contextlib.suppress(OSError):
                end.close()

    def _touch(self, fault: Fault) -> None:
        if fault is not NONE:
            self.touched.set()

    def _pass_up(self, line: _Line) -> None:
        assert line.far is not None
        with contextlib.suppress(OSError):
            while data := line.near.recv(_PIECE):
                self._touch(self._fault)
                if line.hung:
                    continue
                data = self._hurt(line, data, up=True)
                line.far.sendall(data)
            self._end(line.far)

    def _pass_down(self, line: _Line) -> None:
        assert line.far is not None
        with contextlib.suppress(OSError):
            while data := line.far.recv(_PIECE):
                self._touch(self._fault)
                if line.hung:
                    continue
                data = self._hurt(line, data, up=False)
                line.near.sendall(data)
            if not line.hung:
                self._end(line.near)

    def _end(self, end: socket.socket) -> None:
        """Pass an end on, late if the fault says so."""
        if self._fault.lingers_s:
            self.hits += 1
            time.sleep(self._fault.lingers_s)
        end.shutdown(socket.SHUT_WR)

    def _hurt(self, line: _Line, data: bytes, *, up: bool) -> bytes:
        """Return what goes on of a piece; raises OSError where the connection is cut."""
        fault = self._fault
        if fault is NONE or self._left <= 0:
            return data
        at = line.up if up else line.down
        if up:
            line.up += len(data)
        else:
            line.down += len(data)
        data = self._flipped(data, at, fault.flip_up if up else fault.flip_down)
        self._wait(fault, len(data))
        allowed = (fault.cut_up if up else fault.cut_down) - at
        if len(data) <= allowed:
            return data
        self._cut(line, data, int(max(allowed, 0)), up=up)
        raise ConnectionResetError

    def _cut(self, line: _Line, data: bytes, allowed: int, *, up: bool) -> None:
        """Let some bytes pass and reset the connection."""
        with self._lock:
            self._left -= 1
            self.hits += 1
        end = line.far if up else line.near
        assert end is not None
        if allowed:
            end.sendall(data[:allowed])
            time.sleep(_TICK_S)  # or the reset overtakes the bytes
        line.reset()

    def _flipped(self, data: bytes, at: int, place: int | None) -> bytes:
        if place is None or not at <= place < at + len(data):
            return data
        with self._lock:
            self._left -= 1
            self.hits += 1
        bent = bytearray(data)
        bent[place - at] ^= 1
        return bytes(bent)

    def _wait(self, fault: Fault, count: int) -> None:
        pause_s = count / fault.bytes_per_s
        if fault.delay_s:
            pause_s += fault.delay_s + self._dice.random() * fault.jitter_s
        if pause_s:
            self.hits += 1
            time.sleep(pause_s)


@contextlib.contextmanager
def before(host: str, *, seed: int = 1) -> Iterator[Proxy]:
    """Give a proxy before `host:port`."""
    name, _, port = host.rpartition(":")
    proxy = Proxy((name, int(port)), seed=seed)
    try:
        yield proxy
    finally:
        proxy.close()
