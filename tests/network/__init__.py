"""What the network does between the services and what they rest on, through a proxy."""
