"""Data over several connections at once, between real processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kit.lab import MEGABYTE, Lab, Place, Tallow, tree, write_large
from tests.kit.proxy import Proxy


@contextmanager
def through_proxy(sender: Tallow) -> Iterator[Proxy]:
    """A proxy before the sender's tcp listener."""
    (port,) = (int(url.rpartition(":")[2]) for url in sender.listen if url.startswith("tcp:"))
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()


def large(place: Place, megabytes: int = 48) -> None:
    """A file to send."""
    write_large(place.work / "large", megabytes * MEGABYTE)


def done(sender: Tallow, receiver: Tallow, ann: Place, bob: Place) -> None:
    """Both end well, and the same is there."""
    receiver.ends(0)
    sender.ends(0)
    assert tree(bob.inbox) == tree(ann.work)


@pytest.mark.parametrize(
    ("ours", "theirs", "count"),
    [
        # A round trip of a busy machine is as long as one to a far place.
        pytest.param((), (), 1, marks=pytest.mark.timing),
        (("--lanes", "4"), (), 4),
        ((), ("--lanes", "3"), 3),
        (("--lanes", "2"), ("--lanes", "16"), 16),
        (("--lanes", "1"), (), 1),
    ],
    ids=["near", "sender", "receiver", "both", "one"],
)
def test_so_many_connections(
    ours: tuple[str, ...], theirs: tuple[str, ...], count: int, lab: Lab
) -> None:
    """The greater wish of both counts; without one it is one connection on a short way, beside that
    of the session."""
    ann, bob = lab.pair(apart=True)
    large(ann)
    sender = lab.send(
        ann, "large", "--listen", "tcp://127.0.0.1:0", "--throttle", "40MB", "-vv", *ours
    )
    with through_proxy(sender) as proxy:
        receiver = lab.receive(bob, sender.code, "--at", f"127.0.0.1:{proxy.port}", *theirs)
        done(sender, receiver, ann, bob)
        assert proxy.connections == 1 + count
    assert (f"the data goes by {count} connections" in sender.err.text) is (count > 1)


def test_tls_and_a_tree(lab: Lab) -> None:
    ann, bob = lab.pair(apart=True)
    for number in range(300):
        (ann.work / f"{number:03}").write_bytes(
            os.urandom(number * 1000)
        )  # what packs well is gone before a lane joins
    sender = lab.send(
        ann,
        *sorted(path.name for path in ann.work.iterdir()),
        "--listen",
        "tls://127.0.0.1:0",
        "--lanes",
        "3",
        "-vv",
    )
    receiver = lab.receive(bob, sender.code, "--at", sender.listen[0], "--throttle", "30MB")
    done(sender, receiver, ann, bob)
    assert "by 3 connections" in sender.err.text


def test_through_a_relay(lab: Lab) -> None:
    """Sixteen, and the same code again within the minute: what a relay allows one address is
    enough."""
    ann, bob = lab.pair(apart=True)
    large(ann, 24)
    _, url = lab.relay()
    for _ in range(2):
        sender = lab.send(
            ann,
            "large",
            "--relay",
            url,
            "--relay-only",
            "--lanes",
            "16",
            "--throttle",
            "20MB",
            "-vv",
        )
        receiver = lab.receive(
            bob, sender.code, "--relay", url, "--relay-only", "--overwrite", "always"
        )
        done(sender, receiver, ann, bob)
        assert "by 16 connections" in sender.err.text


def test_padded(lab: Lab) -> None:
    """Padding, the least of all settings, and keys that change all the time."""
    ann, bob = lab.pair(apart=True)
    large(ann, 16)
    ann.configure("[session]\nlanes = 3\nrekey_bytes = 1048576\n")
    _, url = lab.relay()
    sender = lab.start(
        ann, "send", "large", "--json", "--relay", url, "--relay-only", "--throttle", "12MB", "-vv"
    )
    sender.code = sender.event("code")["code"]
    receiver = lab.receive(bob, sender.code, "--relay", url, "--relay-only")
    done(sender, receiver, ann, bob)
    assert "by 3 connections" in sender.err.text
    assert sender.err.text.count("fresh keys") > 4


@pytest.mark.parametrize("which", [1, 3])
def test_one_connection_that_is_cut(which: int, lab: Lab) -> None:
    """The whole is dialled again, and goes on."""
    ann, bob = lab.pair(apart=True)
    large(ann, 64)
    sender = lab.send(
        ann, "large", "--listen", "tcp://127.0.0.1:0", "--lanes", "4", "--throttle", "20MB", "-vv"
    )
    with through_proxy(sender) as proxy:
        receiver = lab.receive(bob, sender.code, "--at", f"127.0.0.1:{proxy.port}")
        receiver.event("progress", lambda event: event["bytes"] > 20 * MEGABYTE)
        assert proxy.connections == 5
        proxy.cut(which)
        done(sender, receiver, ann, bob)
        assert proxy.down < 100 * MEGABYTE
    assert sender.named("resume")
    assert sender.named("reconnect")
    assert sender.err.text.count("by 4 connections") == 2


@pytest.mark.parametrize("killed", ["sender", "receiver"])
def test_resume_after_a_kill(killed: str, lab: Lab) -> None:
    ann, bob = lab.pair(apart=True)
    large(ann, 64)
    words = ("--listen", "tcp://127.0.0.1:0", "--lanes", "4", "--throttle", "20MB")
    sender = lab.send(ann, "large", *words)
    receiver = lab.receive(bob, sender.code, "--at", sender.listen[0])
    receiver.event("progress", lambda event: event["bytes"] > 30 * MEGABYTE)
    (sender if killed == "sender" else receiver).kill()
    (receiver if killed == "sender" else sender).kill()
    sender = lab.send(ann, "large", *words)
    with through_proxy(sender) as proxy:
        receiver = lab.receive(bob, sender.code, "--at", f"127.0.0.1:{proxy.port}", "--lanes", "2")
        done(sender, receiver, ann, bob)
        assert proxy.connections == 5
        assert proxy.down < 45 * MEGABYTE
    assert sender.event("resume")["bytes"] > 15 * MEGABYTE


@pytest.mark.parametrize("value", ["17", "-1", "many"])
def test_a_number_out_of_bounds(value: str, lab: Lab) -> None:
    ann = lab.place()
    (ann.work / "file").touch()
    process = lab.start(ann, "send", "file", f"--lanes={value}").ends(2)
    assert "lanes" in process.err.text
