"""Discovery drivers that come with Tallow: `local`, which finds other processes of this user.

A module holds one driver, and imports leaves, `spi` and `registry` of the core.
"""
