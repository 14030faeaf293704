"""`hwnas targets`: what devices are known, how each is measured, and which tables there are."""
