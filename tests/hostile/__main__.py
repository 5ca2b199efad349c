"""Repeat one mutation: `python -m tests.hostile SEED NUMBER`, or a crafted file by its name."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from infra import ffmpeg
from tests.hostile.bases import make_bases
from tests.hostile.everything import everything
from tests.hostile.mutations import mutated, shortened
from tests.hostile.trial import Trial
from transcoder.compress import Toolbox

_MEDIA = Path(__file__).resolve().parents[3] / "shared" / "media"


def _data(words: list[str], folder: Path) -> tuple[str, bytes]:
    program = ffmpeg.find()
    if len(words) == 1:
        found = next(one for one in everything() if one.name == words[0])
        return found.name, found.make(make_bases(folder / "bases", program))
    seed, number = map(int, words)
    paths = shortened(folder / "originals", _MEDIA, program)
    contents = [path.read_bytes() for path in paths]
    at = number % len(contents)
    kind, data = mutated(contents[at], contents, seed, number)
    return f"{kind} of {paths[at].name}", data


def main(words: list[str]) -> int:
    """Print what comes of one file, and keep it beside."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told, data = _data(words, folder)
        toolbox = Toolbox(ffmpeg=ffmpeg.find(), python=sys.executable)
        outcome = Trial(place=folder / "scratch", toolbox=toolbox).take(data)
    said = outcome.error or (outcome.result.warnings if outcome.result else "")
    sys.stdout.write(f"{told}: {outcome.word} in {outcome.seconds:.1f} s: {said}\n")
    sys.stdout.write(f"wrong: {outcome.wrong}\n")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
