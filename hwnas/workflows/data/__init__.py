"""`hwnas data ...`: what a data set was read as."""
