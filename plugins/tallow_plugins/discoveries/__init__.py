"""Discovery drivers that come with Tallow."""
