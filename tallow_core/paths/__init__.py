"""How data travels: direct paths beside the relay, the lane pool, the flow of records.

Imports leaves and rooms up to `session`.
"""
