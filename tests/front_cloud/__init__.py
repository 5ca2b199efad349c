"""The receiver and the confirmer as services, on Google's emulators."""
