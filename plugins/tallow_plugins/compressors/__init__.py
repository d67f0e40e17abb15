"""Compressors that come with Tallow."""
