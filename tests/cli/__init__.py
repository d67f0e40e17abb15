"""The command line, by real processes."""
