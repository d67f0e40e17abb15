"""Drivers of the kind `proxy`, one a module."""
