"""The example LMS: a well-behaved receiver unless told otherwise."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from core.delivery import Answered, Enclosure, Outcome, Parcel, Receipt
from lectern.example_lms import Confirm, Delivery, ExampleLms
from lectern.lms_behaviours import answer, confirm_inside, hang_before_answering, lose_answer
from tests.contracts.parcels import SECRET, VIDEO, Stored, parcel_of
from tests.contracts.test_courier import courier_to

SHA256 = hashlib.sha256(VIDEO).hexdigest()


def deliver(lms: ExampleLms, parcel: Parcel | None = None, video: bytes = VIDEO) -> Outcome:
    """Deliver a lecture."""
    return courier_to(lms.url).send(parcel or parcel_of(video), Stored(video))


@contextmanager
def confirming(folder: Path, confirm: Confirm) -> Iterator[ExampleLms]:
    """Yield an LMS that confirms."""
    with ExampleLms(secret=SECRET, folder=folder, confirm=confirm) as lms:
        yield lms


@pytest.fixture
def lms(tmp_path: Path) -> Iterator[ExampleLms]:
    """Yield an LMS that does not confirm."""
    with ExampleLms(secret=SECRET, folder=tmp_path) as lms:
        yield lms


def test_it_confirms_with_the_digest_of_what_it_stored(tmp_path: Path) -> None:
    confirmed: list[tuple[str, str]] = []
    with confirming(tmp_path, lambda *stored: confirmed.append(stored)) as lms:
        deliver(lms)
    assert confirmed == [("lecture-42", SHA256)]


def test_it_confirms_only_after_it_has_answered(tmp_path: Path) -> None:
    answered = threading.Event()
    order: list[bool] = []
    with confirming(tmp_path, lambda *_: order.append(answered.wait(10))) as lms:
        deliver(lms)
        answered.set()
    assert order == [True]


def test_it_confirms_before_it_answers_where_it_is_told_to(tmp_path: Path) -> None:
    confirmed: list[str] = []
    with confirming(tmp_path, lambda video_id, _: confirmed.append(video_id)) as lms:
        lms.behave(confirm_inside)
        deliver(lms)
        assert confirmed == ["lecture-42"]
    assert confirmed == ["lecture-42"]


def test_a_lost_answer_is_confirmed_with_the_next_delivery(tmp_path: Path) -> None:
    confirmed: list[str] = []
    with confirming(tmp_path, lambda video_id, _: confirmed.append(video_id)) as lms:
        lms.behave(lose_answer)
        deliver(lms)
        assert (confirmed, len(lms.deliveries)) == ([], 1)
        deliver(lms)
    assert confirmed == ["lecture-42"]


def test_a_failed_confirmation_is_kept_and_stops_nothing(tmp_path: Path) -> None:
    errors = [ConnectionError("away")]

    def confirm(*_stored: str) -> None:
        if errors:
            raise errors.pop()

    with confirming(tmp_path, confirm) as lms:
        assert deliver(lms) == deliver(lms) == Answered(status=200)
    assert [str(error) for error in lms.confirm_errors] == ["away"]


def test_the_same_delivery_again_is_counted_and_leaves_the_file_alone(lms: ExampleLms) -> None:
    deliver(lms)
    before = lms.path_of("lecture-42").stat()
    deliver(lms)
    assert lms.path_of("lecture-42").stat() == before
    assert len(lms.deliveries) == 2


def test_another_delivery_of_a_lecture_replaces_the_file(lms: ExampleLms) -> None:
    deliver(lms)
    deliver(lms, replace(parcel_of(b"newer"), delivery_id="msg_2"), b"newer")
    assert lms.path_of("lecture-42").read_bytes() == b"newer"


PICTURE, THUMB, MIDDLE = b"a picture", b"a thumbnail", b"a middling one"
MADE = {"thumbnail": THUMB, "medium": MIDDLE}


def picture_of(
    made: dict[str, bytes], *, kind: str = "jpeg", listed: dict[str, bytes] | None = None
) -> Parcel:
    """Return a parcel of an image with variants, and a receipt that lists them or others."""
    ending = {"jpeg": "jpg"}.get(kind, kind)
    sha256 = hashlib.sha256(PICTURE).hexdigest()
    variants = [
        {"name": name, "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in (made if listed is None else listed).items()
    ]
    output = {"sha256": sha256, "variants": variants}
    said = {"created_at": 1_700_000_000, "id": "rcp_9", "output": output}
    return replace(
        parcel_of(PICTURE),
        content_type=f"image/{kind}",
        receipt=Receipt(id="rcp_9", at=1_700_000_000, text=json.dumps(said)),
        enclosures=tuple(
            Enclosure(name=name, key=name, file_name=f"run-{name}.{ending}", size=len(data),
                      content_type=f"image/{kind}")
            for name, data in made.items()
        ),
    )  # fmt: skip


def send(lms: ExampleLms, parcel: Parcel, made: dict[str, bytes]) -> Outcome:
    """Deliver an image with variants."""
    return courier_to(lms.url).send(parcel, Stored(PICTURE), [*map(Stored, made.values())])


@pytest.mark.parametrize(
    ("media_type", "name"),
    [
        ("video/mp4", "lecture-42.mp4"),
        ("audio/mp4", "lecture-42.m4a"),
        ("image/jpeg", "lecture-42.jpg"),
        ("image/png", "lecture-42.png"),
        ("image/webp", "lecture-42.webp"),
        ("image/avif", "lecture-42.avif"),
    ],
)
def test_a_file_is_named_for_what_it_is(lms: ExampleLms, media_type: str, name: str) -> None:
    deliver(lms, replace(parcel_of(), content_type=media_type))
    assert lms.path_of("lecture-42").name == name
    assert lms.path_of("lecture-42").read_bytes() == VIDEO


def test_an_images_variants_are_kept_beside_it_before_anything_is_confirmed(
    tmp_path: Path,
) -> None:
    kept: list[dict[str, bytes]] = []

    def confirm(video_id: str, _: str) -> None:
        folder = example.variants_of(video_id)
        kept.append({path.name: path.read_bytes() for path in folder.iterdir()})

    with confirming(tmp_path, confirm) as example:
        assert send(example, picture_of(MADE), MADE) == Answered(status=200)
    assert kept == [{"thumbnail.jpg": THUMB, "medium.jpg": MIDDLE}]
    assert example.path_of("lecture-42").read_bytes() == PICTURE
    assert example.deliveries[0].variants == ("thumbnail", "medium")


@pytest.mark.parametrize(
    "listed",
    [
        {"thumbnail": THUMB},
        {**MADE, "large": b"never sent"},
        {"thumbnail": THUMB, "medium": b"other bytes"},
        {},
    ],
)
def test_files_that_are_not_those_of_the_receipt_are_refused(
    lms: ExampleLms, tmp_path: Path, listed: dict[str, bytes]
) -> None:
    outcome = send(lms, picture_of(MADE, listed=listed), MADE)
    assert outcome == Answered(status=401)
    assert list(tmp_path.iterdir()) == []


def test_variants_without_a_receipt_of_their_file_are_refused(lms: ExampleLms) -> None:
    stray = replace(picture_of(MADE), receipt=None)
    assert send(lms, stray, MADE) == Answered(status=401)


def test_a_variant_whose_name_is_a_path_is_refused(lms: ExampleLms, tmp_path: Path) -> None:
    made = {"../thumbnail": THUMB}
    assert send(lms, picture_of(made), made) == Answered(status=400)
    assert list(tmp_path.iterdir()) == []


def test_another_delivery_replaces_all_that_was_there(lms: ExampleLms, tmp_path: Path) -> None:
    send(lms, picture_of(MADE), MADE)
    fewer = {"thumbnail": b"smaller"}
    send(lms, replace(picture_of(fewer, kind="webp"), delivery_id="msg_2"), fewer)
    assert lms.path_of("lecture-42").name == "lecture-42.webp"
    assert [path.name for path in lms.variants_of("lecture-42").iterdir()] == ["thumbnail.webp"]
    deliver(lms, replace(parcel_of(), delivery_id="msg_3"))
    assert [path.name for path in tmp_path.iterdir()] == ["lecture-42.mp4"]


def test_many_deliveries_at_once_are_all_kept(lms: ExampleLms) -> None:
    parcels = [replace(parcel_of(), video_id=f"v{n}", delivery_id=f"msg_{n}") for n in range(16)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda parcel: deliver(lms, parcel), parcels))
    assert outcomes == [Answered(status=200)] * 16
    assert all(lms.path_of(parcel.video_id).read_bytes() == VIDEO for parcel in parcels)


@pytest.mark.parametrize("video_id", ["../lecture", "/etc/passwd", ".hidden", ""])
def test_an_id_that_is_no_file_name_is_refused(
    lms: ExampleLms, video_id: str, tmp_path: Path
) -> None:
    outcome = deliver(lms, replace(parcel_of(), video_id=video_id))
    assert outcome == Answered(status=400)
    assert list(tmp_path.iterdir()) == []


def test_a_form_without_a_file_is_refused(lms: ExampleLms) -> None:
    answered = requests.post(lms.url, data={"video_id": "lecture-42"}, timeout=10)
    assert answered.status_code == 400


def test_what_was_not_kept_leaves_no_file(lms: ExampleLms, tmp_path: Path) -> None:
    lms.behave(answer(500))
    deliver(lms)
    deliver(lms, replace(parcel_of(), file_sha256="0" * 64))
    deliver(lms)
    deliver(lms)
    assert [path.name for path in tmp_path.iterdir()] == ["lecture-42.mp4"]


def test_what_an_interrupted_run_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".incoming-1").touch()
    with ExampleLms(secret=SECRET, folder=tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_behaviours_are_used_up_in_their_order(lms: ExampleLms) -> None:
    lms.behave(*[answer(500)] * 2, answer(503))
    outcomes = [deliver(lms) for _ in range(4)]
    assert outcomes == [Answered(status=status) for status in (500, 500, 503, 200)]


def test_a_hanging_request_goes_on_when_it_is_released(lms: ExampleLms) -> None:
    lms.behave(hang_before_answering)
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(deliver, lms)
        lms.wait_for(deliveries=1)
        assert not outcome.done()
        lms.release()
        assert outcome.result(timeout=10) == Answered(status=200)


def test_closing_does_not_wait_for_a_silent_client(tmp_path: Path) -> None:
    with ExampleLms(secret=SECRET, folder=tmp_path) as lms:
        lms.behave(answer(200))
        head = b"POST /store HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nbegun"
        client = socket.create_connection(("127.0.0.1", lms.port))
        client.sendall(head)
        lms.wait_for(requests=1)
        begun = time.monotonic()
    client.close()
    assert time.monotonic() - begun < 5


def test_it_comes_back_on_the_same_port(tmp_path: Path) -> None:
    with ExampleLms(secret=SECRET, folder=tmp_path) as lms:
        deliver(lms)
    with ExampleLms(secret=SECRET, folder=tmp_path, port=lms.port) as again:
        assert again.url == lms.url
        assert deliver(again) == Answered(status=200)


def test_it_tells_of_each_delivery(tmp_path: Path) -> None:
    heard: list[Delivery] = []
    with ExampleLms(secret=SECRET, folder=tmp_path, on_stored=heard.append) as lms:
        deliver(lms)
        assert heard == lms.deliveries


def test_waiting_ends_in_time(lms: ExampleLms) -> None:
    with pytest.raises(TimeoutError, match="0 requests"):
        lms.wait_for(deliveries=1, timeout_s=0.01)
