"""Hash functions that come with Tallow: BLAKE3 and SHA3-256.

A module holds one driver; `_running_hash` is shared. Modules import leaves, `spi` and `registry` of
the core, and this folder.
"""
