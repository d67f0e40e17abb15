"""Proxies that come with Tallow: `none`, which connects directly, and `socks5`.

A module holds one driver, and imports leaves, `spi` and `registry` of the core.
"""
