"""Examples for the API's description: one recording, one image and one direct upload.

They are what the service answers in the words of its schemas; `tests/http/test_openapi.py` holds
each against its schema. A name is what a reader of the documentation chooses the example by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Values = Mapping[str, object]
"""Examples by their names."""

VIDEO_ID: Final = "linear-algebra-07"
MEDIA_ID: Final = "campus-map"
UPLOAD_ID: Final = "0b0ff1a4-6f0e-4f6b-9c1b-5f3a3c1f7a52"
_ORGANIZATION: Final = "org-1"
_SOURCE_SHA256: Final = "c76767b44f6e30ed7ef402d9ecc11822e96178cd071105f394d8d694c04c4ab1"
_RESULT_SHA256: Final = "c6ab932a934460bd21fde8c5da450ed8188bcbd6b8e6c41e0551e56e8d417b8b"
_SEGMENT_SHA256: Final = "cfac0461d0e5963017d4cfbdf388ca697a4d8572097aca815927339b6060580a"
_RECEIVED_AT: Final = "2026-11-02T09:15:00.000Z"
_MADE_AT: Final = "2026-11-02T09:17:41.350Z"
_STORED_AT: Final = "2026-11-02T09:17:43.020Z"
_NEXT_DAY: Final = "2026-11-03T09:15:00.000Z"
_SET: Final = (
    "https://lectern.example/sets/6d0a7c52-9b8e-4d55-8a55-0d8a3b0f6c11.1.1793783861"
    ".the-proof-of-this-url-as-it-was-handed-out"
)
_FILE: Final = "(the bytes of the file)"
_MEDIA: Final[Values] = {"duration_s": 5400.04, "video_codec": "h264", "audio_codec": "aac"}

TOKEN: Final[Values] = {"as it stands in upload_url": "the-token-of-this-upload"}
CAPABILITY: Final[Values] = {"as it stands in manifest_url": _SET.rpartition("/")[2]}
SET_PATH: Final[Values] = {
    "the manifest": "manifest.json",
    "for players of HLS": "master.m3u8",
    "for players of DASH": "manifest.mpd",
}
RANGE: Final[Values] = {"the first thousand bytes": "bytes=0-999"}
DETAIL: Final[Values] = {"in full": "1"}
CONTENT_RANGE: Final[Values] = {
    "a piece": "bytes 0-8388607/157286400",
    "ask what is there": "bytes */157286400",
}
HELD: Final = "bytes=0-8388607"

RECEIVE: Final[Values] = {
    "a recording": {
        "video_id": VIDEO_ID,
        "organization_id": _ORGANIZATION,
        "file": _FILE,
        "sha256": _SOURCE_SHA256,
    },
    "with a set to stream": {
        "video_id": VIDEO_ID,
        "organization_id": _ORGANIZATION,
        "renditions": "hls",
        "subtitles": "1\n00:00:01,000 --> 00:00:04,000\nGood morning.\n",
        "subtitles_language": "en",
        "file": _FILE,
    },
}
COMPRESS: Final[Values] = {
    "an image": {
        "media_id": MEDIA_ID,
        "variants": "thumbnail,medium",
        "format": "webp",
        "file": _FILE,
    },
    "a recording": {"media_id": VIDEO_ID, "quality": "medium", "file": _FILE},
}
ANNOUNCEMENT: Final[Values] = {
    "a recording": {
        "video_id": VIDEO_ID,
        "organization_id": _ORGANIZATION,
        "size": 157_286_400,
        "content_type": "video/mp4",
        "sha256": _SOURCE_SHA256,
    },
}
CONFIRMATION: Final[Values] = {
    "stored": {"video_id": VIDEO_ID},
    "stored and compared": {"video_id": VIDEO_ID, "sha256": _RESULT_SHA256},
}
METRICS: Final[Values] = {
    "an excerpt": (
        "# HELP lectern_jobs Jobs by state.\n"
        "# TYPE lectern_jobs gauge\n"
        'lectern_jobs{state="queued"} 2.0\n'
    ),
}

_JOB: Final[Values] = {
    "video_id": VIDEO_ID,
    "organization_id": _ORGANIZATION,
    "state": "stored",
    "progress": 100,
    "created_at": _RECEIVED_AT,
    "updated_at": _STORED_AT,
    "source": {
        "bytes": 157_286_400,
        "sha256": _SOURCE_SHA256,
        "container": "mp4",
        "width": 1920,
        "height": 1080,
        **_MEDIA,
    },
    "output": {
        "bytes": 50_331_648,
        "sha256": _RESULT_SHA256,
        "width": 1280,
        "height": 720,
        **_MEDIA,
        "action": "encoded",
        "saved_percent": 68.0,
        "work_s": 158.204,
    },
    "delivery": {
        "delivery_id": "msg_6d0a7c52-9b8e-4d55-8a55-0d8a3b0f6c11",
        "attempts": 1,
        "last_outcome": "answered 200",
        "next_attempt_at": None,
    },
    "failure": None,
    "warnings": [],
    "history": [
        {"at": _RECEIVED_AT, "event": "Received", "state": "queued", "note": None},
        {
            "at": "2026-11-02T09:15:00.120Z",
            "event": "Claimed",
            "state": "processing",
            "note": None,
        },
        {"at": _MADE_AT, "event": "Encoded", "state": "storing", "note": "encoded"},
        {"at": _STORED_AT, "event": "Delivered", "state": "stored", "note": None},
    ],
}
_OPEN: Final[Values] = {
    "upload_id": UPLOAD_ID,
    "status": "open",
    "video_id": VIDEO_ID,
    "size": 157_286_400,
    "received_bytes": 8_388_608,
    "expires_at": _NEXT_DAY,
}
_RECEIVED: Final[Values] = {
    "upload_id": UPLOAD_ID,
    "status": "received",
    "video_id": VIDEO_ID,
    "state": "queued",
}
_MANIFEST: Final[Values] = {
    "format": 1,
    "video_id": VIDEO_ID,
    "expires_at": _NEXT_DAY,
    "duration_s": 5400.0,
    "bytes": 1_048_576,
    "entry_points": {
        "hls": f"{_SET}/master.m3u8",
        "dash": f"{_SET}/manifest.mpd",
        "poster": f"{_SET}/poster.jpg",
        "storyboard": f"{_SET}/storyboard.vtt",
        "chapters": f"{_SET}/chapters.vtt",
        "subtitles": [],
    },
    "renditions": [],
    "warnings": [],
    "files": [
        {
            "path": "720p/00000.m4s",
            "url": f"{_SET}/720p/00000.m4s",
            "bytes": 1_048_576,
            "sha256": _SEGMENT_SHA256,
            "content_type": "video/iso.segment",
            "role": "segment",
        },
    ],
}
ANSWERS: Final[Mapping[str, Values]] = {
    "Queued": {"queued": {"status": "queued", "video_id": VIDEO_ID}},
    "Completed": {"completed": {"status": "completed", "video_id": VIDEO_ID}},
    "Accepted": {
        "accepted": {
            "status": "accepted",
            "mediaId": MEDIA_ID,
            "message": "Compression started",
        },
    },
    "Unknown": {
        "unknown": {
            "mediaId": "nobody",
            "status": "not_found",
            "code": "not_found",
            "detail": "there is no job nobody; check the id, or send the file first",
        },
    },
    "Announced": {
        "announced": {
            "upload_id": UPLOAD_ID,
            "upload_url": f"https://lectern.example/uploads/{UPLOAD_ID}/content"
            "?token=the-token-of-this-upload",
            "expires_at": _NEXT_DAY,
            "max_bytes": 157_286_400,
            "video_id": VIDEO_ID,
        },
    },
    "Upload": {"on its way": _OPEN, "complete": _RECEIVED},
    "Job": {"delivered": _JOB},
    "MediaStatus": {
        "by the second contract": {"mediaId": MEDIA_ID, "status": "processing"},
        "by the second contract, failed": {
            "mediaId": MEDIA_ID,
            "status": "failed: the file is damaged; send it again",
        },
    },
    "SetManifest": {"shortened to one file": _MANIFEST},
    "Health": {"alive": {"status": "ok"}},
    "Readiness": {
        "ready": {"status": "ready", "checks": {"store": {"ok": True}, "jobs": {"ok": True}}},
    },
}
"""What is answered where all is well, by the names of schemas."""
ALL_THERE: Final[Values] = {"complete": _RECEIVED}
NOT_READY: Final[Values] = {
    "not ready": {
        "status": "not_ready",
        "checks": {"store": {"ok": False, "reason": "the disk answers EIO"}, "jobs": {"ok": True}},
    },
}
PROBLEMS: Final = (
    {
        "type": "urn:lectern:problem:busy",
        "title": "Too Many Requests",
        "status": 429,
        "code": "busy",
        "detail": "too many uploads are on their way at once; send this one again later",
    },
)


def named(values: Values) -> Mapping[str, object]:
    """Return examples in the form that parameters and contents have them in."""
    return {"examples": {name: {"value": value} for name, value in values.items()}}


def answers(*schemas: str) -> Mapping[str, object]:
    """Return the examples of answers of one of these schemas."""
    return named({name: value for schema in schemas for name, value in ANSWERS[schema].items()})
