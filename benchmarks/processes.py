"""Child processes, what they print as JSON lines, and what each of them cost by itself (wait4(2))."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

LIMIT = 600.0
"""Seconds after which a child is taken for stuck, and killed."""
_FREQUENT = frozenset({"file", "progress"})
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024

TALLOW = (sys.executable, "-m", "tallow_core")
PLAIN = (sys.executable, str(Path(__file__).with_name("plain.py")))


@dataclass(frozen=True, slots=True)
class Cost:
    """One process: seconds of CPU (user and system), most bytes resident, seconds from start to end."""

    cpu: float
    peak: int
    wall: float


class Child:
    """A running command. Use as a context manager: whatever happens, it is gone afterwards.

    Its working directory is `home`, so that `-m` finds what is installed and not what lies in the checkout; so are its settings, state
    and run-time directory, so that two children meet by nothing but the addresses they are given.
    """

    def __init__(self, command: Sequence[str], home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._complaints = home / "stderr"
        self.began = time.monotonic()
        with open(self._complaints, "wb") as complaints:
            self._popen = subprocess.Popen(command, cwd=home, env=_environment(home), stdout=subprocess.PIPE, stderr=complaints)
        self._timer = threading.Timer(LIMIT, self._popen.kill)
        self._timer.start()
        self._events: queue.SimpleQueue[tuple[float, dict[str, Any]] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._timer.cancel()
        if self._popen.returncode is None:
            self._popen.kill()
            self._popen.wait()
        self._reader.join()
        assert self._popen.stdout is not None
        self._popen.stdout.close()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            now = time.monotonic()
            event = json.loads(line) if line.startswith(b"{") else {}
            if event.get("event") not in _FREQUENT:
                self._events.put((now, event))
        self._events.put(None)

    def event(self, name: str) -> tuple[float, dict[str, Any]]:
        """Wait for an event: seconds from the start, and the event. The end before it is a `RuntimeError` with the child's words."""
        while (found := self._events.get()) is not None:
            if found[1].get("event") == name:
                return found[0] - self.began, found[1]
        raise RuntimeError(f"{self._popen.args!r} ended without {name!r}: {self._complaints.read_text(errors='replace').strip()}")

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        self._popen.terminate()

    def finish(self, *, status: int | None = 0) -> Cost:
        """Wait for its end; a status other than `status` (None: any) is a `RuntimeError`."""
        _, raw, usage = os.wait4(self._popen.pid, 0)
        ended = time.monotonic()
        self._popen.returncode = os.waitstatus_to_exitcode(raw)
        if status is not None and self._popen.returncode != status:
            words = self._complaints.read_text(errors="replace").strip()
            raise RuntimeError(f"{self._popen.args!r} ended with {self._popen.returncode}: {words}")
        return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _MAXRSS_UNIT, ended - self.began)


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLOW_")}
    runtime = home / "run"
    runtime.mkdir(mode=0o700, exist_ok=True)
    places = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("STATE", "CONFIG", "DATA", "CACHE")}
    return {**kept, **places, "XDG_RUNTIME_DIR": str(runtime), "HOME": str(home)}
