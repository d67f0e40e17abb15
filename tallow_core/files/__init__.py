"""Files on this machine: the tree that is sent, and the output folder."""
