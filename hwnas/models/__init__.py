"""Graphs as torch modules: the walk that training needs."""
