"""SIGKILL at every step of the way, then a restart, then the promises."""
