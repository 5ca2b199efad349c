"""Delivery by SFTP, against servers as they are and as they should not be."""
