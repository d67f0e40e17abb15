"""Nat drivers that come with Tallow: `interfaces`, which lists this machine's addresses.

A module holds one driver, and imports leaves, `spi` and `registry` of the core.
"""
