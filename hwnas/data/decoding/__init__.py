"""Encoded images to arrays of pixels in the cache, by several processes, through kills."""
