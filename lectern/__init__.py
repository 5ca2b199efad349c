"""What users type and import: the command line, the demo, the client for LMS backends."""
