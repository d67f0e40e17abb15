"""Questions to the person at the terminal, each answered by a line of standard input."""
