"""Compressors that come with Tallow: `none` and `zstd`.

A module holds one driver, and imports leaves, `spi` and `registry` of the core.
"""
