"""What goes to a device to be timed there, and what comes back: files and their checks."""
