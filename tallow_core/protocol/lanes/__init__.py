"""Sealed records, the joining of lanes, the messages of a session (docs/protocol/lanes.md).

Imports leaves, `spi`, `codec` and `handshake`.
"""
