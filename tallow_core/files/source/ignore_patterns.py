"""The patterns of entries that are left out of a tree, as .gitignore files have them (gitignore(5);
the library is `pathspec`).

Patterns given as options are matched against whole paths, the top-level name first, as if they
stood in a .gitignore beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from tallow_core.errors import UsageError
from tallow_core.private_files import READ
from tallow_core.text import printable

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

MAX_IGNORE_BYTES = 1 << 20
"""The most bytes of a .gitignore that are read."""

_EXCLUDE = os.path.join(".git", "info", "exclude")


class Patterns:
    """Patterns of gitignore(5); a later one overrides an earlier one, `!` takes back."""

    def __init__(self, lines: Iterable[str]) -> None:
        from pathspec import GitIgnoreSpec  # slow to import, and seldom needed

        try:
            self._spec: GitIgnoreSpec = GitIgnoreSpec.from_lines(lines)
        except ValueError as error:
            raise UsageError(
                f"that is no pattern ({printable(str(error))}): write it as in a .gitignore file"
            ) from None

    def verdict(self, path: str, *, directory: bool) -> bool | None:
        """Whether the last pattern that matches the path names it (True) or takes it back (False);
        None if none matches."""
        return self._spec.check_file(f"{path}/" if directory else path).include

    def match(self, path: str, *, directory: bool) -> bool:
        """Whether the path is named."""
        return bool(self.verdict(path, directory=directory))


class IgnoreRules:
    """The ignore files that apply in one folder, the nearest first: each with the path of this
    folder below the one in which the file lies."""

    def __init__(self, rules: tuple[tuple[Patterns, str], ...] = ()) -> None:
        self._rules = rules

    def ignores(self, name: str, *, directory: bool) -> bool:
        """Whether an entry of this folder is ignored. The folder of git itself always is."""
        if name == ".git":
            return True
        verdicts = (
            patterns.verdict(prefix + name, directory=directory) for patterns, prefix in self._rules
        )
        return bool(next((verdict for verdict in verdicts if verdict is not None), False))

    def below(self, name: str, fd: int) -> IgnoreRules:
        """The rules in the folder `name` of this one, open as `fd`."""
        inherited = tuple((patterns, f"{prefix}{name}/") for patterns, prefix in self._rules)
        own, local = _read_patterns(".gitignore", fd), _read_patterns(_EXCLUDE, fd)
        return IgnoreRules(
            (
                *(((own, ""),) if own is not None else ()),
                *inherited,
                *(((local, ""),) if local is not None else ()),
            )
        )


def outer_rules(path: str) -> IgnoreRules:
    """The rules in the folder that `path` lies in: the ignore files of its repository down to
    there, if it lies in one."""
    folder = os.path.dirname(os.path.realpath(path))
    below: list[str] = []
    root = folder
    while not os.path.lexists(os.path.join(root, ".git")):
        parent, name = os.path.split(root)
        if parent == root:
            return IgnoreRules()
        below.insert(0, name)
        root = parent
    return _descend(root, below)


def _descend(root: str, names: Sequence[str]) -> IgnoreRules:
    rules: list[tuple[Patterns, str]] = []
    for depth in range(len(names), -1, -1):
        prefix = "".join(f"{name}/" for name in names[depth:])
        own = _read_patterns(os.path.join(root, *names[:depth], ".gitignore"))
        rules += [(own, prefix)] if own is not None else []
    exclude = _read_patterns(os.path.join(root, _EXCLUDE))
    rules += [(exclude, "".join(f"{name}/" for name in names))] if exclude is not None else []
    return IgnoreRules(tuple(rules))


def _read_patterns(name: str, fd: int | None = None) -> Patterns | None:
    """The patterns of a file, None if there is none that can be read; one that is a link is not
    followed, as git does."""
    text = b""
    with suppress(OSError):
        file = os.open(name, READ, dir_fd=fd)
        try:
            while len(text) < MAX_IGNORE_BYTES and (part := os.read(file, MAX_IGNORE_BYTES)):
                text += part
        finally:
            os.close(file)
    return (
        Patterns(filter(_is_pattern, text.decode(errors="surrogateescape").splitlines()))
        if text
        else None
    )


def _is_pattern(line: str) -> bool:
    """Whether a line is a pattern; git ignores one that is not."""
    with suppress(UsageError):
        Patterns((line,))
        return True
    return False
