"""From the words of the command line to an exit status: table of commands, event loop, errors."""
