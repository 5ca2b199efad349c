"""Ladders, streams, pictures and text of one recording."""
