"""What an LMS, its network and its name server can do to deliveries."""
