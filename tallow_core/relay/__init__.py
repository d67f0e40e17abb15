"""The relay server. It can be deployed alone."""
