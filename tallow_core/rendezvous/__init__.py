"""How the two ends meet: host, guest, rooms of relays, counted guesses.

Imports leaves and rooms up to `paths`.
"""
