"""The driver contracts, one abstract class a file; `tallow_core.kinds` is the table of them."""
