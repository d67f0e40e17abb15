"""One command with the words that were typed for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class CommandLine(NamedTuple):
    """What is to be run: `tallow NAME`, the line of its usage, its function, the words for it;
    `own` if it is no plugin's."""

    name: str
    usage: str
    function: Callable[..., Any]
    words: list[str]
    own: bool
