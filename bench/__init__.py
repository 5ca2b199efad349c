"""Benchmarks: figures of the real service, each beside a yardstick from the same run."""
