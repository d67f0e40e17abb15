"""How host and guest meet."""
