"""The driver contracts, one abstract class a file; `tallow_core.registry.kinds` is the table of
them."""
