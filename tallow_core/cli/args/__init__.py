"""Words to typed arguments: options, the plain parser, and the one with help and mistakes."""
