"""What is sent: walking the tree, names, patterns, reading, compression, packing into records.

Imports what `files` may; never `output`.
"""
