"""`lectern compress --preset hls`: one recording as a folder of renditions, no server."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from core import limits
from core.ladder import Ladder
from infra import ffmpeg
from infra.settings import Settings
from lectern.compress import Bar
from lectern.show import media, size
from transcoder.compress import Toolbox
from transcoder.ladder.make import THUMBNAILS_MAX, Extras, MadeSet, make_set
from transcoder.ladder.texts import Sidecar
from transcoder.stopping import StopSignal


def extras(subtitles: Sequence[Path], thumbnails: str | None) -> Extras:
    """Return what goes with a set: files of subtitles, and seconds with commas between them.

    Raises ValueError for what are no seconds, or too many.
    """
    words = thumbnails.split(",") if thumbnails is not None else []
    if len(words) > THUMBNAILS_MAX:
        raise ValueError(f"--thumbnails: {THUMBNAILS_MAX} pictures are the most")
    return Extras(
        subtitles=tuple(Sidecar.read(path) for path in subtitles),
        thumbnails_s=tuple(_moment(word.strip()) for word in words),
    )


def _moment(word: str) -> float:
    try:
        time_s = float(word)
    except ValueError:
        time_s = -1.0
    if not 0 <= time_s <= limits.DURATION_MAX_S:
        raise ValueError(f"--thumbnails: {word!r} is no moment; give seconds, such as 10,60,300")
    return time_s


def run(
    settings: Settings,
    source: Path,
    output: Path | None,
    *,
    ladder: Ladder,
    extras: Extras,
    force: bool = False,
) -> None:
    """Make the set of `source` in the folder `output`; raises what `make_set` does.

    The folder appears when it is complete, or not at all. An empty one may be there already, one
    with anything in it only with `force`: it is replaced.
    """
    target = output or source.with_name(f"{source.stem}.{ladder.name}")
    if target.exists() and not target.is_dir():
        raise ValueError(f"{target} is a file; the preset hls needs a folder")
    if target.is_dir() and any(target.iterdir()) and not force:
        raise ValueError(f"{target} is not empty; add --force to replace it")
    stop = StopSignal()
    stop.install()
    toolbox = Toolbox(ffmpeg=ffmpeg.find(settings.lectern_ffmpeg), python=sys.executable)
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    place = target.absolute().parent
    with tempfile.TemporaryDirectory(dir=place, prefix=".lectern-") as name:
        folder = Path(name)
        given = folder / "source"
        given.symlink_to(source.absolute())
        with Bar(Console(stderr=True)) as bar:
            made = make_set(
                given,
                folder,
                ladder=ladder,
                toolbox=toolbox,
                budget_s=settings.job_timeout,
                progress=bar,
                stop=stop,
                extras=extras,
            )
        _put(made.path, target, folder / "replaced")
    _report(source, target, made)


def _put(made: Path, target: Path, aside: Path) -> None:
    """Rename into place; what was there is removed with the private folder."""
    if target.exists():
        target.rename(aside)
    made.chmod(0o755)
    made.rename(target)


def _report(source: Path, target: Path, made: MadeSet) -> None:
    table = Table("rendition", "picture", "bytes", "average", "peak", "codec")
    for track in made.streams.tracks:
        picture = f"{track.width}x{track.height}" if track.width else f"{track.channels} channels"
        peak = max(track.peak_rate(made.streams.target_s), track.average_rate)
        table.add_row(
            track.name,
            picture,
            size(sum(file.size for file in track.files)),
            f"{track.average_rate / 1000:.0f} kb/s",
            f"{peak / 1000:.0f} kb/s",
            track.codecs,
        )
    print(f"{source.name}: {size(source.stat().st_size)}, {media(made.source_media)}")
    Console().print(table)
    texts = ", ".join(text.name for text in made.streams.texts)
    print(
        f"{target}: {made.files} files, {size(made.size)}" + (f", text: {texts}" if texts else "")
    )
    print(f"{made.work_s:.1f} s, "
          f"{made.source_media.duration_s / max(made.work_s, 0.001):.1f} x realtime")  # fmt: skip
    for warning in made.warnings:
        print(f"warning: {warning}")
