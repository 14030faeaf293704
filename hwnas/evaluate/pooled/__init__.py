"""Scores that rest on all trainings together, not on one training each."""
