"""Resolvers of host names that come with Tallow: `system`, which asks the operating system.

A module holds one driver, and imports leaves, `spi` and `registry` of the core.
"""
