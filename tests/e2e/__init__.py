"""The whole deployment on the three emulators, while it is being broken."""
