"""Child processes, what they print, and what each of them cost by itself (wait4(2))."""

from __future__ import annotations

import json
import os
import queue
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal

LIMIT = 600.0
"""Seconds after which a child is taken for stuck, and killed."""
_GRACE = 5.0
"""Seconds after the deadline in which a child that was killed is seen to have ended."""
_FREQUENT = (b'{"event": "file"', b'{"event": "progress"')
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024

TALLOW = (sys.executable, "-m", "tallow_core")
HERE = Path(__file__).parent
PLAIN = (sys.executable, str(HERE / "plain.py"))


class Failed(RuntimeError):
    """A child did not do what is measured; the text has its own words."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One process with the children that it waited for: seconds of CPU (user and system), most
    bytes resident in one of them, seconds from start to end."""

    cpu: float
    peak: int
    wall: float


def free_port() -> int:
    """A port of loopback at which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def floor() -> int:
    """The least peak that can be told, in bytes: wait4 counts for a child what its parent had
    resident before the child's exec."""
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * _MAXRSS_UNIT


class _Stop:
    """SIGTERM, SIGINT and SIGHUP end the program by `SystemExit`, so that all is cleaned up; but
    not while a child is being started, which nobody would end then."""

    def __init__(self) -> None:
        self._held = False
        self._asked = 0

    def watch(self) -> None:
        """Take the signals."""
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        for other in _SIGNALS:
            signal.signal(
                other, signal.SIG_IGN
            )  # once is enough: the cleaning up is not to be cut short
        self._asked = 128 + number
        if not self._held:
            raise SystemExit(self._asked)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, no signal ends the program; one that came meanwhile does so at the end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._asked:
                raise SystemExit(self._asked)


_stop = _Stop()
_live: set[Child] = set()


@contextmanager
def all_ended() -> Iterator[None]:
    """Whatever happens inside, signals too: no child is left."""
    _stop.watch()
    try:
        yield
    finally:
        for child in [*_live]:
            child.end()


class Child:
    """A running command. Use as a context manager: whatever happens, it is gone afterwards, or
    after `limit` seconds.

    Its working directory is `home`, so that `-m` finds what is installed and not what lies in the
    checkout; its run-time directory lies there too, so that two children meet by nothing but the
    addresses they are given. Settings, state and caches are those of a user named like `home`, and
    stay from one run of a case to the next beside its work folder. `listen` is the stream whose
    lines are read (JSON events, or text that `line` looks for); the other goes to a file, or for
    standard output to `stdout`. Its standard input is `stdin`, by default empty; with PIPE it stays
    open for as long as this process lives. It leads a process group of its own.
    """

    def __init__(
        self,
        command: Sequence[str],
        home: Path,
        *,
        listen: Literal["stdout", "stderr"] = "stdout",
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        environment: Mapping[str, str] | None = None,
        limit: float = LIMIT,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._command = command
        self._rest = home / "unread"
        self._last = b""
        self._lines: queue.SimpleQueue[tuple[float, bytes] | None] = queue.SimpleQueue()
        env = _environment(home, environment or {})
        with open(self._rest, "wb") as rest, _stop.held():
            out = subprocess.PIPE if listen == "stdout" else rest if stdout is None else stdout
            complaints = subprocess.PIPE if listen == "stderr" else rest
            self.began = self.ended = time.monotonic()
            self._deadline = self.began + limit + _GRACE
            self._popen = subprocess.Popen(
                command,
                cwd=home,
                env=env,
                stdin=stdin,
                stdout=out,
                stderr=complaints,
                process_group=0,
            )
            self._read_from = self._popen.stdout if listen == "stdout" else self._popen.stderr
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._timer = threading.Timer(limit, self._kill)
            self._timer.daemon = True
            _live.add(self)
            self._reader.start()
            self._timer.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """End it at once, if it has not ended."""
        self._timer.cancel()
        if self._popen.stdin is not None:
            self._popen.stdin.close()
        if self._popen.returncode is None:
            self._kill()
            self._popen.wait()
        _live.discard(self)
        self._reader.join(1.0)  # a grandchild that holds the pipe must not hold us
        if not self._reader.is_alive():
            assert self._read_from is not None
            self._read_from.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def _read(self) -> None:
        assert self._read_from is not None
        for line in self._read_from:
            if not line.startswith(_FREQUENT):
                self._lines.put((time.monotonic(), line))
        self._lines.put(None)

    def _until(self, wanted: str) -> tuple[float, bytes]:
        try:
            found = self._lines.get(timeout=max(self._deadline - time.monotonic(), 0))
        except queue.Empty:  # it was killed, but something that left its group holds the pipe
            found = None
        if found is None:
            raise self._failed(f"ended without {wanted}")
        self._last = found[1]
        return found[0] - self.began, found[1]

    def event(self, name: str) -> tuple[float, dict[str, Any]]:
        """Wait for an event: seconds from the start, and the event; `Failed` if it ends before."""
        while True:
            seconds, line = self._until(repr(name))
            event: dict[str, Any] = json.loads(line) if line.startswith(b"{") else {}
            if event.get("event") == name:
                return seconds, event

    def line(self, pattern: str) -> re.Match[str]:
        """Wait for a line in which `pattern` is found; `Failed` if it ends before."""
        while True:
            if found := re.search(pattern, self._until(repr(pattern))[1].decode(errors="replace")):
                return found

    def _failed(self, what: str) -> Failed:
        words = (self._last + self._rest.read_bytes()[-2000:]).decode(errors="replace").strip()
        return Failed(f"{' '.join(self._command)!r} {what}: {words}")

    def _kill(self) -> None:
        if self._popen.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM). Not by `Popen`, which would take what `finish` waits for if it
        has ended already."""
        if self._popen.returncode is None:
            os.kill(self._popen.pid, signal.SIGTERM)

    def finish(self, *, status: int | None = 0) -> Cost:
        """Wait for its end; a status other than `status` (None: any) is `Failed`."""
        _, raw, usage = os.wait4(self._popen.pid, 0)
        self.ended = time.monotonic()
        self._popen.returncode = os.waitstatus_to_exitcode(raw)
        if status is not None and self._popen.returncode != status:
            raise self._failed(f"ended with {self._popen.returncode}")
        return Cost(
            usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _MAXRSS_UNIT, self.ended - self.began
        )


def _environment(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    # With bytecode, as installed programs have it: without, what is measured is mostly Python's
    # compiler.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TALLOW_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    runtime = home / "run"
    runtime.mkdir(mode=0o700, exist_ok=True)
    user = home.parent.with_name(f"user-{home.name}")
    user.mkdir(exist_ok=True)
    places = {
        f"XDG_{name}_HOME": str(user / name.lower())
        for name in ("STATE", "CONFIG", "DATA", "CACHE")
    }
    return {**kept, **places, "XDG_RUNTIME_DIR": str(runtime), "HOME": str(user), **more}
