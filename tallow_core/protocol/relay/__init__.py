"""The frames between an end and a relay (docs/protocol/relay.md).

Imports leaves, `codec` and `handshake`.
"""
