"""A device that pulls timing jobs over HTTP: the state, the server, and what guards both."""
