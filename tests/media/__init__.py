"""Real and made recordings through the whole of compress()."""
