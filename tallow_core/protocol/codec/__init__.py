"""Bytes to values: integers and strings, frames, alerts (docs/protocol/codec.md).

Imports leaves only.
"""
