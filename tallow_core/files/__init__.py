"""Files on this machine: `source` reads the tree that is sent, `output` writes what is received.

Imports leaves, `spi` and rooms up to `protocol`. It knows no session and no network.
"""
