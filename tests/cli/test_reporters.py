"""Events as JSON lines: each prompt, those of files together."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable

import pytest

from tallow_core.cli.views.output import OutputError
from tallow_core.cli.views.reporters import GATHER_SECONDS, MAX_GATHERED_BYTES, JsonReporter
from tallow_core.event_fields import as_mapping
from tallow_core.events import CommandFailed, Event, FileDone, ProgressMade, TransferDone

FILE = FileDone("a", 1, "ab" * 32)


class Stream(io.StringIO):
    """Knows what was flushed."""

    seen = ""
    flushes = 0

    def flush(self) -> None:
        self.seen = self.getvalue()
        self.flushes += 1


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def to(seconds: float) -> None:
        now[0] = 1000.0 + seconds

    return to


def test_files_wait_for_each_other_but_not_long(at: Callable[[float], None]) -> None:
    stream = Stream()
    reporter = JsonReporter(stream, 0)
    reporter.emit(FILE)
    assert stream.seen.count("\n") == 1, "the first one is shown at once"
    at(GATHER_SECONDS / 2)
    reporter.emit(FILE)
    assert stream.seen.count("\n") == 1
    at(GATHER_SECONDS)
    reporter.emit(FILE)
    assert stream.seen.count("\n") == 3


def test_many_files_do_not_pile_up(at: Callable[[float], None]) -> None:
    """And take few calls, though the stream has no buffer of its own."""
    stream = Stream()
    reporter = JsonReporter(stream, 0)
    for number in range(1000):
        reporter.emit(FILE)
        assert (
            len(stream.seen) >= stream.seen.count("\n") * 100 >= number * 100 - MAX_GATHERED_BYTES
        )
    assert stream.flushes <= 1000 * 130 / MAX_GATHERED_BYTES + 2


@pytest.mark.parametrize(
    "event",
    [ProgressMade(5, None, 5), TransferDone(3, 0, 5, 0.1, ()), CommandFailed("bug", "a bug", 70)],
)
def test_any_other_event_takes_them_along(at: Callable[[float], None], event: Event) -> None:
    stream = Stream()
    reporter = JsonReporter(stream, 0)
    for _ in range(3):
        reporter.emit(FILE)
    reporter.emit(event)
    assert [json.loads(line)["event"] for line in stream.seen.splitlines()] == [
        *["file"] * 3,
        as_mapping(event)["event"],
    ]


@pytest.mark.parametrize("path", ["a", 'quo"te\\', "\u00e4\u4e2d\U0001f600", "\\x1b"])
def test_a_file_is_written_like_any_other_event(path: str) -> None:
    stream = Stream()
    JsonReporter(stream, 0).emit(FileDone(path, 4096, "ab" * 32))
    assert (
        stream.seen
        == json.dumps(
            {"event": "file", "v": 1, "path": path, "bytes": 4096, "tree_hash": "ab" * 32}
        )
        + "\n"
    )


def test_standard_output_that_fails_ends_it() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError):
        JsonReporter(Full(), 0).emit(FILE)
