"""Code, PAKE, KEM and key schedule up to an established session (docs/protocol/handshake.md)."""
