"""How the two ends meet: host, guest, and the rooms of relays."""
