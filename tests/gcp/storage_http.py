"""The HTTP side of `storage_server`: a server in threads of this process."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.gcp.storage_server import Answer, Bucket, Cut, LoseAnswer, Refusal, Session, Stored

_ONE: Final = re.compile(r"(?:/download)?/storage/v1/b/[^/]+/o/([^/]+)")
_ALL: Final = re.compile(r"/storage/v1/b/[^/]+/o")
_UPLOAD: Final = re.compile(r"/upload/storage/v1/b/[^/]+/o")
_BUCKET: Final = re.compile(r"/b/([^/]+)/o(?:/|$)")
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)")
_ANYWHERE: Final = ("127.0.0.1", 0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, bucket: Bucket, address: tuple[str, int], name: str | None) -> None:
        super().__init__(address, _Handler)
        self.bucket = bucket
        self.name = name

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent where a client hung up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""

    def do_POST(self) -> None:
        self._serve("begin", self._begin)

    def do_PUT(self) -> None:
        content_range = self.headers.get("Content-Range", "")
        length = int(self.headers.get("Content-Length", 0))
        if not length and content_range != "bytes */0":
            kind = "query"
        else:
            kind = "put" if content_range.endswith("/*") else "finish"
            if self.server.bucket.is_announced(self._asked()[1]["upload_id"]):
                kind = "direct"
        self._serve(kind, self._put)

    def do_DELETE(self) -> None:
        cancels = _UPLOAD.fullmatch(urlsplit(self.path).path)
        if cancels:
            self._serve("cancel", self._cancel)
        else:
            self._serve("delete", self._delete)

    def do_GET(self) -> None:
        path, query = self._asked()
        if _ALL.fullmatch(path):
            self._serve("list", self._list)
        elif query.get("alt") == "media":
            self._serve("read", self._read)
        else:
            self._serve("stat", self._stat)

    def _serve(self, kind: str, act: Callable[[bytes, bool], None]) -> None:
        """Read the body, break what shall break, and do what is asked."""
        length = int(self.headers.get("Content-Length", 0))
        fault = self.server.bucket.fault(kind, length)
        self._mute = isinstance(fault, Cut | LoseAnswer)
        body = self.rfile.read(min(length, fault.after) if isinstance(fault, Cut) else length)
        try:
            if isinstance(fault, Answer):
                self._answer(fault.status)
            elif not self._is_here():
                self._answer(HTTPStatus.NOT_FOUND)
            else:
                act(body, not isinstance(fault, Cut))
        except Refusal as refusal:
            self._answer(refusal.status)
        if self._mute:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _begin(self, body: bytes, _whole: bool) -> None:  # noqa: FBT001 - one form for all
        _, query = self._asked()
        fields = json.loads(body or b"{}")
        match = query.get("ifGenerationMatch")
        session = Session(
            name=fields.get("name") or query["name"],
            content_type=self.headers.get("X-Upload-Content-Type", "application/octet-stream"),
            metadata=fields.get("metadata", {}),
            generation_match=None if match is None else int(match),
            announced=_number(self.headers.get("X-Upload-Content-Length")),
            origin=self.headers.get("Origin"),
        )
        number = self.server.bucket.begin(session)
        # The caller's own word for this host: another one may not lead here from where it is.
        place = f"http://{self.headers['Host']}{self.path}&upload_id={number}"
        self._answer(HTTPStatus.OK, headers={"Location": place})

    def _put(self, body: bytes, whole: bool) -> None:  # noqa: FBT001 - one form for all
        result = self.server.bucket.take(
            self._asked()[1]["upload_id"],
            self._content_range(),
            body,
            goog_hash=self.headers.get("X-Goog-Hash"),
            whole=whole,
        )
        if isinstance(result, Stored):
            self._json(result.resource())
            return
        held = len(result.data)
        self._answer(308, headers={"Range": f"bytes=0-{held - 1}"} if held else {})

    def _content_range(self) -> str:
        """Return the header; without one, a body is the whole object."""
        length = int(self.headers.get("Content-Length", 0))
        whole = f"bytes 0-{length - 1}/{length}" if length else "bytes */0"
        return self.headers.get("Content-Range", whole)

    def _cancel(self, _body: bytes, _whole: bool) -> None:  # noqa: FBT001 - one form for all
        self.server.bucket.cancel(self._asked()[1]["upload_id"])
        self._answer(499)

    def _delete(self, _body: bytes, _whole: bool) -> None:  # noqa: FBT001 - one form for all
        self.server.bucket.delete(self._name(), self._asked()[1])
        self._answer(HTTPStatus.NO_CONTENT)

    def _stat(self, _body: bytes, _whole: bool) -> None:  # noqa: FBT001 - one form for all
        self._json(self.server.bucket.get(self._name(), self._asked()[1]).resource())

    def _list(self, _body: bytes, _whole: bool) -> None:  # noqa: FBT001 - one form for all
        query = self._asked()[1]
        page, token = self.server.bucket.page(
            query.get("prefix", ""), query.get("pageToken", ""), query.get("startOffset", "")
        )
        more = {"nextPageToken": token} if token else {}
        self._json({"items": [stored.resource() for stored in page], **more})

    def _read(self, _body: bytes, _whole: bool) -> None:  # noqa: FBT001 - one form for all
        stored = self.server.bucket.get(self._name(), self._asked()[1])
        headers = {
            "X-Goog-Hash": f"crc32c={stored.crc32c}",
            "X-Goog-Generation": str(stored.generation),
            "Content-Type": stored.content_type,
        }
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked is None:
            self._answer(HTTPStatus.OK, stored.data, headers)
            return
        start, size = int(asked[1]), len(stored.data)
        end = min(int(asked[2]) + 1, size) if asked[2] else size
        if start >= end:
            raise Refusal(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self._answer(HTTPStatus.PARTIAL_CONTENT, stored.data[start:end], headers)

    def _is_here(self) -> bool:
        """Return whether the path names this server's bucket, if that has a name."""
        asked = _BUCKET.search(self._asked()[0])
        return self.server.name is None or (asked is not None and asked[1] == self.server.name)

    def _asked(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        return parts.path, dict(parse_qsl(parts.query))

    def _name(self) -> str:
        match = _ONE.fullmatch(self._asked()[0])
        if match is None:
            raise Refusal(HTTPStatus.NOT_FOUND)
        return unquote(match[1])

    def _json(self, content: Mapping[str, Any]) -> None:
        body = json.dumps(content).encode()
        self._answer(HTTPStatus.OK, body, {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        if self._mute:
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


@contextlib.contextmanager
def serving(
    bucket: Bucket, *, address: tuple[str, int] = _ANYWHERE, name: str | None = None
) -> Iterator[str]:
    """Serve `bucket` under `name`, or under any name without one; gives the API's URL.

    By itself it takes a free port of this machine's own address.
    """
    with _Server(bucket, address, name) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()
