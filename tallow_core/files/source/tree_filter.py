"""The filter of a tree: leaves out what the user does not want, by patterns or by what git
ignores."""

from __future__ import annotations

from typing import NamedTuple

from tallow_core.files.source.ignore_patterns import IgnoreRules, Patterns, outer_rules


class TreeOptions(NamedTuple):
    """The options for sending trees. `follow` sends the targets of links in place of the links.
    `git` leaves out what git ignores. `exclude` lists patterns (gitignore(5)) of entries to leave
    out."""

    follow: bool = False
    git: bool = False
    exclude: tuple[str, ...] = ()


class TreeFilter:
    """Decides by `TreeOptions`; raises `UsageError` for a pattern that is none."""

    def __init__(self, options: TreeOptions) -> None:
        self._git = options.git
        self._exclude = Patterns(options.exclude) if options.exclude else None

    def excludes(self, components: tuple[str, ...], *, directory: bool) -> bool:
        """Whether a pattern names this path, the top-level name first."""
        return self._exclude is not None and self._exclude.match(
            "/".join(components), directory=directory
        )

    def top_rules(self, path: str, name: str, fd: int) -> IgnoreRules | None:
        """The ignore rules in a top-level folder, open as `fd`; None if git is not asked."""
        return outer_rules(path).below(name, fd) if self._git else None
