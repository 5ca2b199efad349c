"""The receiver and the confirmer as services of their own, as processes."""
