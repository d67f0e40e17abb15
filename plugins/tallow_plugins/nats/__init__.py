"""Nat drivers that come with Tallow."""
