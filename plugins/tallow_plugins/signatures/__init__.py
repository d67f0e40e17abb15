"""Signature schemes that come with Tallow."""
