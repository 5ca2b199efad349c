"""The files that deploy Lectern agree with the code."""
