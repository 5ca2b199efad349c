"""Tests: sentences that Lectern must make true."""
