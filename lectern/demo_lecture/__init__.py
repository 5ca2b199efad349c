"""Hold the short lecture that the demo compresses, and the script that renders it."""

from pathlib import Path

LECTURE = Path(__file__).with_name("lecture.mp4")
"""Where the demo finds its recording; `make.py` next to it renders the file anew."""
