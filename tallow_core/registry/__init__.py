"""Which drivers there are and how one is loaded: kinds, hook specs, catalogue, loader."""
