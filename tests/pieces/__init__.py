"""Recordings in pieces: what is joined is what one encode would have given."""
