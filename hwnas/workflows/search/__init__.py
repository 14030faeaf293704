"""`hwnas search` and `hwnas pick`: budgets and tables in, the best network that fits out."""
