"""The sub-commands, one module a verb. Each is imported only when it is run.

Inside: `send`, `receive`, `relay`, `plugins`, `policy` and `bench`, with their helpers. Imports all
rooms and all of `cli`.
"""
