"""compose.yaml: that it says nothing untrue, and that what it says works."""
