"""What is received: staging area, journal, and the names in the output folder."""
