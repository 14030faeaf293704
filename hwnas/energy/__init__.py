"""Electrical power: counters of this machine, logs of external meters, and blocks of runs."""
