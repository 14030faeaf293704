"""`hwnas predict`: what is known of a network without running anything."""
