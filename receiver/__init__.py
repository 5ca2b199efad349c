"""The front door: takes recordings in, tells how they are."""
