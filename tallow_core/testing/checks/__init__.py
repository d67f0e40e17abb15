"""The checks of the conformance kit, one module a kind, and the helpers that they share.

Each check is a function that takes the driver class; `CHECKS` of each module lists them in order.
Imports leaves, `spi`, `protocol` and `testing`; no driver.
"""
