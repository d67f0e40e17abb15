"""The tests of Tallow, run against what is installed."""
