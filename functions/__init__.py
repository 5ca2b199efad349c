"""What the clock and the platform set off: the sweep."""
