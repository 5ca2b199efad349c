"""The transcoder as the service that Pub/Sub pushes to."""
