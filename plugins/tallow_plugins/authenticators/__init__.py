"""Authenticators that come with Tallow: CPace and OPAQUE.

A module holds one driver, and imports leaves, `spi` and `registry` of the core.
"""
