"""What samples of a recording say, and what is made of it."""
