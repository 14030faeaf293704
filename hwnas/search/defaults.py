"""Defaults of a search with trained scores, in a module that costs nothing to import."""

MAX_EVALUATIONS = 90
"""Networks scored at most: keeps a search on a CPU within ten minutes on two cores."""

MAX_REFRESHES = 2
"""Old gains evaluated again per step: with noisy scores the largest of many is mostly luck."""

STRATEGY = "rcas"
DATASET = "cluttered-digits"
