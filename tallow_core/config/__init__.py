"""What the user and the machine's owner decided: settings, profiles, policy, calibration.

Imports leaves, `spi` and `registry`.
"""
