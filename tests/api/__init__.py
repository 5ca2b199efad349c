"""The HTTP interface under attack: generated requests, wrong bytes, slow and lying clients."""
