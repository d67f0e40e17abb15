"""T-34 between real runs: what a killed receiver left was changed or replaced on disk before it
goes on; and paths that policy closes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.cut_transfers import cut_off, prepared
from tests.kit.lab import MEGABYTE, Lab, leftovers, tree, write_large
from tests.kit.proxy import Proxy

SEGMENT = 4 * MEGABYTE


def _flipped(staging: Path, part: Path, elsewhere: Path) -> None:
    with part.open("r+b") as file:
        file.seek(SEGMENT + 100)
        file.write(b"\0\0\0\0")


def _truncated(staging: Path, part: Path, elsewhere: Path) -> None:
    os.truncate(part, SEGMENT + 1)


def _linked(staging: Path, part: Path, elsewhere: Path) -> None:
    part.unlink()
    part.symlink_to(elsewhere / "precious")


def _hard_linked(staging: Path, part: Path, elsewhere: Path) -> None:
    part.unlink()
    part.hardlink_to(elsewhere / "precious")


def _journal_garbage(staging: Path, part: Path, elsewhere: Path) -> None:
    (staging / "journal").write_bytes(os.urandom(4000))


def _journal_pipe(staging: Path, part: Path, elsewhere: Path) -> None:
    (staging / "journal").unlink()
    os.mkfifo(staging / "journal")


def _journal_linked(staging: Path, part: Path, elsewhere: Path) -> None:
    (staging / "journal").rename(elsewhere / "journal")
    (staging / "journal").symlink_to(elsewhere / "journal")


def _folder_linked(staging: Path, part: Path, elsewhere: Path) -> None:
    staging.rename(elsewhere / "staging")
    staging.symlink_to(elsewhere / "staging")


def _folder_gone(staging: Path, part: Path, elsewhere: Path) -> None:
    staging.rename(elsewhere / "staging")


CHANGES: list[tuple[Callable[[Path, Path, Path], None], int]] = [
    (_flipped, SEGMENT),
    (_truncated, SEGMENT),
    (_linked, 0),
    (_hard_linked, 0),
    (_journal_garbage, 0),
    (_journal_pipe, 0),
    (_journal_linked, 0),
    (_folder_linked, 0),
    (_folder_gone, 0),
]


@pytest.mark.parametrize(
    ("change", "kept"), CHANGES, ids=[change.__name__[1:] for change, _ in CHANGES]
)
def test_t34_what_was_changed_between_the_runs_is_not_believed(
    lab: Lab, change: Callable[[Path, Path, Path], None], kept: int
) -> None:
    """Just as much is gone on with as is still right; what was put there is not read, followed,
    changed or removed."""
    ann, bob = prepared(lab)
    cut_off(lab, ann, bob, least=10 * MEGABYTE).ends(7)
    elsewhere = bob.home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_bytes(bytes(12 * MEGABYTE))
    (staging,) = bob.inbox.glob(".tallow-*")
    (part,) = (path for path in staging.iterdir() if path.name != "journal")
    change(staging, part, elsewhere)
    before = tree(elsewhere)
    sender = lab.send(ann, "t")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    (resumed,) = receiver.named("resume")
    small = int(
        "journal" not in change.__name__ and "folder" not in change.__name__
    )  # the small file, if the journal still tells of it
    assert (resumed["files"], resumed["bytes"]) == (small, small * 5 + kept)
    top = "t" if resumed["files"] else "t (1)"
    assert tree(bob.inbox / top) == tree(ann.work / "t")
    assert (elsewhere / "precious").read_bytes() == bytes(12 * MEGABYTE)
    assert tree(elsewhere) == before
    assert [
        name
        for name in leftovers(bob.inbox)
        if name.startswith(".tallow-") and not (bob.inbox / name).is_symlink()
    ] == []


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """The network in front of the sender's listener."""
    proxy = Proxy()
    yield proxy
    proxy.close()


@pytest.mark.parametrize("closed_at", ["sender", "receiver"])
def test_t26_a_redial_waits_for_a_path_that_policy_admits(
    lab: Lab, proxy: Proxy, closed_at: str
) -> None:
    """The direct path is lost. By the relay, which is there all the time, a rule admits no suite:
    nothing goes there, and nothing ends."""
    ann, bob = lab.pair()
    _, url = lab.relay()
    rule = '[[policy.rule]]\nwhen = { relay = true }\nciphers = ["chacha20-poly1305"]\n'
    (ann if closed_at == "sender" else bob).configure(rule)
    write_large(ann.work / "large", 24 * MEGABYTE)
    words = ("--cipher", "aes-256-gcm", "--relay", url)
    sender = lab.send(ann, "large", "--throttle", "8MB", "--listen", "tcp://127.0.0.1:0", *words)
    (record,) = ann.runtime.rglob("*.json")
    said = json.loads(record.read_text())
    target = int(said["endpoints"][0].rpartition(":")[2])
    proxy.target = target
    record.write_text(json.dumps({**said, "endpoints": [f"tcp://127.0.0.1:{proxy.port}"]}))
    receiver = lab.receive(bob, sender.code, *words)
    receiver.event("progress", lambda event: event["bytes"] >= 8 * MEGABYTE)
    proxy.target = 1  # where nobody listens
    proxy.cut()
    receiver.event("reconnect")
    receiver.says("still looking")
    proxy.target = target
    receiver.ends(0)
    sender.ends(0)
    assert {
        event["cipher"] for process in (sender, receiver) for event in process.named("suite")
    } == {"aes-256-gcm"}
    assert [event["path"] for event in receiver.named("peer")] == ["local", "local"], (
        "it went by the relay"
    )
    assert receiver.named("resume")
    assert tree(bob.inbox) == tree(ann.work)
