"""`hwnas profile`: a target to a lookup table, measured here or there, or estimated."""
