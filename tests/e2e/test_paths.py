"""Every path between two ends: local, direct, through a relay; what both report, and that the same
files arrive."""

from __future__ import annotations

import json

import pytest

from tests.kit.lab import Lab, Place, Tallow, tree

ORDER = ["code", "peer", "suite", "offer", "progress", "file", "done", "error", "text"]
SUITE = {
    "kem": "x25519-ml-kem-1024",
    "hash": "blake3",
    "authenticator": "cpace",
    "compressor": "zstd",
}


def some_files(place: Place) -> list[str]:
    """Two things to send."""
    folder = place.work / "album"
    (folder / "inner" / "empty").mkdir(parents=True)
    (folder / "inner" / "a.txt").write_text("first\n")
    (folder / "b.bin").write_bytes(bytes(range(256)) * 300)
    (place.work / "letter.txt").write_text("Dear you\n")
    return ["album", "letter.txt"]


def check_arrived(sender: Place, receiver: Place) -> None:
    """What was sent is there, and nothing else."""
    assert tree(receiver.inbox / "album") == tree(sender.work / "album")
    assert sorted(path.name for path in receiver.inbox.iterdir()) == ["album", "letter.txt"]
    assert (receiver.inbox / "letter.txt").read_text() == "Dear you\n"


def check_events(process: Tallow, path: str) -> None:
    """Each event in its place, and they tell of what happened."""
    names = [event["event"] for event in process.events]
    places = [ORDER.index("progress" if name in ("file", "path") else name) for name in names]
    assert places == sorted(places), names
    assert process.named("peer") == [{"event": "peer", "v": 1, "path": path}]
    (suite,) = process.named("suite")
    assert {key: suite[key] for key in SUITE} == SUITE
    assert suite["cipher"] in ("aegis-256", "aes-256-gcm", "chacha20-poly1305")
    size = 6 + 256 * 300 + 9
    assert [(each["files"], each["bytes"]) for each in process.named("offer")] == [(3, size)]
    assert [(each["files"], each["bytes"], each["skipped"]) for each in process.named("done")] == [
        (3, size, [])
    ]
    sizes = {each["path"]: each["bytes"] for each in process.named("file")}
    assert sizes == {"album/b.bin": 76800, "album/inner/a.txt": 6, "letter.txt": 9}
    assert process.named("progress")[-1]["bytes"] == process.named("progress")[-1]["total"] == size


def check_transfer(
    sender: Tallow, receiver: Tallow, path: str, places: tuple[Place, Place]
) -> None:
    """Both ended well, by `path`, and saw the same."""
    receiver.ends(0)
    sender.ends(0)
    check_arrived(*places)
    check_events(sender, path)
    check_events(receiver, path)
    assert sender.named("file") == receiver.named("file")
    assert sender.named("suite") == receiver.named("suite")


def test_local(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.send(ann, *some_files(ann))
    assert len(sender.listen) == 1
    assert sender.listen[0].startswith("tcp://127.0.0.1:")
    check_transfer(sender, lab.receive(bob, sender.code), "local", (ann, bob))
    assert not list(ann.runtime.rglob("*.json")), "the record of the sender stays behind"


def test_local_does_not_reach_another_user(lab: Lab) -> None:
    ann, bob = lab.pair(apart=True)
    sender = lab.send(ann, *some_files(ann))
    lab.receive(bob, sender.code, "--wait", "1").ends(5)
    assert sender.process.poll() is None


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_direct(lab: Lab, scheme: str) -> None:
    ann, bob = lab.pair(apart=True)
    sender = lab.send(ann, *some_files(ann), "--listen", "127.0.0.1:0")
    addresses = dict(address.split("://") for address in sender.listen)
    assert addresses.keys() == {"tcp", "tls"}
    at = addresses["tcp"] if scheme == "tcp" else f"tls://{addresses['tls']}"
    check_transfer(sender, lab.receive(bob, sender.code, "--at", at), "direct", (ann, bob))


def test_direct_binds_what_was_asked_for(lab: Lab) -> None:
    ann, bob = lab.pair(apart=True)
    sender = lab.send(
        ann, *some_files(ann), "--listen", "tls://127.0.0.1:0", "--listen", "tcp://[::1]:0"
    )
    first, second = sender.listen
    assert first.startswith("tls://127.0.0.1:")
    assert second.startswith("tcp://[::1]:")
    check_transfer(sender, lab.receive(bob, sender.code, "--at", second), "direct", (ann, bob))


def test_direct_with_one_transport_allowed(lab: Lab) -> None:
    ann, bob = lab.pair(apart=True)
    sender = lab.send(ann, *some_files(ann), "--listen", "127.0.0.1:0", "--transport", "tls")
    (address,) = sender.listen
    lab.receive(bob, sender.code, "--at", address, "--transport", "tcp").ends(3)
    check_transfer(
        sender,
        lab.receive(bob, sender.code, "--at", address, "--transport", "tls"),
        "direct",
        (ann, bob),
    )


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "tcp://127.0.0.1:0"], ids=["tls", "tcp"])
def test_relay(lab: Lab, bind: str) -> None:
    ann, bob = lab.pair(apart=True)
    _, url = lab.relay(bind=bind)
    sender = lab.send(ann, *some_files(ann), "--relay", url)
    assert len(sender.code.split("-")[0]) == 4
    check_transfer(sender, lab.receive(bob, sender.code, "--relay", url), "relay", (ann, bob))


def test_relay_from_environment_and_file(lab: Lab) -> None:
    ann, bob = lab.pair(apart=True)
    _, url = lab.relay()
    ann.configure(f"[relay]\nurls = [{json.dumps(url)}]\n")
    sender = lab.send(ann, *some_files(ann))
    check_transfer(
        sender, lab.receive(bob, sender.code, env={"TALLOW_RELAY": url}), "relay", (ann, bob)
    )


def test_local_is_preferred_to_the_relay(lab: Lab) -> None:
    ann, bob = lab.pair()
    _, url = lab.relay()
    sender = lab.send(ann, *some_files(ann), "--relay", url)
    check_transfer(sender, lab.receive(bob, sender.code, "--relay", url), "local", (ann, bob))


def test_two_codes_at_once(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "one").write_text("one")
    (ann.work / "two").write_text("two")
    first, second = lab.send(ann, "one"), lab.send(ann, "two")
    assert first.code.split("-")[0] != second.code.split("-")[0]
    receivers = [lab.receive(bob, second.code), lab.receive(bob, first.code)]
    for process in (*receivers, first, second):
        process.ends(0)
    assert tree(bob.inbox).keys() == {"one", "two"}
    assert [event["path"] for event in receivers[0].named("file")] == ["two"]


def test_a_day_in_plain_words(lab: Lab) -> None:
    """Without --json: the code on standard output, everything else on standard error, and no
    control codes."""
    ann, bob = lab.pair()
    sender = lab.start(ann, "send", *some_files(ann), "-v")
    code = sender.prints().removeprefix("Code: ")
    receiver = lab.start(bob, "receive", "--yes", "-o", bob.inbox, "-vv", stdin="pipe")
    receiver.feed(f"{code}\n")
    receiver.ends(0)
    sender.ends(0)
    check_arrived(ann, bob)
    assert sender.out.text == f"Code: {code}\n"
    assert receiver.out.text == ""
    for line in (
        "listening at tcp://127.0.0.1:",
        "Connected on this machine.",
        "suite: kem x25519-ml-kem-1024",
        "Done: 3 files, ",
    ):
        assert line in sender.err.text
    assert "letter.txt  9 bytes" in receiver.err.text
    assert "\x1b" not in sender.err.text + receiver.err.text
