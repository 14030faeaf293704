"""Deployment formats: emitters, runtimes and the checks between them."""
