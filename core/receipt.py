"""The receipt of a job: what was made of which recording, how, and what it cost.

It is a view of the record, so it is the same text over all attempts of a delivery and as long as
the record is kept. Its signature covers `id.timestamp.text`, as https://www.standardwebhooks.com
has it for a body; `id` and `created_at` stand in the text itself.
"""

from __future__ import annotations

import json
from typing import Final

from core import views
from core.errors import NotReady
from core.job import Job, Rendition
from core.making import Levels, Making, Quality
from core.views import View

FORMAT: Final = 1
"""Version of the document."""


def receipt_id(job: Job) -> str:
    """Return the id under which the receipt is signed."""
    return f"rcp_{job.run}"


def receipt_time(job: Job) -> int:
    """Return the epoch second at which the output was recorded; raises NotReady."""
    if job.output is None:
        raise NotReady(f"the job is {job.state} and has no output to give a receipt for")
    return int(job.output.made_at)


def receipt_text(job: Job) -> str:
    """Return the receipt as JSON with sorted keys and no spaces; raises NotReady."""
    return json.dumps(receipt(job), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def receipt(job: Job) -> View:
    """Return the receipt as JSON values: bytes, seconds, dB; raises NotReady."""
    created_at = receipt_time(job)
    status = views.status(job)
    return {
        "format": FORMAT,
        "id": receipt_id(job),
        "created_at": created_at,
        "video_id": job.job_id,
        "organization_id": job.organization_id,
        "source": status["source"],
        "output": status["output"],
        "warnings": status["warnings"],
        **_making(job.output),
    }


def _making(output: Rendition | None) -> View:
    if output is None or output.making is None:
        return {}
    making = output.making
    if making.alike is not None:
        alike = making.alike
        return {
            "quality": {"ssim": round(alike.mean, 4), "ssim_low": round(alike.low, 4)},
            "encoder": {"preset": making.preset, "libvips": making.ffmpeg},
            "cost": _cost(making),
        }
    return {
        "quality": _quality(making.quality),
        "loudness": _levels(making.levels),
        "encoder": {
            "preset": making.preset,
            "ffmpeg": making.ffmpeg,
            "arguments": list(making.arguments),
            "pieces": making.pieces,
        },
        "cost": _cost(making),
    }


def _quality(quality: Quality | None) -> View | None:
    if quality is None:
        return None
    return {
        "vmaf": round(quality.mean, 2),
        "vmaf_5th_percentile": round(quality.low, 2),
        "sampled_s": round(quality.sampled_s, 2),
    }


def _levels(levels: Levels | None) -> View | None:
    if levels is None:
        return None
    return {
        "source_lufs": round(levels.source_lufs, 1),
        "gain_db": round(levels.gain_db, 1),
        "output_lufs": round(levels.source_lufs + levels.gain_db, 1),
    }


def _cost(making: Making) -> View:
    return {
        "cpu_s": round(making.cpu_s, 2),
        "price_per_cpu_s": making.price_per_cpu_s,
        "total": round(making.cpu_s * making.price_per_cpu_s, 6),
    }
