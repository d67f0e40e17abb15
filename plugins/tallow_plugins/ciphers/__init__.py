"""Ciphers that come with Tallow: AES-256-GCM, ChaCha20-Poly1305 and AEGIS-256.

A module holds one driver; `_aead` is shared. Modules import leaves, `spi` and `registry` of the
core, and this folder.
"""
