"""As much of HTTP/2 as a client needs that breaks off where it wants to (RFC 9113, RFC 7541)."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
END_STREAM, END_HEADERS = 1, 4
CANCEL = 8
_FRAME_BYTES = 16_384


@dataclass(slots=True)
class Client:
    """A connection that keeps to the server's windows of flow control."""

    connection: socket.socket
    window: int = 65_535
    windows: dict[int, int] = field(default_factory=dict)
    initial_window: int = 65_535
    statuses: dict[int, int | None] = field(default_factory=dict)
    """What answers a stream: the status of its first head."""
    ended: set[int] = field(default_factory=set)
    """Streams that the server ended or reset."""
    _kept: bytes = b""

    def begin(self) -> None:
        """Send the preface and empty settings."""
        self.connection.sendall(PREFACE + _frame(SETTINGS, 0, 0, b""))

    def request(self, stream: int, path: str, headers: Mapping[str, str], method: str) -> None:
        """Open a stream; a POST has a body to follow."""
        fields = {":method": method, ":path": path, ":scheme": "http", ":authority": "lectern"}
        block = b"".join(_literal(*item) for item in {**fields, **headers}.items())
        flags = END_HEADERS | (0 if method == "POST" else END_STREAM)
        self.windows[stream] = self.initial_window
        self.connection.sendall(_frame(HEADERS, flags, stream, block))

    def send(self, stream: int, data: bytes, *, last: bool = False) -> None:
        """Send a part of a body, as the windows allow."""
        view = memoryview(data)
        while view:
            while not (room := min(self.window, self.windows[stream], _FRAME_BYTES)) > 0:
                self.hear()
            part, view = view[:room], view[room:]
            self.window -= len(part)
            self.windows[stream] -= len(part)
            flags = END_STREAM if last and not view else 0
            self.connection.sendall(_frame(DATA, flags, stream, bytes(part)))

    def reset(self, stream: int) -> None:
        """Cancel a stream."""
        self.connection.sendall(_frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big")))

    def status(self, stream: int) -> int | None:
        """Return the status that answers a stream, or None if it was reset without."""
        while stream not in self.ended:
            self.hear()
        return self.statuses.get(stream)

    def hear(self) -> None:
        """Read on. Raises ConnectionError at the connection's end."""
        got = self.connection.recv(65_536)
        if not got:
            raise ConnectionError("the server closed the connection")
        self._kept += got
        for frame in self._frames():
            self._heed(*frame)

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        while len(self._kept) >= 9 + (size := int.from_bytes(self._kept[:3], "big")):
            head, payload = self._kept[:9], self._kept[9 : 9 + size]
            self._kept = self._kept[9 + size :]
            yield head[3], head[4], int.from_bytes(head[5:9], "big"), payload

    def _heed(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & 1:
            for at in range(0, len(payload), 6):
                if int.from_bytes(payload[at : at + 2], "big") == 4:
                    self._resize(int.from_bytes(payload[at + 2 : at + 6], "big"))
            self.connection.sendall(_frame(SETTINGS, 1, 0, b""))
        elif kind == WINDOW_UPDATE and stream == 0:
            self.window += int.from_bytes(payload, "big")
        elif kind == WINDOW_UPDATE:
            self.windows[stream] += int.from_bytes(payload, "big")
        if kind == HEADERS:
            self.statuses.setdefault(stream, _status(payload))
        if kind == RST_STREAM or (kind in {DATA, HEADERS} and flags & END_STREAM):
            self.ended.add(stream)

    def _resize(self, size: int) -> None:
        for stream in self.windows:
            self.windows[stream] += size - self.initial_window
        self.initial_window = size


@contextmanager
def client(connection: socket.socket) -> Iterator[Client]:
    """Speak HTTP/2 with prior knowledge over a connection, and close it."""
    with connection:
        speaker = Client(connection)
        speaker.begin()
        speaker.hear()
        yield speaker


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def _literal(name: str, value: str) -> bytes:
    """Encode a header field without Huffman and without a place in the table."""
    return b"\x00" + b"".join(_string(text) for text in (name.lower(), value))


def _string(text: str) -> bytes:
    data = text.encode()
    assert len(data) < 127, "longer strings need HPACK's long integers"
    return bytes([len(data)]) + data


def _status(block: bytes) -> int | None:
    """Read the first field, :status, in the two forms that HAProxy sends."""
    known = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}
    if block[0] in known:
        return known[block[0]]
    if block[0] in {0x08, 0x48, 0x18} and block[1] == 3:
        return int(block[2:5])
    return None
