"""Stores of the relay's rooms that come with Tallow: `memory`.

A module holds one driver, and imports leaves, `spi` and `registry` of the core.
"""
