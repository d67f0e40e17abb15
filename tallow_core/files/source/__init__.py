"""What is sent: the tree is walked, files are read, records are packed."""
