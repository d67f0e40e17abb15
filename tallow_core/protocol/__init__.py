"""Sans-IO state machines: bytes in, events out; no clock, socket or randomness of their own."""
