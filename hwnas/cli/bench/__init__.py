"""`hwnas bench`, and the tables that it prints."""
