"""When pictures and sounds come: flashes and clicks at the beginning and at the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from tests.media.conftest import Media
from tests.media.listening import heard
from tests.media.looking import look
from tests.media.test_made_recordings import RAW

SYNC_S = 0.02
FLASHES = "between(mod(t,1.5),0.48,0.52)"
CLICKS = "0.8*sin(2*PI*1000*t)*between(mod(t,1.5),0.5,0.54)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Seconds at which flashes are seen and clicks are heard."""

    flashes: list[float]
    clicks: list[float]

    @property
    def offsets(self) -> list[float]:
        """Return how long after each flash its click comes."""
        return [click - flash for flash, click in zip(self.flashes, self.clicks, strict=True)]


def events(path: Path) -> Events:
    flashes: list[float] = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            plane = frame.planes[0]
            bright = bytes(plane)[plane.line_size * (frame.height // 2) + frame.width // 2] > 128
            at = frame.time or 0.0
            if bright and (not flashes or at - flashes[-1] > 0.5):
                flashes.append(at)
    return Events(flashes=flashes, clicks=heard(path).onsets(0.15))


def scene(seconds: float = 5, rate: str = "25") -> list[str]:
    """Return arguments of a dark noisy picture with flashes, and of silence with clicks."""
    flash = f"drawbox=color=white:t=fill:enable='{FLASHES}'"
    picture = f"color=black:s=96x64:r={rate}:d={seconds},noise=alls=12:allf=t,{flash}"
    clicks = f"aevalsrc={CLICKS}:s=48000:d={seconds}".replace(",", r"\,")
    return ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", clicks]


VP8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M"]
KINDS = {
    "mp4": ("source.mp4", [*RAW, "-c:a", "aac", "-b:a", "200k"]),
    "copied sound": ("source.mp4", [*RAW, "-c:a", "aac", "-b:a", "64k", "-af", "volume=12dB"]),
    "webm": ("source.webm", [*VP8, "-c:a", "libopus", "-f", "webm", "-live", "1"]),
    "avi": ("source.avi", ["-c:v", "mpeg4", "-q:v", "2", "-c:a", "libmp3lame", "-ar", "44100"]),
    "slow": ("source.mp4", [*RAW, "-c:a", "aac", "-b:a", "200k", "-ar", "16000"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_sound_and_picture_stay_together_from_beginning_to_end(kind: str, media: Media) -> None:
    name, codec = KINDS[kind]
    source = media.make(name, *scene(), *codec)
    before, after = events(source), events(media.compress(source).path)
    assert len(after.offsets) == len(before.offsets) == 3
    assert after.offsets == pytest.approx(before.offsets, abs=SYNC_S)


@pytest.mark.parametrize("shift", ["0.3", "-0.3"])
def test_delayed_and_early_sound_keeps_its_distance(shift: str, media: Media) -> None:
    flash, clicks = scene()[:4], scene()[4:]
    words = [*flash, "-itsoffset", shift, *clicks, "-map", "0:v", "-map", "1:a", *RAW]
    source = media.make("source.mkv", *words, "-c:a", "flac")
    before, after = events(source), events(media.compress(source).path)
    assert before.offsets[0] == pytest.approx(0.02 + float(shift), abs=0.02)
    assert after.offsets == pytest.approx(before.offsets, abs=SYNC_S)


def test_a_clock_that_runs_slow_does_not_pull_the_sound_away(media: Media) -> None:
    """The sound card writes 0.15% fewer samples than its times say, as cheap ones do."""
    slow = ["-af", "asetpts=PTS*1.0015", "-c:a", "pcm_s16le"]
    source = media.make("source.mkv", *scene(20, "10"), *RAW, *slow)
    before, after = events(source), events(media.compress(source).path)
    assert len(before.offsets) == 13
    wanted = [0.0015 * flash for flash in before.flashes]
    assert after.offsets == pytest.approx(wanted, abs=SYNC_S)


def test_short_gaps_in_the_sound_do_not_add_up(media: Media) -> None:
    """Each second 40 ms of sound are missing, as in a browser under load."""
    gaps = ["-af", "asetnsamples=960,aselect='not(between(mod(t,1),0.2,0.239))'"]
    source = media.make("source.mkv", *scene(8), *RAW, *gaps, "-c:a", "pcm_s16le")
    after = events(media.compress(source).path)
    assert len(after.offsets) == 5
    assert after.offsets == pytest.approx([0.02, 0, 0.02, 0, 0.02], abs=SYNC_S)


def test_what_an_edit_list_cuts_off_stays_cut_off(media: Media) -> None:
    """A trimmed phone recording: what comes before is in the file, and not to be seen or heard."""
    plain = media.make("plain.mp4", *scene(), *RAW, "-g", "100", "-c:a", "aac", "-b:a", "200k")
    source = media.make("source.mp4", "-ss", "1.2", "-i", str(plain), "-c", "copy")
    made = media.compress(source).path
    before, after = events(source), events(made)
    assert len(before.flashes) == 2
    assert after.flashes[0] == pytest.approx(2.0 - 1.2, abs=0.041)
    assert after.offsets == pytest.approx(before.offsets, abs=SYNC_S)
    assert len(look(source).times) == len(look(made).times)


def browser_recording(media: Media, chosen: str, seconds: float) -> Path:
    """Return a screen as a browser writes it: ticks of a millisecond, no rate, no duration."""
    screen = ["-f", "lavfi", "-i", f"testsrc2=s=320x180:r=30:d={seconds}", "-vf", chosen]
    clock = ["-fps_mode", "vfr", "-enc_time_base", "1:1000", "-f", "webm", "-live", "1"]
    return media.make("source.webm", *screen, *VP8, *clock)


def test_a_browsers_screen_recording_costs_what_its_frames_cost(media: Media) -> None:
    """Frames by the thousandth of a second must not become a thousand frames a second."""
    jitter = "select='lt(mod(n,30),4)',settb=1/1000,setpts='floor(PTS+7*random(1))'"
    source = browser_recording(media, jitter, 8)
    result = media.compress(source)
    before, after = look(source).times, look(result.path).times
    assert after == pytest.approx([time - before[0] for time in before], abs=0.0011)
    assert len(after) == 32
    assert result.size < source.stat().st_size


def test_stills_of_a_minute_are_kept_and_so_is_the_end(media: Media) -> None:
    """Also by what the file says of itself: players believe its headers."""
    times = "eq(N,1)*61+eq(N,2)*62+eq(N,3)*150"
    chosen = f"select='lt(n,4)',setpts='({times})/TB'"
    source = browser_recording(media, chosen, 1)
    result = media.compress(source)
    assert look(result.path).times == pytest.approx([0, 61, 62, 150], abs=0.002)
    with av.open(str(result.path)) as container:
        stream = container.streams.video[0]
        assert (stream.duration or 0) * (stream.time_base or 0) >= 150
        assert (container.duration or 0) / av.time_base >= 150
