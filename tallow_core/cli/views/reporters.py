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
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii as _quoted
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

from tallow_core.cli.views.output import put, say
from tallow_core.cli.views.sentences import worded
from tallow_core.errors import NextStep
from tallow_core.event_fields import VERSION, as_mapping
from tallow_core.events import (
    CodeReady,
    CommandFailed,
    EntryListed,
    Event,
    FileDone,
    LeftOut,
    PathChanged,
    PeerProved,
    ProgressMade,
    RelayListening,
    SafetyShown,
    SpeedMeasured,
    SuiteAgreed,
    TextReceived,
    TransferDone,
)

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

GATHER_SECONDS = 0.1
"""Seconds between writes while one `file` event follows another."""
MAX_GATHERED_BYTES = 32 << 10
"""Bytes that wait at most: half of what a pipe takes."""
PATIENCE_SECONDS = 0.7
"""Seconds before a transfer is worth a progress bar, and rich worth importing."""

_REASONS = {
    "link": "a symbolic link",
    "special": "not a regular file",
    "exists": "it exists already",
    "changed": "it was changed or removed meanwhile",
}
_PATHS = {"local": "on this machine", "direct": "directly", "relay": "through the relay"}


def json_line(event: Event) -> str:
    """The event as one line of JSON (docs/reference/events.md)."""
    return json.dumps(as_mapping(event))


class JsonReporter:
    """One object a line, each with `event` and `v`. They are written one by one, but for `file`:
    those wait for the next event of another kind (`progress` comes five times a second while there
    are any), or until they have waited for `GATHER_SECONDS` seconds or are `MAX_GATHERED_BYTES`
    bytes.

    They are kept here, because the stream may have no buffer (PYTHONUNBUFFERED).
    """

    def __init__(self, stream: TextIO, verbose: int, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._verbose = verbose
        self._flushed = 0.0
        self._files: list[str] = []
        self._size = 0

    def emit(self, event: Event) -> None:
        """Print one event."""
        if type(event) is FileDone:
            self._file(*event)
        else:
            self._put(json_line(event))

    def _file(self, path: str, size: int, tree_hash: str) -> None:
        """As any other event, but made for tens of thousands of them a second."""
        line = (
            f'{{"event": "file", "v": {VERSION}, "path": {_quoted(path)}, "bytes": {size},'
            f' "tree_hash": "{tree_hash}"}}'
        )
        now = time.monotonic()
        if now - self._flushed >= GATHER_SECONDS or self._size + len(line) > MAX_GATHERED_BYTES:
            self._flushed = now
            self._put(line)
        else:
            self._files.append(line)
            self._size += len(line) + 1

    def _put(self, line: str) -> None:
        lines, self._files, self._size = [*self._files, line], [], 0
        put("\n".join(lines), self._stream)

    def warn(self, text: str, step: NextStep | None = None) -> None:
        """Warnings are for people: standard error."""
        if not self._quiet:
            say(f"warning: {worded(text, step)}")

    def note(self, text: str, level: int = 1, step: NextStep | None = None) -> None:
        """Details for `-v`, on standard error."""
        if self._verbose >= max(level, 1):
            say(worded(text, step))


class PlainReporter:
    """Sentences, and on a terminal a bar with rate and time left."""

    def __init__(self, *, quiet: bool, verbose: int) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._began: float | None = None

    def emit(self, event: Event) -> None:
        """Show an event, if there is something to show."""
        handler = self.HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def warn(self, text: str, step: NextStep | None = None) -> None:
        """Something worth knowing."""
        self._say(f"warning: {worded(text, step)}")

    def note(self, text: str, level: int = 1, step: NextStep | None = None) -> None:
        """Details for `-v`."""
        if self._verbose >= level:
            self._say(worded(text, step))

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._stop_bar()
            say(text)

    def _code(self, event: CodeReady) -> None:
        if self._quiet:
            put(event.code)
            return
        put(f"Code: {event.code}")
        if self._verbose:
            self._say(f"listening at {', '.join(event.listen) or 'no address of this machine'}")

    def _peer(self, event: PeerProved) -> None:
        self._say(f"Connected {_PATHS.get(event.path, event.path)}.")

    def _path(self, event: PathChanged) -> None:
        faster = ", which is faster" if event.reason == "slower" else ""
        self._say(f"Now connected {_PATHS.get(event.path, event.path)}{faster}.")

    def _suite(self, event: SuiteAgreed) -> None:
        suite = event._asdict().items()
        self.note(f"suite: {', '.join(f'{kind} {name}' for kind, name in suite)}")

    def _safety(self, event: SafetyShown) -> None:
        self._stop_bar()
        # Quiet or not: a person on the other side waits for it.
        say(f"Read this number to the other side: {event.say}")

    def _file(self, event: FileDone) -> None:
        self.note(f"{event.path}  {size_text(event.bytes)}  {event.tree_hash[:16]}", 2)

    def _relay(self, event: RelayListening) -> None:
        put(event.url)
        self._say(f"The rooms are kept by: {event.rooms}")

    def _bench(self, event: SpeedMeasured) -> None:
        speed = (
            f"{event.seconds * 1e3:10.3f} ms"
            if event.bytes is None
            else f"{event.bytes / event.seconds / 1e9:10.2f} GB/s"
        )
        put(f"{event.kind:<14} {event.name:<20} {event.operation:<12} {speed}")

    def _entry(self, event: EntryListed) -> None:
        more = {
            "directory": "/",
            "symlink": f" -> {event.target}",
            "hard-link": "  (another name of a file above)",
        }
        put(f"{event.path}{more.get(event.kind, f'  {size_text(event.bytes)}')}")

    def _left_out(self, event: LeftOut) -> None:
        say(f"left out: {event.path} ({reason_text(*event)})")

    def _text(self, event: TextReceived) -> None:
        put(event.text)

    def _done(self, event: TransferDone) -> None:
        self._stop_bar()
        seconds, links = event.seconds, event.links
        rate = f", {size_text(round(event.bytes / seconds))}/s" if seconds > 0 else ""
        what = f"{event.files} {'file' if event.files == 1 else 'files'}" + (
            f", {links} {'link' if links == 1 else 'links'}" if links else ""
        )
        self._say(f"Done: {what}, {size_text(event.bytes)} in {seconds:.1f} s{rate}, verified.")
        # What is excluded was asked for.
        skipped = [each for each in event.skipped if each.reason != "excluded"]
        for each in skipped[:20]:
            self._say(f"left out: {each.path} ({reason_text(*each)})")
        if len(skipped) > 20:
            self._say(f"... and {len(skipped) - 20} more; --json lists all")

    def _error(self, event: CommandFailed) -> None:
        self._stop_bar()
        say(f"error: {event.message}")

    # -- the bar ---------------------------------------------------------------------------------

    def _progress(self, event: ProgressMade) -> None:
        now = time.monotonic()
        self._began = self._began or now
        if (
            self._quiet
            or not sys.stderr.isatty()
            or (self._bar is None and now - self._began < PATIENCE_SECONDS)
        ):
            return
        if self._bar is None:
            self._bar, self._task = _start_bar(event.total)
        assert self._task is not None
        self._bar.update(self._task, completed=event.bytes, total=event.total)

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    HANDLERS: ClassVar[Mapping[type[Event], Callable[[PlainReporter, Any], None]]] = {
        CodeReady: _code,
        PeerProved: _peer,
        PathChanged: _path,
        SuiteAgreed: _suite,
        SafetyShown: _safety,
        EntryListed: _entry,
        LeftOut: _left_out,
        ProgressMade: _progress,
        FileDone: _file,
        TextReceived: _text,
        TransferDone: _done,
        RelayListening: _relay,
        SpeedMeasured: _bench,
        CommandFailed: _error,
    }
    """What is shown; of the other events a person sees nothing."""


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
    """Whether a person can be asked: standard input and error are a terminal."""
    return os.isatty(0) and sys.stderr.isatty()
