"""Tests of the functions: their rules over fakes, and the framework's own processes."""
