"""What a driver is given when it is built."""

from __future__ import annotations

from typing import Any, NamedTuple

from tallow_core.directories import Directories


class DriverSettings(NamedTuple):
    """`directories` are the user's; `options` is an instance of the driver's `options` class, None
    if it declares none."""

    directories: Directories
    options: Any = None


class Secret:
    """Marks a field of an options class as secret: `token: Annotated[str, Secret()] = ""`.

    Such a value is never shown, and is not taken from the command line, which other users of the
    machine can read.
    """
