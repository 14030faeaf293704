"""What one profile asks of its device, and what is remembered of both."""
