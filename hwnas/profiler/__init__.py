"""From a device to a lookup table."""
