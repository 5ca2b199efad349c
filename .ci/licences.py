"""Completes an SBOM with FFmpeg, which hides in a wheel, and writes the table of licences.

usage: licences.py SBOM FFMPEG LIST
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_TABLE: Final = "| package | version | licence |\n|---|---|---|\n"
_NAME_CHARS_MAX: Final = 100
"""A longer one is no licence's name but its text."""
_TOLD_ELSEWHERE: Final = {"protobuf": "BSD-3-Clause"}
"""Licences that stand in a package's LICENSE file alone."""


def main(sbom: Path, ffmpeg: str, listing: Path) -> None:
    """Add FFmpeg to `sbom`, and write the table of `listing` anew: all from its head on."""
    bill = json.loads(sbom.read_text())
    bill["components"].append(_ffmpeg(ffmpeg))
    sbom.write_text(json.dumps(bill, indent=2) + "\n")
    rows = sorted((part["name"], part["version"], _licence(part)) for part in bill["components"])
    text, head, _ = listing.read_text().partition(_TABLE)
    if not head:
        sys.exit(f"{listing} has no table to be written anew")
    table = "".join(f"| {name} | {version} | {licence} |\n" for name, version, licence in rows)
    listing.write_text(text + head + table)
    missing = [name for name, _, licence in rows if licence == "unknown"]
    if missing:
        sys.exit(f"no licence is told by: {', '.join(missing)}")


def _ffmpeg(program: str) -> Mapping[str, Any]:
    printed = subprocess.run(
        [program, "-version"], capture_output=True, text=True, check=True
    ).stdout
    version = re.search(r"ffmpeg version (\S+)", printed)
    if version is None or "--enable-gpl --enable-version3" not in printed:
        sys.exit("this FFmpeg is another build: look at its licence anew")
    return {
        "type": "application",
        "bom-ref": "ffmpeg",
        "name": "FFmpeg",
        "version": version[1],
        "licenses": [{"license": {"id": "GPL-3.0-or-later"}}],
        "description": "the program in imageio-ffmpeg",
    }


def _licence(part: Mapping[str, Any]) -> str:
    """Return the licence as its package tells it: an SPDX expression, an id, or its name."""
    told = set()
    for item in part.get("licenses", ()):
        inner = item.get("license", {})
        name = item.get("expression") or inner.get("id") or inner.get("name") or ""
        told.add(name.removeprefix("License :: OSI Approved :: "))
    names = sorted(name for name in told if 0 < len(name) <= _NAME_CHARS_MAX)
    return " / ".join(names) or _TOLD_ELSEWHERE.get(part["name"], "unknown")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
