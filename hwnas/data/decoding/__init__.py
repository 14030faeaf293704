"""Images of a source, decoded once into a cache."""
