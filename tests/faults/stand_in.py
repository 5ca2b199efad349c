"""Programs that stand in for FFmpeg or Python, and misbehave at one point of the work.

Each is a script of its own, because nothing of the test's environment reaches the sandbox. At
every other point it becomes the real program.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

_FFMPEG: Final = """#!{python} -ISB
import json, os, resource, signal, sys, time
REAL, GIVEN, MARK = {real!r}, {given!r}, {mark!r}
argv = sys.argv[1:]
line = " ".join(argv)
out = argv[-1].removeprefix("file:") if argv else ""
stage = (
    "version" if argv == ["-version"] else
    "loudness" if "ebur128" in line else
    "score" if "libvmaf" in line else
    "sample" if "sample.part" in line else
    "listen" if "aselect" in line or "astats" in line else
    "check" if line.endswith("-f null pipe:2") else
    "encode"
)

def real():
    os.execv(REAL, [REAL, *argv])

def say(text, to=1):
    data = text.encode() if isinstance(text, str) else text
    while data:
        data = data[os.write(to, data):]

def data(name):
    with open(os.path.join(GIVEN, name + ".mp4"), "rb") as file:
        return file.read()

def write(content, name=None):
    with open(name or out, "wb") as file:
        file.write(content)

def told(name):
    with open(os.path.join(GIVEN, "frames.json")) as file:
        return json.load(file)[name]

def tell(frames, seconds=1.0, end="end"):
    say(f"frame={{frames}}\\nout_time_us={{int(seconds * 1e6)}}\\nprogress={{end}}\\n")

def give(name="good"):
    write(data(name))
    tell(told(name))

def hang():
    while True:
        time.sleep(1)

def die(number):
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    hang()

if stage not in {stages!r}:
    real()
{body}
"""

_PYTHON: Final = """#!{python} -ISB
import os, signal, sys
argv = sys.argv[1:]
if {mark!r} not in " ".join(argv):
    os.execv({python!r}, [{python!r}, *argv])
wish = argv[-1]

def say(data):
    data = data.encode()
    while data:
        data = data[os.write(1, data):]

{body}
"""


def ffmpeg_that(
    body: str, path: Path, *, real: Path, given: Path, stages: tuple[str, ...] = ("encode",)
) -> Path:
    """Write an FFmpeg that does `body` at `stages`; `given` holds what it may hand out.

    `body` has `say`, `write`, `give`, `tell`, `die`, `hang`, `real`, `out` and `argv` at hand.
    """
    return _script(
        _FFMPEG.format(
            python=sys.executable,
            real=str(real),
            given=str(given),
            mark=str(path),
            stages=stages,
            body=body,
        ),
        path,
    )


def python_that(body: str, path: Path, *, where: str) -> Path:
    """Write a Python that does `body` when an argument names `where`, after the sandbox."""
    return _script(_PYTHON.format(python=sys.executable, mark=where, body=body), path)


def _script(text: str, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path
