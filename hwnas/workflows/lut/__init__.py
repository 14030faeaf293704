"""`hwnas lut ...`: what tables say, how far to trust them, tables from whole networks' timings."""
