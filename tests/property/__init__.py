"""Tests over random orders of events."""
