"""Tallow as real processes: started in homes of their own, watched with deadlines, and ended by the
tests that started them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import queue
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.kit.events import check_event

PATIENCE = 60.0
"""Seconds until a wait fails the test. A loaded machine is slow; nothing here takes long by
itself."""

PROGRAM = (sys.executable, "-m", "tallow_core")
MEGABYTE = 1 << 20
_SIGNS_OF_A_BUG = (
    "Traceback (most recent call last)",
    "never retrieved",
    "Exception ignored",
    "was never awaited",
    "a bug in Tallow",
)
_ON_TERMINAL = 'exec "$@" <"$0" >"$0" 2>&1'
"""A session leader without a terminal gets the first that it opens: so Ctrl-C reaches the program
as it does for a person."""

T = TypeVar("T")
Event = dict[str, Any]


class Place:
    """A user with a home of their own. Two places with one `runtime` are one user on one machine,
    so `local` finds the other."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.home = folder / "home"
        self.work = folder / "work"
        self.inbox = folder / "work" / "inbox"
        self.config_home = folder / "config"
        self.state_home = folder / "state"
        self.data_home = folder / "data"
        self.runtime = runtime
        for made in (self.home, self.work, runtime):
            made.mkdir(parents=True, exist_ok=True)

    @property
    def config_file(self) -> Path:
        """Where the config file is looked for."""
        return self.config_home / "tallow" / "config.toml"

    def configure(self, text: str) -> None:
        """Write the config file."""
        self.config_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.config_file.write_text(text, encoding="utf-8")

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of a process here; nothing of the one that runs the tests but
        PATH."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.config_home),
            "XDG_STATE_HOME": str(self.state_home),
            "XDG_DATA_HOME": str(self.data_home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            **more,
        }


class Transcript:
    """What comes out of a descriptor, read on a thread as it comes."""

    def __init__(self, descriptor: int) -> None:
        self.events: list[Event] = []
        self._bytes = bytearray()
        self._parsed = 0
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(descriptor,), daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        """All of it so far."""
        with self._changed:
            return self._bytes.decode(errors="backslashreplace")

    @property
    def lines(self) -> list[str]:
        """All of it so far, by lines."""
        return self.text.splitlines()

    def until(self, look: Callable[[Transcript], T | None], seconds: float) -> T | None:
        """What `look` returns as soon as that is not None; None at the end of the stream or of the
        time."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while (
                (found := look(self)) is None
                and not self._ended
                and (left := deadline - time.monotonic()) > 0
            ):
                self._changed.wait(left)
            return found

    def end(self, seconds: float) -> None:
        """Wait until the stream has ended."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the output of an ended process stays open"

    def _read(self, descriptor: int) -> None:
        try:
            while chunk := os.read(descriptor, 1 << 16):
                self._take(chunk)
        except OSError:
            pass  # a terminal that nobody has open any more
        finally:
            os.close(descriptor)
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _take(self, chunk: bytes) -> None:
        with self._changed:
            self._bytes += chunk
            while (end := self._bytes.find(b"\n", self._parsed)) >= 0:
                line = bytes(self._bytes[self._parsed : end])
                self._parsed = end + 1
                if line.startswith(b'{"event"'):
                    self.events.append(json.loads(line))
            self._changed.notify_all()


class Tallow:
    """One process of Tallow (or of `program`), in a process group of its own.

    `stdin` is empty by default; `feed` needs `stdin="pipe"`, or `terminal`, which puts all three
    streams on one. `stdout` may be a descriptor to write to instead of a pipe.
    """

    def __init__(
        self,
        place: Place,
        *words: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: str = "empty",
        stdout: int | None = None,
        terminal: bool = False,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.words = [str(word) for word in words]
        self.code = ""
        self.listen: list[str] = []
        self._slave = -1
        self._input: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        argv = [*program, *self.words]
        environment = place.environment(env or {})
        if terminal:
            self._on_terminal(place, argv, environment)
        else:
            self._on_pipes(place, argv, environment, stdin, stdout)
        self._peak = 0
        threading.Thread(target=self._watch_memory, daemon=True).start()

    def _on_pipes(
        self,
        place: Place,
        argv: list[str],
        environment: dict[str, str],
        stdin: str,
        stdout: int | None,
    ) -> None:
        standard_input = subprocess.PIPE if stdin == "pipe" else subprocess.DEVNULL
        pipes = [os.pipe() for _ in range(2)]
        self.process = subprocess.Popen(
            argv,
            cwd=place.work,
            env=environment,
            stdin=standard_input,
            stdout=pipes[0][1] if stdout is None else stdout,
            stderr=pipes[1][1],
            start_new_session=True,
        )
        for _, end in pipes:
            os.close(end)
        self.out, self.err = Transcript(pipes[0][0]), Transcript(pipes[1][0])
        if self.process.stdin is not None:
            self._write_to(os.dup(self.process.stdin.fileno()))
            self.process.stdin.close()

    def _on_terminal(self, place: Place, argv: list[str], environment: dict[str, str]) -> None:
        master, self._slave = pty.openpty()
        termios.tcsetwinsize(master, (40, 100))
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", _ON_TERMINAL, os.ttyname(self._slave), *argv],
            cwd=place.work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._write_to(os.dup(master))
        self.out = self.err = Transcript(master)

    # -- input -----------------------------------------------------------------------------------

    def feed(self, data: bytes | str) -> None:
        """Type, or write to the pipe; a thread waits for the process to read it."""
        self._input.put(data.encode() if isinstance(data, str) else data)

    def end_of_input(self) -> None:
        """Close the pipe, after all that was fed."""
        self._input.put(None)

    def _write_to(self, descriptor: int) -> None:
        def write() -> None:
            try:
                while (data := self._input.get()) is not None:
                    while data:
                        data = data[os.write(descriptor, data) :]
            except OSError:
                pass  # the process has gone
            finally:
                os.close(descriptor)

        threading.Thread(target=write, daemon=True).start()

    # -- output ----------------------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        """The JSON events so far, wherever they were printed."""
        return [*self.out.events, *([] if self.err is self.out else self.err.events)]

    def named(self, name: str) -> list[Event]:
        """The events of one name so far."""
        return [event for event in self.events if event["event"] == name]

    def event(
        self, name: str, fits: Callable[[Event], bool] = lambda _: True, seconds: float = PATIENCE
    ) -> Event:
        """Wait for an event."""
        stream = self.err if "--stdout" in self.words else self.out
        found = stream.until(
            lambda seen: next(
                (each for each in seen.events if each["event"] == name and fits(each)), None
            ),
            seconds,
        )
        return self._found(found, f"event {name}")

    def says(self, text: str, seconds: float = PATIENCE) -> str:
        """Wait until `text` is on standard error (or the terminal); returns all that is there."""
        return self._found(
            self.err.until(lambda seen: seen.text if text in seen.text else None, seconds),
            repr(text),
        )

    def prints(self, seconds: float = PATIENCE) -> str:
        """Wait for the first line on standard output."""

        def first(seen: Transcript) -> str | None:
            head, newline, _ = seen.text.partition("\n")
            return head if newline else None

        return self._found(self.out.until(first, seconds), "a line")

    def _found(self, found: T | None, wanted: str) -> T:
        assert found is not None, f"no {wanted} came\n{self.story()}"
        return found

    def story(self) -> str:
        """All that is known of the process, for a failed assertion."""
        return (
            f"$ tallow {' '.join(self.words)}\nstatus {self.process.poll()}\n--"
            f" stdout\n{self.out.text}\n-- stderr\n{self.err.text}"
        )

    # -- the end ---------------------------------------------------------------------------------

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for the end; the exit status."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {seconds:g} s\n{self.story()}") from None
        self._input.put(None)
        self._close_terminal()
        self.out.end(PATIENCE)
        self.err.end(PATIENCE)
        return status

    def ends(self, status: int, seconds: float = PATIENCE) -> Tallow:
        """Wait for the end, with this exit status and no trace of a bug."""
        found = self.wait(seconds)
        assert found == status, f"status {found} instead of {status}\n{self.story()}"
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End the whole group at once, whatever state it is in."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()

    def check(self) -> None:
        """Hold all that was printed against the documented events, and look for signs of a bug."""
        for event in self.events:
            check_event(event)
        text = self.err.text
        assert not [sign for sign in _SIGNS_OF_A_BUG if sign in text], self.story()

    def _close_terminal(self) -> None:
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1

    # -- memory ----------------------------------------------------------------------------------

    @property
    def peak(self) -> int:
        """The most memory that was resident, in bytes. Not from wait4: its ru_maxrss begins with
        the size of whoever forked."""
        assert self._peak, "the process was too short to be measured"
        return self._peak

    def _watch_memory(self) -> None:
        status = Path(f"/proc/{self.process.pid}/status")
        ended = threading.Event()
        while not ended.wait(0.02):
            try:
                lines = status.read_text("ascii", "replace").splitlines()
            except OSError:
                return
            found = [line for line in lines if line.startswith("VmHWM:")]
            if not found:
                return  # a zombie
            # Until exec it is a copy of the tests; the high-water mark starts anew there.
            self._peak = int(found[0].split()[1]) * 1024


class Lab:
    """All places and processes of one test; `close` ends what still runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[Tallow] = []
        self._places = 0

    def place(self, *, beside: Place | None = None) -> Place:
        """A new user; `beside` another, on the same machine under the same name."""
        self._places += 1
        folder = self.folder / f"place{self._places}"
        return Place(folder, beside.runtime if beside else folder / "run")

    def pair(self, *, apart: bool = False) -> tuple[Place, Place]:
        """A sender's place and a receiver's: on one machine, or `apart`, where `local` does not
        reach."""
        sender = self.place()
        return sender, self.place(beside=None if apart else sender)

    def start(self, place: Place, *words: str | Path, **how: Any) -> Tallow:
        """Start a process; see `Tallow`."""
        process = Tallow(place, *words, **how)
        self.processes.append(process)
        return process

    def run(self, place: Place, *words: str | Path, **how: Any) -> Tallow:
        """Start a process and wait for its end."""
        process = self.start(place, *words, **how)
        process.wait()
        return process

    def send(self, place: Place, *words: str | Path, **how: Any) -> Tallow:
        """Start `tallow send --json` and wait for its code."""
        process = self.start(place, "send", "--json", *words, **how)
        event = process.event("code")
        process.code, process.listen = event["code"], event["listen"]
        return process

    def receive(self, place: Place, code: str, *words: str | Path, **how: Any) -> Tallow:
        """Start `tallow receive --json --yes` into the inbox of `place`, the code in the
        environment."""
        environment = {"TALLOW_CODE": code, **how.pop("env", {})}
        where = () if "--stdout" in words else ("--output", place.inbox)
        return self.start(
            place, "receive", "--json", "--yes", *where, *words, env=environment, **how
        )

    def relay(
        self, *words: str, place: Place | None = None, bind: str = "127.0.0.1:0"
    ) -> tuple[Tallow, str]:
        """Start a relay and wait for its URL."""
        process = self.start(place or self.place(), "relay", "serve", "--bind", bind, *words)
        return process, process.prints()

    def close(self) -> None:
        """End everything, then check what was printed."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.check()


def tree(folder: Path) -> dict[str, str | None]:
    """Everything below `folder`: path -> hash of the content, None for a folder."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else digest(path)
        for path in sorted(folder.rglob("*"), key=lambda path: path.as_posix())
    }


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_large(file: Path, size: int) -> Path:
    """Fill a file with content that does not repeat: one random megabyte, numbered."""
    block = bytearray(os.urandom(MEGABYTE))
    with file.open("wb") as stream:
        for number in range(size // MEGABYTE):
            block[:8] = number.to_bytes(8)
            stream.write(block)
    return file


def leftovers(folder: Path) -> list[str]:
    """What lies in `folder` (hidden things too); nothing if it was never made."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(os.listdir(folder))
    return []


@contextmanager
def mounted(place: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own, in memory, at a new folder; the test is skipped where nothing can
    be mounted."""
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(place)]
    if mount is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
