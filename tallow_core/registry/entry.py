"""One entry point of a plugin, as its metadata describes it."""

from __future__ import annotations

import re
from importlib.metadata import Distribution
from typing import Literal, NamedTuple, TypeAlias

from tallow_core.registry.distributions import below, editable_home, find_module, home
from tallow_core.registry.permissions import FIRST_PARTY, canonical
from tallow_core.text import printable

State: TypeAlias = Literal[
    "allowed", "duplicate", "library missing", "needs tallow", "shadowed", "blocked", "invalid"
]
STATES: tuple[State, ...] = (
    "allowed",
    "duplicate",
    "library missing",
    "needs tallow",
    "shadowed",
    "blocked",
    "invalid",
)
LEFT_OUT: tuple[State, ...] = STATES[2:]
"""States of entries that are never loaded. It is an error only if a setting or flag names one."""

_DOCSTRING = r"""\ufeff?(?:[ \t]*(?:\#[^\n]*)?\r?\n)*[rRuU]?(\"{3}|'{3}|"|')\s*([^\r\n]+)"""


class PluginEntry(NamedTuple):
    """One entry point; `state` says whether it may be loaded.

    `value` is the module (of an invalid one, the whole value), `extras` which of the distribution's
    extras it needs, `requires` the dependencies that the distribution states, `missing` those of
    the extras that are not installed, `needs` the version of Tallow that it asks for, if that is
    another one than this.

    The texts are as their author wrote them: pass them through `printable` before showing them.
    """

    kind: str
    name: str
    value: str
    distribution: str
    version: str
    state: State
    metadata: Distribution
    requires: tuple[str, ...]
    extras: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    needs: str = ""

    @property
    def status(self) -> str:
        """The state as a list shows it: `needs tallow>=9` has the version in it."""
        return f"needs {self.needs}" if self.state == "needs tallow" else self.state

    @property
    def id(self) -> str:
        """`kind:name`, as settings name it."""
        return f"{self.kind}:{self.name}"

    @property
    def first_party(self) -> bool:
        """Whether the plugin is one of Tallow's own."""
        return canonical(self.distribution) == FIRST_PARTY

    @property
    def maker(self) -> str:
        """Distribution and version, safe to show."""
        return printable(f"{self.distribution} {self.version}")

    def source(self) -> str | None:
        """The file that importing the module would run, found without importing anything.

        None if there is none, or if it lies outside the distribution (in the working directory,
        for example).
        """
        origin = find_module(self.value)
        if origin is None or below(origin, home(self.metadata)):
            return origin
        source_tree = editable_home(self.metadata)
        return origin if source_tree and below(origin, source_tree) else None

    def summary(self) -> str:
        """One line on the driver: the first of its module's docstring, read as text."""
        try:
            with open(self.source() or "", encoding="utf-8") as file:
                found = re.match(_DOCSTRING, file.read(8192))
        except (OSError, ValueError):
            found = None
        line = found[2].partition(found[1])[0].strip() if found else ""
        return printable(line) or f"added by {self.maker}"
