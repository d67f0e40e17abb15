"""Ciphers that come with Tallow."""
