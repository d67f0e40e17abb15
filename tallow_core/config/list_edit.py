"""Edits one list of the config file: adds or removes names, and leaves all the rest as it is."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallow_core.config.toml_file import read_file, settings_in
from tallow_core.errors import ConfigError
from tallow_core.private_files import PRIVATE_FILE, ensure_private, replace_file
from tallow_core.text import printable

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


class ListEdit:
    """A change of `[section] key` in a file: `add` is appended, what is in `remove` goes."""

    def __init__(
        self, file: Path, section: str, key: str, *, add: str = "", remove: Collection[str] = ()
    ) -> None:
        self._file, self._section, self._key = file, section, key
        self._add, self._remove = add, remove
        self._where = printable(str(file))

    def write(self) -> None:
        """Write the file; raises `ConfigError`, and leaves it as it was, if that cannot be done."""
        target = Path(os.path.realpath(self._file))  # a link, to dotfiles for example, stays one
        before = read_file(target) if os.path.lexists(target) else b""
        after = self._edited(before)
        self._check(before, after)
        if not target.parent.exists():
            ensure_private(target.parent)
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else PRIVATE_FILE
        try:
            replace_file(target, [after], mode=mode)
        except OSError as error:
            raise ConfigError(
                f"the config file {self._where} cannot be written: {error.strerror}; make its"
                " folder writable"
            ) from error

    def _edited(self, content: bytes) -> bytes:
        import tomlkit
        from tomlkit.exceptions import TOMLKitError

        try:
            document = tomlkit.parse(content)
            self.change(document)
            return tomlkit.dumps(document).encode()
        except (TOMLKitError, ValueError, AttributeError, TypeError) as error:
            raise self._unchanged() from error

    def change(self, document: TOMLDocument) -> None:
        """Make the change in the document."""
        import tomlkit

        section: Any = document.get(self._section)
        if section is None:
            section = document[self._section] = tomlkit.table()
        listed: Any = section.get(self._key)
        for name in [each for each in listed or () if each in self._remove]:
            listed.remove(name)
        if not self._add:
            return
        if listed is None:
            section[self._key] = [self._add]
        else:
            listed.append(self._add)

    def _check(self, before: bytes, after: bytes) -> None:
        """Every other setting must be as before, also if the library that edits errs."""
        name = f"{self._section}.{self._key}"
        expected, found = settings_in(before, self._where), settings_in(after, self._where)
        names: Any = expected.get(name, ())
        kept = tuple(each for each in names if each not in self._remove)
        expected[name] = (*kept, self._add) if self._add else kept
        if found != expected:
            raise self._unchanged()

    def _unchanged(self) -> ConfigError:
        verb, words = ("add", [self._add]) if self._add else ("remove", [*self._remove])
        names = " and ".join(f'"{printable(word)}"' for word in words)
        direction = "to" if self._add else "from"
        return ConfigError(
            f"{self._where} is written in a way that cannot be edited for you: {verb} {names}"
            f" {direction} `[{self._section}] {self._key}` by hand"
        )
