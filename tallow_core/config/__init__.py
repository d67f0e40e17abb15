"""What the user decided: settings, profiles, policy, calibration.

No policy of the machine exists yet: all of it comes from the user's config file, environment and
flags, and `settings=` of `tallow_core.api` replaces that, `[policy]` included.

Imports leaves, `spi` and `registry`.
"""
