"""Images: what is made of them, looked at with another library than the one that makes them."""
