"""What is shown: events, tables, progress."""
