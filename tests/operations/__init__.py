"""The queries of `docs/operations.md` and of the alerts, tried on lines that services wrote."""
