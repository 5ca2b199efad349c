"""The real service as a process tree."""
