"""Hash functions that come with Tallow."""
