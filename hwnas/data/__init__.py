"""Images to train on and to score with."""
