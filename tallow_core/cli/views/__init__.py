"""The views: what the program prints.

Inside: reporters for terminals, pipes and JSON, the tables of plugins and policy, the report of
checks, and the sentences that errors get. Imports all rooms below `cli`, and itself; no other part
of `cli`.
"""
