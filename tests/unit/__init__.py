"""Tests of single rules, over fakes."""
