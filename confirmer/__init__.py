"""Takes the LMS's word that it has a result, and forgets the recording."""
