"""What is received: staging folder, journal, writers, placement, links.

Imports what `files` may; never `source`.
"""
