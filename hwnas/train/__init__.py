"""Training networks: recipes, the loop of short trainings, full trainings."""
