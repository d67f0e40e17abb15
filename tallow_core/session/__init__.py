"""What two ends share once the code is proved: task scope, control channel, lanes, fresh keys.

Imports leaves and rooms up to `files`. It does not know how the two met or what they transfer.
"""
