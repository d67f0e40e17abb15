"""Bytes to values: the wire's integers and strings, frames, alerts (docs/protocol/codec.md)."""
