"""Random histories of the real core and use cases on a virtual clock, each from one seed."""
