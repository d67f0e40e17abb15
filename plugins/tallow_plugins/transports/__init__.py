"""Transports that come with Tallow: `tcp` and `tls`.

A module holds one driver; the modules with an underscore are shared. Modules import leaves, `spi`
and `registry` of the core, and this folder.
"""
