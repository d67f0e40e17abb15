"""Sub-commands that come with Tallow."""
