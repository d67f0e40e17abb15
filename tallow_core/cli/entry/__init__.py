"""Runs one command line: from its words to the exit status.

Inside: the table of commands, the event loop, the commands of plugins, and the handling of errors.
Imports the rooms below `cli`, `args`, `views`, and itself. A command is imported by its name, once
it is called.
"""
