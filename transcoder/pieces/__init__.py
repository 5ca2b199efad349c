"""A recording in pieces: copy out the bytes, encode each piece, join them again."""
