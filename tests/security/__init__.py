"""The numbered tests against hostile input."""
