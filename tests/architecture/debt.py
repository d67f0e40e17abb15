"""What does not keep the rules of the house yet. Each set only becomes smaller."""

from __future__ import annotations

IMPORTS: frozenset[str] = frozenset()
LONG: frozenset[str] = frozenset()
MODULES: frozenset[str] = frozenset()
CLASSES: frozenset[str] = frozenset()
VAGUE: frozenset[str] = frozenset(
    [
        "tallow_plugins.commands.demo",
    ]
)
LIMITS: frozenset[str] = frozenset(
    [
        "tallow_plugins.commands.demo",
    ]
)
CYCLES: tuple[tuple[str, ...], ...] = ()
