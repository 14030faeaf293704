"""Defaults of a search with trained scores, in a module that costs nothing to import."""

EVALUATORS = ("distill", "train", "zero-cost", "fake")
EVALUATOR = "distill"

TEACHERS = 4
"""Teachers of `distill`, where nobody asks for fewer or more."""

MAX_EVALUATIONS = 90
"""Networks that `train` scores at most: keeps a search on a CPU within ten minutes on two cores."""

MAX_REFRESHES = 2
"""Old gains evaluated again per step: with noisy scores the largest of many is mostly luck."""

REPLICATES = 2
"""Scores per network at most, where two candidates exclude each other within noise."""

BATCH = 4
"""Networks that the surrogate chooses at a time, for as many workers; no worse than one by one."""

STRATEGY = "rcas"
DATASET = "cluttered-digits"
