"""Drivers of the kind `resolver`, one a module."""
