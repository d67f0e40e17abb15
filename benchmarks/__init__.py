"""How fast Tallow is on this machine, beside a plain copy over TCP: `python -m benchmarks`."""
