"""Turns the words of a command line into typed arguments.

Inside: the options, the plain parser, and the parser with help and explained mistakes. Imports the
rooms below `cli`, and itself; no other part of `cli`.
"""
