"""Events as JSON lines: each prompt, those of files together."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable

import pytest

from tallow_core.cli.views.output import OutputError
from tallow_core.cli.views.reporters import GATHER, MOST, JsonReporter

FILE = {"path": "a", "bytes": 1, "tree_hash": "ab" * 32}


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
    reporter.event("file", **FILE)
    assert stream.seen.count("\n") == 1, "the first one is shown at once"
    at(GATHER / 2)
    reporter.event("file", **FILE)
    assert stream.seen.count("\n") == 1
    at(GATHER)
    reporter.event("file", **FILE)
    assert stream.seen.count("\n") == 3


def test_many_files_do_not_pile_up(at: Callable[[float], None]) -> None:
    """And take few calls, though the stream has no buffer of its own."""
    stream = Stream()
    reporter = JsonReporter(stream, 0)
    for number in range(1000):
        reporter.event("file", **FILE)
        assert len(stream.seen) >= stream.seen.count("\n") * 100 >= number * 100 - MOST
    assert stream.flushes <= 1000 * 130 / MOST + 2


@pytest.mark.parametrize("event", ["progress", "done", "error"])
def test_any_other_event_takes_them_along(at: Callable[[float], None], event: str) -> None:
    stream = Stream()
    reporter = JsonReporter(stream, 0)
    for _ in range(3):
        reporter.event("file", **FILE)
    reporter.event(event, bytes=5)
    assert [json.loads(line)["event"] for line in stream.seen.splitlines()] == ["file"] * 3 + [
        event
    ]


@pytest.mark.parametrize("path", ["a", 'quo"te\\', "\u00e4\u4e2d\U0001f600", "\\x1b"])
def test_a_file_is_written_like_any_other_event(path: str) -> None:
    stream = Stream()
    JsonReporter(stream, 0).event("file", path=path, bytes=4096, tree_hash="ab" * 32)
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
        JsonReporter(Full(), 0).event("file", **FILE)
