"""Authenticators that come with Tallow."""
