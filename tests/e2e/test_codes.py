"""The code: wrong ones, arrivals in either order, waiting, and that it is seen nowhere but where it
must be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kit.lab import PATIENCE, Lab, Place, leftovers

OTHER_WORDS = "abacus-abdomen-ablaze"
AGREED = "4821-stamp-daybreak-kindred"


def a_file(place: Place) -> str:
    (place.work / "file").write_text("content")
    return "file"


@pytest.mark.parametrize("path", ["local", "direct", "relay"])
def test_a_wrong_code_then_the_right_one(lab: Lab, path: str) -> None:
    ann, bob = lab.pair(apart=path != "local")
    sending: list[str] = []
    receiving: list[str] = []
    if path == "relay":
        sending = receiving = ["--relay", lab.relay()[1]]
    elif path == "direct":
        sending = ["--listen", "127.0.0.1:0"]
    sender = lab.send(ann, a_file(ann), *sending)
    if path == "direct":
        receiving = ["--at", sender.listen[0]]
    nameplate = sender.code.split("-")[0]
    wrong = lab.receive(bob, f"{nameplate}-{OTHER_WORDS}", *receiving).ends(4)
    assert [(event["name"], event["exit"]) for event in wrong.events] == [("authentication", 4)]
    sender.says("somebody tried a wrong code (1 of 100 guesses)")
    lab.receive(bob, sender.code, *receiving).ends(0)
    sender.ends(0)
    assert (bob.inbox / "file").read_text() == "content"


def test_receiver_first(lab: Lab) -> None:
    """Through the relay, with a code agreed on: the relay keeps the guest waiting."""
    ann, bob = lab.pair(apart=True)
    _, url = lab.relay()
    receiver = lab.receive(bob, AGREED, "--relay", url, "--wait", str(PATIENCE), "-v")
    wait_for_connection(receiver.process.pid)
    sender = lab.send(ann, a_file(ann), "--relay", url, "--code", AGREED)
    assert sender.code == AGREED
    receiver.ends(0)
    sender.ends(0)
    assert receiver.named("peer")[0]["path"] == "relay"


def test_receiver_first_locally(lab: Lab) -> None:
    ann, bob = lab.pair()
    receiver = lab.receive(bob, AGREED, "--wait", str(PATIENCE))
    # Its directory is made by the first look: from then on it is waiting.
    deadline = time.monotonic() + PATIENCE
    while not (bob.runtime / "tallow" / "local").is_dir():
        assert time.monotonic() < deadline, receiver.story()
        time.sleep(0.02)
    sender = lab.send(ann, a_file(ann), env={"TALLOW_CODE": AGREED})
    assert sender.code == AGREED
    receiver.ends(0)
    sender.ends(0)


def wait_for_connection(process: int) -> None:
    """Until the process has an established TCP connection."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        sockets = {
            link.readlink().name
            for link in Path(f"/proc/{process}/fd").iterdir()
            if link.is_symlink()
        }
        rows = [
            line.split()
            for line in Path(f"/proc/{process}/net/tcp").read_text("ascii").splitlines()[1:]
        ]
        if any(row[3] == "01" and f"socket:[{row[9]}]" in sockets for row in rows):
            return
        time.sleep(0.02)
    raise AssertionError("it connected to nobody")


def test_a_code_is_folded(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.send(ann, a_file(ann))
    lab.receive(bob, f"  {sender.code.upper().replace('-', ' ')} ").ends(0)
    sender.ends(0)


def test_more_words(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.send(ann, a_file(ann), "--words", "5")
    assert len(sender.code.split("-")) == 6
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)


@pytest.mark.parametrize("words", ["2", "17"])
def test_too_few_or_too_many_words(lab: Lab, words: str) -> None:
    ann = lab.place()
    lab.run(ann, "send", a_file(ann), "--words", words).ends(2)


@pytest.mark.parametrize(
    "code",
    ["4821-tulip", "tulip-ranch-velvet", "48-tulip-ranch-velvet", "04821-tulip-ranch-velvet"],
)
def test_a_code_that_is_none(lab: Lab, code: str) -> None:
    """T-11: a custom secret below the floor is refused; the message does not repeat it."""
    ann, bob = lab.pair()
    sender = lab.run(ann, "send", a_file(ann), env={"TALLOW_CODE": code}).ends(2)
    receiver = lab.run(bob, "receive", "--yes", env={"TALLOW_CODE": code}).ends(2)
    for process in (sender, receiver):
        assert "tulip" not in process.err.text


def test_a_custom_secret(lab: Lab) -> None:
    ann, bob = lab.pair()
    code = "4821-grüße aus der küche"
    sender = lab.send(ann, a_file(ann), env={"TALLOW_CODE": code})
    lab.receive(bob, code).ends(0)
    sender.ends(0)


def test_the_flag_beats_the_environment(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.send(
        ann, a_file(ann), "--code", AGREED, env={"TALLOW_CODE": f"4821-{OTHER_WORDS}"}
    )
    assert sender.code == AGREED
    lab.start(bob, "receive", AGREED, "--yes", env={"TALLOW_CODE": f"4821-{OTHER_WORDS}"}).ends(0)
    sender.ends(0)


# -- waiting -------------------------------------------------------------------------------------


def test_waiting_is_over(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.start(ann, "send", a_file(ann), "--json", "--wait", "1").ends(5)
    assert [event["event"] for event in sender.events] == ["code", "error"]
    receiver = lab.receive(bob, AGREED, "--wait", "1").ends(5)
    assert [(event["name"], event["exit"]) for event in receiver.events] == [("unreachable", 5)]


def test_waiting_at_a_relay_is_over(lab: Lab) -> None:
    ann, bob = lab.pair(apart=True)
    _, url = lab.relay()
    lab.start(ann, "send", a_file(ann), "--relay", url, "--wait", "1").ends(5)
    lab.receive(bob, AGREED, "--relay", url, "--wait", "1").ends(5)


def test_a_code_lives_as_long_as_it_is_told(lab: Lab) -> None:
    ann = lab.place()
    ann.configure("[send]\nlifetime = 1.0\n")
    lab.start(ann, "send", a_file(ann)).ends(5)


def test_waiting_beats_the_file(lab: Lab) -> None:
    bob = lab.place()
    bob.configure("[receive]\nwait = 3600.0\n")
    lab.receive(bob, AGREED, "--wait", "0.5").ends(5, 20)


# -- T-10: where the code is seen ----------------------------------------------------------------


def test_an_argument_draws_a_warning(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.send(ann, a_file(ann), "--code", AGREED)
    receiver = lab.start(bob, "receive", AGREED, "--yes").ends(0)
    sender.ends(0)
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    hidden = any(fields[1] == "/proc" and "hidepid" in fields[3] for fields in mounts)
    for process in (sender, receiver):
        assert process.err.text.count("other users of this machine can see a code") == (
            0 if hidden else 1
        )


def test_no_warning_for_the_environment(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.send(ann, a_file(ann), env={"TALLOW_CODE": AGREED})
    receiver = lab.receive(bob, AGREED).ends(0)
    sender.ends(0)
    assert "warning" not in sender.err.text + receiver.err.text


def test_children_do_not_get_the_code() -> None:
    """T-10: what a child of the program would inherit does not hold it."""
    look = (
        "import subprocess, sys; import tallow_core.cli.entry.main as m; sys.argv = ['',"
        " '--version'];"
        " m.main(); subprocess.run('env')"
    )
    environment = {
        "TALLOW_CODE": AGREED,
        "PATH": os.environ.get("PATH", os.defpath),
        "OTHER": "seen",
    }
    shown = subprocess.run(
        [sys.executable, "-c", look],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    # Its standard output is the program's standard error.
    printed = shown.stdout + shown.stderr
    assert "OTHER=seen" in printed
    assert "stamp" not in printed
    assert "TALLOW_CODE" not in printed


def test_the_demo_shows_the_code_to_nobody(lab: Lab) -> None:
    """T-10: the ends are children of the demo, and neither arguments nor environment of any process
    tell a code."""
    ann = lab.place()
    demo = lab.start(ann, "demo", "--json")
    seen: dict[str, tuple[bytes, bytes]] = {}
    deadline = time.monotonic() + 2 * PATIENCE
    while demo.process.poll() is None:
        assert time.monotonic() < deadline, demo.story()
        seen |= children(demo.process.pid)
        time.sleep(0.01)
    demo.ends(0)
    words = [arguments.split(b"\0") for arguments, _ in seen.values()]
    assert {"send", "receive"} <= {word.decode() for line in words for word in line}
    for arguments, environment in seen.values():
        assert b"TALLOW_CODE" not in environment
        assert b"--code" not in arguments.split(b"\0")
        for line in (word for word in arguments.split(b"\0") if b"/" not in word):
            assert line.startswith(b"--") or line.count(b"-") < 3, (
                "something that looks like a code"
            )


def children(process: int) -> dict[str, tuple[bytes, bytes]]:
    """Of each child that runs: its arguments and its environment."""
    found = {}
    for child in Path(f"/proc/{process}/task").glob("*/children"):
        for number in read(child).split():
            folder = Path("/proc", number.decode())
            arguments, environment = read(folder / "cmdline"), read(folder / "environ")
            if b"tallow_core" in arguments:
                found[number.decode()] = (arguments, environment)
    return found


def read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def test_the_words_are_written_nowhere(lab: Lab) -> None:
    """T-36: no file of either end, and nothing that the relay prints or keeps, holds a word of the
    code."""
    ann, bob = lab.pair(apart=True)
    keeper = lab.place()
    relay, url = lab.relay("-vvv", place=keeper)
    sender = lab.send(ann, a_file(ann), "--relay", url, "-vvv")
    wrong = lab.receive(
        bob, f"{sender.code.split('-')[0]}-{OTHER_WORDS}", "--relay", url, "-vvv"
    ).ends(4)
    kept = {path: path.read_bytes() for path in lab.folder.rglob("*") if path.is_file()}
    receiver = lab.receive(bob, sender.code, "--relay", url, "-vvv").ends(0)
    sender.ends(0)
    relay.signal(signal.SIGTERM)
    relay.ends(0)
    kept |= {path: path.read_bytes() for path in lab.folder.rglob("*") if path.is_file()}
    printed = [process.out.text + process.err.text for process in (wrong, receiver, relay)] + [
        sender.err.text
    ]
    for word in (*sender.code.split("-")[1:], *OTHER_WORDS.split("-")):
        assert not [path for path, content in kept.items() if word.encode() in content]
        assert not [text for text in printed if word in text]
    assert leftovers(bob.inbox) == ["file"]


def test_the_environment_of_the_process_is_wiped(lab: Lab) -> None:
    """T-10: other processes of the user see the environment that a process began with."""
    ann = lab.place()
    sender = lab.send(ann, a_file(ann), env={"TALLOW_CODE": AGREED})
    environment = Path(f"/proc/{sender.process.pid}/environ").read_bytes()
    assert b"XDG_RUNTIME_DIR=" in environment
    assert b"stamp" not in environment
