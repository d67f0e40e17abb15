"""Keeps the number of wrong proofs of a code over restarts.

One small file a nameplate and role in the state directory. It holds a count and a time; nothing in
it depends on the words, so the count belongs to the nameplate for a day. No file exists while no
proof has failed.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from tallow_core.errors import ConfigError
from tallow_core.private_files import ensure_private, replace_file
from tallow_core.text import printable
from tallow_core.types import Role

LIFETIME_SECONDS = 86_400.0


class FileTally:
    """A `Tally` in `state/guesses/<role>-<nameplate>`, 0600."""

    def __init__(self, state: Path, role: Role, nameplate: str) -> None:
        self._folder = state / "guesses"
        self._path = self._folder / f"{role.value}-{nameplate}"

    def read(self) -> int:
        """The count, 0 if there is none or it is older than a day."""
        try:
            if time.time() - self._path.stat().st_mtime > LIFETIME_SECONDS:
                self._path.unlink()
                return 0
            return max(0, int(self._path.read_text("ascii")))
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the count of wrong guesses in {printable(str(self._path))} cannot be read;"
                " delete that file"
            ) from error

    def write(self, count: int) -> None:
        """Keep `count` before the proof goes on; 0 removes the file."""
        if count == 0:
            with contextlib.suppress(OSError):
                self._path.unlink()
            return
        ensure_private(self._folder)
        try:
            replace_file(self._path, [str(count).encode("ascii")], sync=False)
        except OSError as error:
            where = printable(str(self._folder))
            raise ConfigError(
                f"the count of wrong guesses cannot be kept in {where}: {error.strerror}; make"
                " room there, or make it writable"
            ) from error
