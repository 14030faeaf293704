"""`hwnas search` and `hwnas pick`: options, and what is printed of what was found."""
