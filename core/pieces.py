"""How a long recording is cut into pieces of bounded work that join without a seam.

Picture and sound are cut apart from each other. A picture piece is a run of frames, whose bytes
begin at a keyframe of the source; a sound piece a run of AAC frames, encoded with some more on
either side that are dropped again. The plan of the pieces names everything that a worker needs
besides the source's bytes, so that any worker makes the same piece.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from core import limits
from core.documents import from_document, to_document
from core.errors import BadMessage
from core.media import MediaInfo, Picture, Stream
from core.piece_bounds import SHORTEST, boundaries, rescaled, seen, sound_grid
from core.plan import AudioEncode, Copy, Plan, VideoEncode
from core.timeline import Keyframe, PictureLine, SoundLine, Timeline

PIECES_FORMAT: Final = 1
"""Version of a PiecePlan's document; a worker refuses any other."""
PIECE_S: Final = 30.0
"""Seconds of picture in a piece. Measured on slides at 1080p30 against one encode: pieces of 30 s
cost 2% more CPU time, those of 60 s none; an hour on 64 workers takes 53 s with the former, 81 s
with the latter (`make bench-scale`)."""
PICTURE_PIECES_MAX: Final = limits.PIECES_MAX - 100
"""Picture pieces of one recording. Some are half as long as wanted, so that pieces get longer from
5 hours on; those of a day last 288 s."""
SOUND_PIECES_MAX: Final = limits.PIECES_MAX - PICTURE_PIECES_MAX
PIECES_MAX: Final = limits.PIECES_MAX
"""Both together: what a message may name."""
WHOLE_BELOW: Final = 2.0
"""A recording shorter than this many pieces stays whole."""
SOUND_PIECE_S: Final = 300.0
"""The same of sound: it is encoded at 20 times its speed."""
SOUND_LEAD_FRAMES: Final = 16
"""AAC frames encoded before a sound piece, until the encoder's choices no longer depend on where
it began, and dropped again; 0.34 s at 48 kHz."""
SOUND_TAIL_FRAMES: Final = 4
"""The same after it: the encoder looks ahead, and a joint may lie up to two frames later."""
DECODER_LEAD_S: Final = 0.5
"""Sound decoded before that: MP3 keeps up to ten frames' bits back, Opus settles in 80 ms."""
AAC_FRAME: Final = 1024
_INTERLEAVED_S: Final = 2
"""Seconds by which sound may lie behind the picture in a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePiece:
    """The frames with `start` <= time < `end`, in ticks of the source.

    Copying begins at `keyframe` and takes all frames shown before `read_end`. `first` and `last`
    are when the piece's first and last frame are shown in the output, in its ticks. Where frames
    are thinned out `start` is one that is kept, so that thinning goes on as in the whole.
    """

    number: int
    start: int
    end: int
    read_end: int
    keyframe: Keyframe
    frames: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundPiece:
    """The coded AAC frames from `start` on, `frames` of them, or all that come for None.

    Encoding begins `lead` frames earlier. `read_start` and `read_end` bound the packets to copy,
    `sound_start` and `sound_end` what of their sound is encoded; all count decoded samples of
    the source, from its first packet on; None is as much as there is. `position` is the byte of
    a cluster or fragment that begins before them.
    """

    number: int
    start: int
    lead: int
    frames: int | None
    read_start: int
    read_end: int | None
    sound_start: int
    sound_end: int | None
    position: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPiece:
    """The whole sound in one go: copied, or encoded where it cannot be cut."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WholePiece:
    """The whole recording in one go, as if it had never been cut."""

    number: int


Piece = PicturePiece | SoundPiece | StreamPiece | WholePiece


@dataclass(frozen=True, slots=True, kw_only=True)
class PiecePlan:
    """All pieces of one plan, numbered from 0: pictures first, each kind in its order.

    `whole_because` says why the recording is not cut, `sound_whole_because` why its sound is not;
    None where it is. `shift` are the ticks between source and output, `head` is where the
    source's first cluster or fragment begins, `form` how copied pictures are kept. `sound_first`
    is when the output's first sound packet begins, in its samples; `last_ticks` how long the
    output's last frame stays, in its ticks.
    """

    version: int
    plan: Plan
    pieces: tuple[Piece, ...]
    source_size: int
    source_time_base: Fraction = Fraction(1)
    shift: int = 0
    head: int | None = None
    form: str | None = None
    last_ticks: int = 0
    sound: SoundLine | None = None
    sound_first: int = 0
    whole_because: str | None = None
    sound_whole_because: str | None = None

    @property
    def whole(self) -> bool:
        """Return whether there is only the recording itself."""
        return self.whole_because is not None

    @property
    def frames(self) -> int:
        """Return how many frames the picture pieces give; 0 for a recording that stays whole."""
        return sum(piece.frames for piece in self.pieces if isinstance(piece, PicturePiece))

    def to_document(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        document: dict[str, Any] = to_document(self)
        return document

    @classmethod
    def from_document(cls, document: Any) -> PiecePlan:
        """Return the plan that was written; raises BadMessage for anything else."""
        version = document.get("version") if isinstance(document, dict) else None
        if version != PIECES_FORMAT:
            raise BadMessage(f"a plan of pieces of format {version}, not {PIECES_FORMAT}")
        try:
            return from_document(cls, document)
        except ValueError as error:
            raise BadMessage(str(error)) from error


def cut(
    info: MediaInfo,
    plan: Plan,
    timeline: Timeline | None,
    *,
    piece_s: float = PIECE_S,
    sound_s: float = SOUND_PIECE_S,
) -> PiecePlan:
    """Return the pieces of `plan`: about `piece_s` seconds of picture, or `sound_s` of sound.

    None for `timeline` where none was taken; then, and where the recording is short or cannot be
    cut safely, there is one piece. At most `PIECES_MAX`.
    """
    reason = worth_cutting(info, plan, piece_s=piece_s)
    if reason is None and (timeline is None or timeline.picture is None):
        reason = "nothing is known of its frames"
    if reason is None and timeline and timeline.picture:
        reason = timeline.picture.reason
    if reason is None and timeline and timeline.picture:
        made = _cut(info, plan, timeline, timeline.picture, (piece_s, sound_s))
        if isinstance(made, PiecePlan):
            return made
        reason = made
    return PiecePlan(
        version=PIECES_FORMAT,
        plan=plan,
        pieces=(WholePiece(number=0),),
        source_size=info.size,
        whole_because=reason,
    )


def worth_cutting(info: MediaInfo, plan: Plan, *, piece_s: float = PIECE_S) -> str | None:
    """Return why the recording stays whole whatever its frames are, or None.

    Asked before the timeline is taken, which costs a scan.
    """
    if not isinstance(plan.video, VideoEncode):
        return "its picture is not encoded"
    if info.duration_s < WHOLE_BELOW * piece_s:
        return "it is short"
    if not info.clean or info.cut:
        return "it is damaged"
    if info.video and info.video.picture and info.video.picture.cropped:
        return "its container cuts off edges"
    if info.video and info.video.picture and _may_be_of_old_x264(info.video, info.video.picture):
        return "its first picture says how all others are to be read"
    return None


def _may_be_of_old_x264(stream: Stream, picture: Picture) -> bool:
    """Return whether decoding may need what stands in the first picture only.

    Before build 151 x264 wrote 4:4:4 in a way of its own, and tells its build nowhere else.
    """
    return stream.codec == "h264" and "444" in picture.pix_fmt


def _cut(
    info: MediaInfo,
    plan: Plan,
    timeline: Timeline,
    line: PictureLine,
    lengths_s: tuple[float, float],
) -> PiecePlan | str:
    """Return the pieces, or why there are none."""
    piece_s = max(lengths_s[0], info.duration_s / PICTURE_PIECES_MAX / SHORTEST)
    sound_s = max(lengths_s[1], info.duration_s / SOUND_PIECES_MAX)
    video = plan.video
    if not isinstance(video, VideoEncode):
        return "its picture is not encoded"
    shift = rescaled(-timeline.start_us, Fraction(1, 1_000_000), line.time_base)
    kept = seen(line, video, shift)
    bounds = boundaries(line, kept, piece_s=piece_s, context=1 if video.deinterlace else 0)
    if isinstance(bounds, str):
        return bounds
    pictures = _pictures(line, video, shift, kept, bounds)
    sound = timeline.sound
    why = _sound_whole(plan, sound)
    sounds = _sounds(plan, timeline, why, sound_s, len(pictures))
    return PiecePlan(
        version=PIECES_FORMAT,
        plan=plan,
        pieces=(*pictures, *sounds),
        source_size=info.size,
        source_time_base=line.time_base,
        shift=shift,
        head=line.head,
        form=line.form,
        last_ticks=rescaled(line.last_ticks, line.time_base, video.time_base),
        sound=sound if plan.audio else None,
        sound_first=_sound_first(plan, sound, timeline.start_us),
        sound_whole_because=why if plan.audio else None,
    )


# --- picture ----------------------------------------------------------------------------------
def _pictures(
    line: PictureLine,
    video: VideoEncode,
    shift: int,
    kept: list[int],
    bounds: list[tuple[int, Keyframe]],
) -> list[PicturePiece]:
    """Return the pieces that begin at `bounds`.

    A bound is a position in `kept`, which holds positions in `line.times`, with its keyframe.
    """
    ends = [*(at for at, _ in bounds[1:]), len(kept)]
    pieces = []
    for number, ((at, keyframe), end) in enumerate(zip(bounds, ends, strict=True)):
        first, after = kept[at], kept[end] if end < len(kept) else len(line.times)
        output = [
            rescaled(line.times[kept[n]] + shift, line.time_base, video.time_base)
            for n in (at, end - 1)
        ]
        pieces.append(
            PicturePiece(
                number=number,
                start=line.times[first],
                end=_time(line, after),
                read_end=_time(line, after + (1 if video.deinterlace else 0)),
                keyframe=keyframe,
                frames=end - at,
                first=output[0],
                last=output[1],
            )
        )
    return pieces


def _time(line: PictureLine, at: int) -> int:
    """Return the tick of the frame at `at`, or one past the last frame."""
    return line.times[at] if at < len(line.times) else line.times[-1] + 1


# --- sound ------------------------------------------------------------------------------------
def _sound_whole(plan: Plan, sound: SoundLine | None) -> str | None:
    if plan.audio is None:
        return "there is none"
    if isinstance(plan.audio, Copy):
        return "it is copied"
    return sound.reason if sound else "nothing is known of its packets"


def _sounds(
    plan: Plan, timeline: Timeline, why: str | None, sound_s: float, number: int
) -> list[Piece]:
    """Return the sound's pieces, numbered from `number` on."""
    audio, sound = plan.audio, timeline.sound
    if audio is None:
        return []
    if why is not None or sound is None or isinstance(audio, Copy):
        return [StreamPiece(number=number)]
    starts = _sound_starts(sound, audio, sound_s)
    return [
        _sound(timeline, sound, audio, number + at, (start, *starts[at + 1 : at + 2]))
        for at, start in enumerate(starts)
    ]


def _sound_starts(sound: SoundLine, audio: AudioEncode, sound_s: float) -> list[int]:
    """Return the coded frames that pieces begin at, on the grid; the last piece is no stub."""
    grid = sound_grid(sound.sample_rate, audio.sample_rate)
    frames = sound.samples * audio.sample_rate // sound.sample_rate // AAC_FRAME
    wanted = max(
        int(sound_s * audio.sample_rate / AAC_FRAME),
        2 * (SOUND_LEAD_FRAMES + SOUND_TAIL_FRAMES),
    )
    step = -(-wanted // grid) * grid
    return list(range(0, max(frames - step // 2, 1), step))[:SOUND_PIECES_MAX]


def _sound(
    timeline: Timeline, sound: SoundLine, audio: AudioEncode, number: int, bounds: tuple[int, ...]
) -> SoundPiece:
    """Return the piece between two starts, or after the last one."""
    start, *following = bounds
    grid = sound_grid(sound.sample_rate, audio.sample_rate)
    began = max((start - SOUND_LEAD_FRAMES) // grid * grid, 0)
    ratio = Fraction(AAC_FRAME * sound.sample_rate, audio.sample_rate)
    sound_start = sound.skipped + int(began * ratio)
    sound_end = sound.skipped + sound.samples if sound.trimmed else None
    if following:
        sound_end = sound.skipped + int((following[0] + SOUND_TAIL_FRAMES) * ratio)
    lead = int(DECODER_LEAD_S * sound.sample_rate)
    read_start = max(sound_start - lead, 0)
    return SoundPiece(
        number=number,
        start=start,
        lead=start - began,
        frames=following[0] - start if following else None,
        read_start=read_start,
        read_end=None if sound_end is None else sound_end + lead,
        sound_start=sound_start,
        sound_end=sound_end,
        position=_position(timeline, sound, read_start),
    )


def _position(timeline: Timeline, sound: SoundLine, sample: int) -> int | None:
    """Return the byte of the last cluster or fragment that begins well before `sample`."""
    line = timeline.picture
    if line is None or line.head is None:
        return None
    at_s = sound.first_packet * sound.time_base + Fraction(sample, sound.sample_rate)
    keys = [keyframe.time for keyframe in line.keyframes]
    before = bisect_right(keys, (at_s - _INTERLEAVED_S) / line.time_base) - 1
    return line.keyframes[before].position if before >= 0 else None


def _sound_first(plan: Plan, sound: SoundLine | None, start_us: int) -> int:
    """Return the sample at which the output's first sound packet begins.

    An encoder puts one frame of its own before what is heard; a copy begins with its first packet.
    """
    audio = plan.audio
    if audio is None or sound is None:
        return 0
    if isinstance(audio, Copy):
        shift = rescaled(-start_us, Fraction(1, 1_000_000), sound.time_base)
        return rescaled(sound.first_packet + shift, sound.time_base, Fraction(1, sound.sample_rate))
    shift = rescaled(-start_us, Fraction(1, 1_000_000), sound.time_base)
    source = rescaled(sound.first_heard + shift, sound.time_base, Fraction(1, sound.sample_rate))
    made = rescaled(source, Fraction(1, sound.sample_rate), Fraction(1, audio.sample_rate))
    return made - AAC_FRAME
