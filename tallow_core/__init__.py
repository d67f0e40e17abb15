"""Tallow's core: the contracts, the session protocol and the programs that run them."""

__version__ = "0.1.0"
