"""A recording as a set: several renditions, streams for browsers, pictures, text."""
