"""The rules of Lectern, without I/O: standard library only, no clock, no environment."""
