"""How words become typed arguments."""
