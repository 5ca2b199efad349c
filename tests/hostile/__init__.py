"""Files that are out to harm, and damaged ones, on the real way through the transcoder."""
