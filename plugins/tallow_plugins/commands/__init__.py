"""Sub-commands that come with Tallow as plugins: `demo`.

A module holds one command, and may import all of the core.
"""
