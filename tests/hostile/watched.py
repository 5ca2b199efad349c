"""Try crafted files, told on standard input, while somebody watches: runs under strace.

`python -m tests.hostile.watched PLACE BASES NEIGHBOUR PORT NAME…`
"""

from __future__ import annotations

import sys
from pathlib import Path

from infra import ffmpeg
from tests.hostile.bases import Bases
from tests.hostile.everything import everything
from tests.hostile.trial import Trial
from transcoder.compress import Toolbox


def main(place: str, folder: str, neighbour: str, port: str, *names: str) -> int:
    """Try each file; print its name and what came of it."""
    toolbox = Toolbox(ffmpeg=ffmpeg.find(), python=sys.executable)
    trial, bases = Trial(place=Path(place), toolbox=toolbox), Bases(folder=Path(folder))
    for one in everything():
        if one.name in names:
            data = one.make(bases).replace(b"/@neighbour@", neighbour.encode())
            outcome = trial.take(data.replace(b"@port@", port.encode()))
            sys.stdout.write(f"{one.name} {outcome.word}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
