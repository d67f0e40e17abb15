"""Tests of the sans-IO machines: no sockets, no clock, no files."""
