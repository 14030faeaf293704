"""Scores of candidate networks."""
