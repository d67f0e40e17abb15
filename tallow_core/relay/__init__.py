"""The relay server, which can be deployed alone.

Imports leaves, `spi`, `config`, `protocol`, and how `session` reads frames; the order would allow
rooms up to `transfer`.
"""
