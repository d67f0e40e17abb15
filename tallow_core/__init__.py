"""Tallow's core: the contracts of drivers, the protocol, and the programs that run them.

The modules right here are leaves, which import leaves only. The packages are rooms in an order:
spi, registry, config, protocol, files, session, paths, rendezvous, transfer, relay, app, testing,
cli. A module imports from its own room, earlier ones, and the leaves.
"""

__version__ = "0.1.0"
