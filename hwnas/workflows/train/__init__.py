"""`hwnas train`: a network trained in full, in a folder."""
