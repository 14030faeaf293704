"""`hwnas export`: a model file that was checked against torch."""
