"""Training in full: by epochs, with checkpoints, a curve and a result of its own."""
