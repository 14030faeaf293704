"""The web server: routes, and what guards it against strangers and broken devices."""
