"""The same segments described for DASH (ISO/IEC 23009-1, live profile, static). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final
from xml.etree import ElementTree as ET

from core.segments import Track
from core.subtitles import TextTrack
from transcoder.ladder.hls import Streams

MPD: Final = "manifest.mpd"
_NAMESPACE: Final = "urn:mpeg:dash:schema:mpd:2011"
_PROFILE: Final = "urn:mpeg:dash:profile:isoff-live:2011"
_CHANNELS: Final = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011"


def mpd(streams: Streams) -> str:
    """Return the description; its segments are those of the playlists, with the same times."""
    root = ET.Element(
        "MPD",
        {
            "xmlns": _NAMESPACE,
            "profiles": _PROFILE,
            "type": "static",
            "mediaPresentationDuration": _duration(streams.duration_s),
            "minBufferTime": _duration(streams.target_s),
            "maxSegmentDuration": _duration(_longest_s(streams)),
        },
    )
    period = ET.SubElement(root, "Period", {"id": "0", "start": "PT0S"})
    _videos(period, streams)
    if streams.audio:
        _audio(period, streams, streams.audio)
    for text in streams.texts:
        _text(period, text)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _videos(period: ET.Element, streams: Streams) -> None:
    """All renditions have the same cuts, so one timeline stands for all."""
    first = streams.videos[0]
    group = _group(period, "video", "video/mp4", None)
    _template(group, first)
    for video in streams.videos:
        ET.SubElement(
            group,
            "Representation",
            {
                "id": video.name,
                "codecs": video.codecs,
                "bandwidth": str(max(video.peak_rate(streams.target_s), video.average_rate)),
                "width": str(video.width),
                "height": str(video.height),
                "frameRate": f"{round(streams.frame_rate * 1000)}/1000",
                "sar": "1:1",
            },
        )


def _audio(period: ET.Element, streams: Streams, audio: Track) -> None:
    group = _group(period, "audio", "audio/mp4", streams.audio_language)
    _template(group, audio)
    shape = {
        "id": audio.name,
        "codecs": audio.codecs,
        "bandwidth": str(max(audio.peak_rate(streams.target_s), audio.average_rate)),
        "audioSamplingRate": str(audio.sample_rate),
    }
    representation = ET.SubElement(group, "Representation", shape)
    channels = {"schemeIdUri": _CHANNELS, "value": str(audio.channels)}
    ET.SubElement(representation, "AudioChannelConfiguration", channels)


def _text(period: ET.Element, text: TextTrack) -> None:
    group = _group(period, "text", "text/vtt", text.language)
    ET.SubElement(group, "Role", {"schemeIdUri": "urn:mpeg:dash:role:2011", "value": "subtitle"})
    size = {"id": text.file_name.rpartition("/")[2], "bandwidth": "1000"}
    ET.SubElement(ET.SubElement(group, "Representation", size), "BaseURL").text = text.file_name


def _group(period: ET.Element, kind: str, mime: str, language: str | None) -> ET.Element:
    said = {"contentType": kind, "mimeType": mime}
    if kind != "text":
        said |= {"segmentAlignment": "true", "startWithSAP": "1"}
    return ET.SubElement(period, "AdaptationSet", said | ({"lang": language} if language else {}))


def _template(group: ET.Element, track: Track) -> None:
    template = ET.SubElement(
        group,
        "SegmentTemplate",
        {
            "timescale": str(track.timescale),
            "initialization": "$RepresentationID$/init.mp4",
            "media": "$RepresentationID$/$Number%05d$.m4s",
            "startNumber": "0",
        },
    )
    timeline = ET.SubElement(template, "SegmentTimeline")
    for index, said in enumerate(_runs(track)):
        start = {"t": str(track.segments[0].start)} if index == 0 else {}
        ET.SubElement(timeline, "S", start | said)


def _runs(track: Track) -> Iterator[dict[str, str]]:
    """Yield durations in ticks, each with the number of times that it repeats."""
    starts = [segment.start for segment in track.segments]
    ends = [*starts[1:], max(segment.end for segment in track.segments)]
    for ticks, same in groupby(end - start for start, end in zip(starts, ends, strict=True)):
        again = len(list(same)) - 1
        yield {"d": str(ticks), **({"r": str(again)} if again else {})}


def _longest_s(streams: Streams) -> float:
    return max(max(track.durations_s) for track in streams.tracks)


def _duration(seconds: float) -> str:
    return f"PT{seconds:.3f}S"
