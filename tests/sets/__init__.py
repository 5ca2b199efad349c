"""Sets of renditions as a part of the handshake."""
