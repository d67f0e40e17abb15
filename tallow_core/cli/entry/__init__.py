"""From the words of the command line to an exit status."""
