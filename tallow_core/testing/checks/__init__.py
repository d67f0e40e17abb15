"""The checks, one file a kind. Each check is a function that takes the driver class; `CHECKS` of
each file lists them in order."""
