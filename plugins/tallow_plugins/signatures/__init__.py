"""Signature schemes that come with Tallow: Ed25519, ML-DSA-87, both combined, and SLH-DSA.

A module holds one driver; `_refusals` is shared. Modules import leaves, `spi` and `registry` of the
core, and this folder.
"""
