"""A session between two ends: its scope, control channel, lanes and fresh keys."""
