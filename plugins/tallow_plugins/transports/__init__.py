"""Transports that come with Tallow."""
