"""Everything on one machine: folders for objects, SQLite for jobs and messages."""
