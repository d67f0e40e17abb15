"""What a command says while it runs: events as JSON lines for programs, sentences and a progress
bar for people.

Results go to standard output, everything else to standard error. Text that a peer chose is made
printable before it comes here.
"""

from __future__ import annotations

import json
import os
import sys
import time
from json.encoder import encode_basestring_ascii as _quoted
from typing import TYPE_CHECKING, Any, TextIO

from tallow_core.cli.views.output import put, tell

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

GATHER = 0.1
"""Seconds between writes while one `file` event follows another."""
MOST = 32 << 10
"""Bytes that wait at most: half of what a pipe takes."""
PATIENCE = 0.7
"""Seconds before a transfer is worth a progress bar, and rich worth importing."""

_REASONS = {
    "link": "a symbolic link",
    "special": "not a regular file",
    "exists": "it exists already",
    "changed": "it was changed or removed meanwhile",
}
_PATHS = {"local": "on this machine", "direct": "directly", "relay": "through the relay"}


class JsonReporter:
    """One object a line, each with `event` and `v`. They are written one by one, but for `file`:
    those wait for the next event of another kind (`progress` comes five times a second while there
    are any), or until they have waited for `GATHER` seconds or are `MOST` bytes.

    They are kept here, because the stream may have no buffer (PYTHONUNBUFFERED).
    """

    def __init__(self, stream: TextIO, verbose: int, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._verbose = verbose
        self._flushed = 0.0
        self._files: list[str] = []
        self._size = 0

    def event(self, name: str, /, **fields: Any) -> None:
        """Print one event."""
        if name == "file":
            self._file(**fields)
        else:
            self._put(json.dumps({"event": name, "v": 1, **fields}))

    def _file(self, path: str, bytes: int, tree_hash: str) -> None:
        """As any other event, but made for tens of thousands of them a second."""
        line = (
            f'{{"event": "file", "v": 1, "path": {_quoted(path)}, "bytes": {bytes}, "tree_hash":'
            f' "{tree_hash}"}}'
        )
        now = time.monotonic()
        if now - self._flushed >= GATHER or self._size + len(line) > MOST:
            self._flushed = now
            self._put(line)
        else:
            self._files.append(line)
            self._size += len(line) + 1

    def _put(self, line: str) -> None:
        lines, self._files, self._size = [*self._files, line], [], 0
        put("\n".join(lines), self._stream)

    def warn(self, text: str) -> None:
        """Warnings are for people: standard error."""
        if not self._quiet:
            tell(f"warning: {text}")

    def note(self, text: str, level: int = 1) -> None:
        """Details for `-v`, on standard error."""
        if self._verbose >= max(level, 1):
            tell(text)

    def error(self, name: str, message: str, status: int) -> None:
        """The event that ends a command that failed."""
        self.event("error", name=name, message=message, exit=status)


class PlainReporter:
    """Sentences, and on a terminal a bar with rate and time left."""

    def __init__(self, *, quiet: bool, verbose: int) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._began: float | None = None

    def event(self, name: str, /, **fields: Any) -> None:
        """Show an event, if there is something to show."""
        handler = getattr(self, f"_on_{name}", None)
        if handler is not None:
            handler(**fields)

    def warn(self, text: str) -> None:
        """Something worth knowing."""
        self._say(f"warning: {text}")

    def note(self, text: str, level: int = 1) -> None:
        """Details for `-v`."""
        if self._verbose >= level:
            self._say(text)

    def error(self, name: str, message: str, status: int) -> None:
        """The sentence that ends a command that failed."""
        self._stop_bar()
        tell(f"error: {message}")

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._stop_bar()
            tell(text)

    def _on_code(self, code: str, listen: list[str]) -> None:
        if self._quiet:
            put(code)
            return
        put(f"Code: {code}")
        if self._verbose:
            self._say(f"listening at {', '.join(listen) or 'no address of this machine'}")

    def _on_peer(self, path: str) -> None:
        self._say(f"Connected {_PATHS.get(path, path)}.")

    def _on_path(self, path: str, reason: str) -> None:
        self._say(
            "Now connected"
            f" {_PATHS.get(path, path)}{', which is faster' if reason == 'slower' else ''}."
        )

    def _on_suite(self, **suite: str) -> None:
        self.note(f"suite: {', '.join(f'{kind} {name}' for kind, name in suite.items())}")

    def _on_safety(self, say: str, asked: bool) -> None:
        self._stop_bar()
        tell(
            f"Read this number to the other side: {say}"
        )  # quiet or not: somebody there waits for it

    def _on_file(self, path: str, bytes: int, tree_hash: str) -> None:
        self.note(f"{path}  {size_text(bytes)}  {tree_hash[:16]}", 2)

    def _on_relay(self, url: str) -> None:
        put(url)

    def _on_bench(
        self, kind: str, name: str, operation: str, seconds: float, bytes: int | None
    ) -> None:
        speed = (
            f"{seconds * 1e3:10.3f} ms" if bytes is None else f"{bytes / seconds / 1e9:10.2f} GB/s"
        )
        put(f"{kind:<14} {name:<20} {operation:<12} {speed}")

    def _on_entry(self, path: str, kind: str, bytes: int, target: str | None) -> None:
        more = {
            "directory": "/",
            "symlink": f" -> {target}",
            "hard-link": "  (another name of a file above)",
        }
        put(f"{path}{more.get(kind, f'  {size_text(bytes)}')}")

    def _on_left_out(self, path: str, reason: str) -> None:
        tell(f"left out: {path} ({reason_text(path, reason)})")

    def _on_done(
        self,
        files: int,
        links: int,
        bytes: int,
        seconds: float,
        skipped: list[dict[str, str]],
        renamed: list[dict[str, str]] | None = None,
    ) -> None:
        self._stop_bar()
        rate = f", {size_text(round(bytes / seconds))}/s" if seconds > 0 else ""
        what = f"{files} {'file' if files == 1 else 'files'}" + (
            f", {links} {'link' if links == 1 else 'links'}" if links else ""
        )
        self._say(f"Done: {what}, {size_text(bytes)} in {seconds:.1f} s{rate}, verified.")
        skipped = [
            left_out for left_out in skipped if left_out["reason"] != "excluded"
        ]  # that was asked for
        for left_out in skipped[:20]:
            self._say(
                f"left out: {left_out['path']}"
                f" ({reason_text(left_out['path'], left_out['reason'])})"
            )
        if len(skipped) > 20:
            self._say(f"... and {len(skipped) - 20} more; --json lists all")

    # -- the bar ---------------------------------------------------------------------------------

    def _on_progress(self, bytes: int, total: int | None, rate: int) -> None:
        now = time.monotonic()
        self._began = self._began or now
        if (
            self._quiet
            or not sys.stderr.isatty()
            or (self._bar is None and now - self._began < PATIENCE)
        ):
            return
        if self._bar is None:
            self._bar, self._task = _start_bar(total)
        assert self._task is not None
        self._bar.update(self._task, completed=bytes, total=total)

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _start_bar(total: int | None) -> tuple[Progress, TaskID]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    bar = Progress(
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    bar.start()
    return bar, bar.add_task("", total=total)


def reason_text(path: str, reason: str) -> str:
    """Why something was left out, for people."""
    if reason == "name":
        from tallow_core.protocol.transfer.path_names import check_path

        return (
            check_path(path.split("/")) or "its name is that of another one but for case or accents"
        )
    return _REASONS.get(reason, reason)


def size_text(size: int) -> str:
    """A size in bytes for people, in decimal units."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return (
                f"{size} byte{'' if size == 1 else 's'}"
                if unit == "bytes"
                else f"{amount:.1f} {unit}"
            )
        amount /= 1000
    return f"{amount:.1f} TB"


def interactive() -> bool:
    """Whether somebody can be asked: standard input and error are a terminal."""
    return os.isatty(0) and sys.stderr.isatty()
