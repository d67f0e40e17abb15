"""Which drivers there are and how one is loaded: kinds, hook specs, catalogue, loader.

Imports leaves and `spi`. Drivers may import this room, for the hook marker.
"""
