"""Sealed records, lanes and the messages of a session (docs/protocol/lanes.md)."""
