"""Programs that fail in every way that a program can fail, under the real runner."""
