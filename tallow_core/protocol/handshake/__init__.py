"""Code, PAKE, KEM and key schedule, up to proved keys (docs/protocol/handshake.md).

Imports leaves, `spi` and `codec`.
"""
