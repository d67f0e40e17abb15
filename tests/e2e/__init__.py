"""Whole transfers between real processes over real sockets."""
