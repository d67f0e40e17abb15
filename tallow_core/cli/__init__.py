"""The command line: the only room with sentences for users, names of options, and printing.

Inside: entry, args, prompts, views, commands. Imports all rooms; no room imports it.
"""
