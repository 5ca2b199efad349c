"""From a source file to a verified small one, and on to the LMS."""
