"""Strategies: they ask for networks to be scored, are told the scores, and return a path."""
