"""What is shown: reporters for terminals, pipes and JSON, and the tables."""
