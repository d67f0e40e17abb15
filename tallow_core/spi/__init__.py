"""The contracts of drivers, one abstract class a module; `tallow_core.registry.kinds` lists them.

Imports leaves only. Drivers import this room; it is public API.
"""
