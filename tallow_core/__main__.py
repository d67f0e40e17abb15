"""`python -m tallow_core` is `tallow`."""

from tallow_core.cli.entry.main import main

if __name__ == "__main__":
    raise SystemExit(main())
