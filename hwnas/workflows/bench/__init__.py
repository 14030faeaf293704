"""`hwnas bench`: networks side by side on a target, against prediction and budget."""
