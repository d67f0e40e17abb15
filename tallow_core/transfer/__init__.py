"""Sending and receiving; the two ends stand side by side."""
