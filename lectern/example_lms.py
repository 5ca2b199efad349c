"""A small LMS: it takes finished lectures, verifies them, keeps them, and confirms.

It is the other side of the demo, a pattern for a real LMS's webhook (`_store` and what it calls
are the handler to copy), and the test double: `behave` makes it misbehave.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, cast
from uuid import uuid4

from flask import Flask, Request, Response, request
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from core import limits
from core.errors import InvalidId
from core.job import check_id
from lectern.lms_behaviours import Behaviour, Visit, honest
from lectern.lms_shelf import FILE, Part, Shelf
from lectern.sets import fetch_set
from lectern.signature import (
    InvalidSignature,
    verify_delivery,
    verify_manifest_url,
    verify_receipt,
)

Confirm = Callable[[str, str], object]
"""Called with the video_id and the SHA-256 of the file that is stored."""

_INCOMING: Final = ".incoming-"
_POLL_S: Final = 0.02
_SILENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A lecture that arrived whole and was verified, with its receipt.

    `at` is in seconds since the epoch. `variants` are the names of an image's further files.
    """

    id: str
    video_id: str
    organization_id: str
    sha256: str
    size: int
    headers: Mapping[str, str] = field(repr=False)
    at: float
    receipt: Mapping[str, Any] | None = None
    manifest_url: str | None = field(default=None, repr=False)
    variants: tuple[str, ...] = ()


class ExampleLms:
    """Listens on `url` while its `with` statement is open.

    A lecture is stored as `<folder>/<video_id>.mp4`, sound and images with endings of their own,
    an image's variants in the folder `<folder>/<video_id>.variants`, a set of renditions that comes
    with a lecture as the folder `<folder>/<video_id>.set`. After each delivery that it answered 200
    it fetches the set and calls `confirm`, from a thread of its own; what those raise ends up in
    `confirm_errors`, and what could not be fetched is not confirmed.
    `on_stored` hears of each delivery. Port 0 takes a free one.
    """

    def __init__(
        self,
        *,
        secret: str,
        folder: Path,
        confirm: Confirm | None = None,
        on_stored: Callable[[Delivery], object] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.deliveries: list[Delivery] = []
        self.requests = 0
        self.confirm_errors: list[Exception] = []
        self._secret = secret
        self._folder = folder
        self._shelf = Shelf(folder)
        self._confirm = confirm
        self._on_stored = on_stored
        self._behaviours: deque[Behaviour] = deque()
        self._arrived = threading.Condition()
        self._released = threading.Event()
        self._unconfirmed: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        _clear(folder)
        self._server = _Server(host, port, self._app(), _Handler, ssl_context=tls)
        self._serving = threading.Thread(target=self._server.serve_forever, args=[_POLL_S])
        self._confirming = threading.Thread(target=self._confirm_all)

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        return self._server.port

    @property
    def url(self) -> str:
        """Return the URL of its store webhook."""
        scheme = "https" if self._server.ssl_context else "http"
        return f"{scheme}://{self._server.host}:{self.port}/store"

    def __enter__(self) -> Self:
        self._serving.start()
        self._confirming.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, cut open connections, finish the confirmations, join all threads."""
        self.release()
        self._server.shutdown()
        self._server.cut_connections()
        self._serving.join()
        self._unconfirmed.put(None)
        self._confirming.join()

    def behave(self, *behaviours: Behaviour) -> None:
        """Let each of the next requests be handled by one of `behaviours`, in their order."""
        self._behaviours.extend(behaviours)

    def release(self) -> None:
        """Let requests that hang go on; later ones will not hang."""
        self._released.set()

    def path_of(self, video_id: str) -> Path:
        """Return where the lecture or image is stored, or would be as a recording."""
        return self._shelf.path_of(video_id)

    def set_of(self, video_id: str) -> Path:
        """Return the folder of the lecture's set of renditions, if there is one."""
        return self._shelf.set_of(video_id)

    def variants_of(self, video_id: str) -> Path:
        """Return the folder of the image's variants, if there are any."""
        return self._shelf.variants_of(video_id)

    def wait_for(self, *, requests: int = 0, deliveries: int = 0, timeout_s: float = 30.0) -> None:
        """Return once so many requests and deliveries have come; raises TimeoutError."""

        def done() -> bool:
            return self.requests >= requests and len(self.deliveries) >= deliveries

        with self._arrived:
            if not self._arrived.wait_for(done, timeout_s):
                raise TimeoutError(f"{self.requests} requests, {len(self.deliveries)} deliveries")

    def _app(self) -> Flask:
        folder = self._folder

        class StoringRequest(_StoringRequest):
            incoming = folder

        app = Flask(__name__)
        app.request_class = StoringRequest
        app.add_url_rule("/store", view_func=self._visited, methods=["POST"])
        return app

    def _visited(self) -> Response:
        with self._arrived:
            self.requests += 1
            behaviour = self._behaviours.popleft() if self._behaviours else honest
            self._arrived.notify_all()
        stored: list[Delivery] = []

        def confirm() -> None:
            for delivery in stored:
                self._confirm_one(delivery)

        visit = Visit(
            request=request,
            store=lambda later: self._store(stored, later=later),
            confirm=confirm,
            released=self._released,
        )
        return behaviour(visit)

    def _store(self, stored: list[Delivery], *, later: bool) -> Response:
        """Take a delivery: verify, keep, answer 200, and confirm once that is sent."""
        parts = _parts(request)
        if FILE not in parts:
            return Response("there is no file", HTTPStatus.BAD_REQUEST)
        try:
            delivery = self._verified(parts)
        except InvalidId as error:
            return Response(error.detail, HTTPStatus.BAD_REQUEST)
        except InvalidSignature as error:
            return Response(str(error), HTTPStatus.UNAUTHORIZED)
        self._keep(delivery, parts)
        stored.append(delivery)
        response = Response("stored")
        if later:
            response.call_on_close(lambda: self._unconfirmed.put(delivery))
        return response

    def _verified(self, parts: Mapping[str, Part]) -> Delivery:
        """Return what the request delivers; raises InvalidId and InvalidSignature."""
        file = parts[FILE].file
        delivery = Delivery(
            id=request.headers.get("webhook-id", ""),
            video_id=check_id("video_id", request.form.get("video_id", "")),  # to be a file name
            organization_id=request.form.get("organization_id", ""),
            sha256=_sha256(file),
            size=os.fstat(file.fileno()).st_size,
            headers=dict(request.headers),
            at=time.time(),
            receipt=self._receipt(),
            manifest_url=request.form.get("manifest_url"),
            variants=tuple(check_id("a file's field", name) for name in parts if name != FILE),
        )
        verify_delivery(
            secret=self._secret,
            headers=delivery.headers,
            video_id=delivery.video_id,
            organization_id=delivery.organization_id,
            file_sha256=delivery.sha256,
        )
        if delivery.manifest_url is not None:
            verify_manifest_url(
                secret=self._secret,
                headers=delivery.headers,
                url=delivery.manifest_url,
                signature=request.form.get("manifest_url_signature", ""),
            )
        _check_variants(delivery, parts)
        return delivery

    def _receipt(self) -> Mapping[str, Any] | None:
        """Return the receipt that came along, if one did; raises InvalidSignature."""
        text = request.form.get("receipt")
        if text is None:
            return None
        signature = request.form.get("receipt_signature", "")
        return verify_receipt(secret=self._secret, text=text, signature=signature)

    def _keep(self, delivery: Delivery, parts: Mapping[str, Part]) -> None:
        """Make the files durable under their names; the same delivery again changes nothing."""
        with self._arrived:
            known = any(delivery.id == earlier.id for earlier in self.deliveries)
            if not known or not self.path_of(delivery.video_id).exists():
                self._shelf.put(delivery.video_id, parts)
            self.deliveries.append(delivery)
            self._arrived.notify_all()
        if self._on_stored:
            self._on_stored(delivery)

    def _confirm_all(self) -> None:
        while delivery := self._unconfirmed.get():
            self._confirm_one(delivery)

    def _confirm_one(self, delivery: Delivery) -> None:
        if self._confirm is None:
            return
        try:
            if delivery.manifest_url is not None:
                fetch_set(delivery.manifest_url, self.set_of(delivery.video_id))
            self._confirm(delivery.video_id, delivery.sha256)
        except Exception as error:  # noqa: BLE001 - the outermost loop of its thread
            self.confirm_errors.append(error)


class _StoringRequest(Request):
    """Writes the file of a form to disk while it arrives, and removes what was not kept."""

    incoming: Path

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._streams: list[BinaryIO] = []

    def _get_file_stream(self, *_args: Any, **_kwargs: Any) -> BinaryIO:
        stream = (self.incoming / f"{_INCOMING}{uuid4()}").open("w+b")
        self._streams.append(stream)
        return stream

    def close(self) -> None:
        super().close()
        for stream in self._streams:
            stream.close()
            Path(stream.name).unlink(missing_ok=True)


class _Handler(WSGIRequestHandler):
    """Speaks HTTP without a line of log for each request."""

    timeout = _SILENCE_S

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


class _Server(ThreadedWSGIServer):
    """A thread for each connection, all joined when it closes."""

    daemon_threads = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(*args, **kwargs)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        """End every connection that is open, so that no thread waits for its client."""
        with self._guard:
            for connection in self._open:
                with contextlib.suppress(OSError):  # it has ended by itself
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _parts(request: Request) -> dict[str, Part]:
    """Return the files of a form by their fields."""
    return {
        name: Part(file=cast("BinaryIO", upload.stream), media_type=upload.mimetype)
        for name, upload in request.files.items()
    }


def _check_variants(delivery: Delivery, parts: Mapping[str, Part]) -> None:
    """Return if all variants came that the receipt lists, and no others; else InvalidSignature.

    The delivery's own signature is for its file alone: the receipt of this very file must be there.
    """
    output = (delivery.receipt or {}).get("output") or {}
    listed = output.get("variants", ()) if output.get("sha256") == delivery.sha256 else ()
    wanted = {each["name"]: each["sha256"] for each in listed}
    if wanted != {name: _sha256(parts[name].file) for name in delivery.variants}:
        raise InvalidSignature("the files beside it are not those that its receipt lists")


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(limits.CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _clear(folder: Path) -> None:
    """Make the folder, and remove what an interrupted run left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(f"{_INCOMING}*"):
        path.unlink()
