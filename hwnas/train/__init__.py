"""Training networks: recipes, the loop, full training with checkpoints."""
