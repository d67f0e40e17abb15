"""What all drivers have in common."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar


class Driver(ABC):
    """One implementation of one kind.

    `name` is how a user types it and equals the entry point's name: `[a-z0-9][a-z0-9-]{0,31}`.
    `labels` are the strengths that policy may ask for (`post-quantum`, `hybrid`); they are the
    author's word. `preference` orders drivers that policy does not order itself, smallest first.
    """

    name: ClassVar[str]
    labels: ClassVar[frozenset[str]] = frozenset()
    preference: ClassVar[int] = 50
