"""The drivers that come with Tallow: one module a driver, found through its entry point.

A driver imports leaves, `spi` and `registry` of the core, and its own folder; a command may import
all of the core.
"""
