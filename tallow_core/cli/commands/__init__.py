"""The sub-commands, one module a verb. Each is imported only when it is run."""
