"""Stores of the relay's rooms that come with Tallow."""
