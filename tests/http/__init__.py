"""The HTTP front door, in process and over a real gunicorn."""
