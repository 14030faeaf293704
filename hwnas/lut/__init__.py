"""Lookup tables: what each part of a network costs on a device, and how far to trust it."""
