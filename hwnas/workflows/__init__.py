"""What each command does, from its arguments to its result, without the terminal."""
