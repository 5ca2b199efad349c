"""Adapters to the world, settings and wiring: the only place where SDKs are imported."""
