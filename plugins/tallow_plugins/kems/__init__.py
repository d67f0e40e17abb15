"""Key encapsulation mechanisms that come with Tallow."""
