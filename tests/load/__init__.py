"""More than the service can take, and more of it than anybody waits for."""
