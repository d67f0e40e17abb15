"""Key encapsulation mechanisms that come with Tallow: X25519, ML-KEM-1024, and both combined.

A module holds one driver; `_combine` is shared. Modules import leaves, `spi` and `registry` of the
core, and this folder.
"""
