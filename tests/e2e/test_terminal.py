"""What a person at a terminal sees, on a pseudo-terminal: questions, lists, the progress bar, and
Ctrl-C."""

from __future__ import annotations

import re

import pytest

from tests.kit.lab import MEGABYTE, PATIENCE, Lab, Place, Tallow, leftovers

COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-9]|4[0-9]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")
CTRL_C = b"\x03"
CTRL_D = b"\x04"
BAR = "━"


def a_file(place: Place, name: str = "file", content: str = "content") -> str:
    (place.work / name).write_text(content)
    return name


def receiver_on_a_terminal(lab: Lab, bob: Place, code: str, *words: str) -> Tallow:
    """`tallow receive`, with its code typed in."""
    receiver = lab.start(bob, "receive", "--output", bob.inbox, *words, terminal=True)
    receiver.says("Code: ")
    receiver.feed(f"{code}\n")
    return receiver


def test_the_code_is_asked_for_and_the_list_shown(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "album" / "inner").mkdir(parents=True)
    (ann.work / "album" / "inner" / "photo.jpg").write_bytes(bytes(2500))
    sender = lab.send(ann, "album", a_file(ann))
    receiver = receiver_on_a_terminal(lab, bob, sender.code)
    shown = receiver.says("Receive 2 files, 2.5 kB? [y/N/s to choose] ")
    lines = shown.replace("\r", "").split("\n")
    for line in (
        "  album/",
        "  album/inner/",
        "  album/inner/photo.jpg  2.5 kB",
        "  file  7 bytes",
    ):
        assert line in lines
    assert not bob.inbox.exists(), "something was written before anybody agreed"
    receiver.feed("y\n")
    receiver.ends(0)
    sender.ends(0)
    assert "Done: 2 files, 2.5 kB in " in receiver.out.text
    assert (bob.inbox / "file").read_text() == "content"


@pytest.mark.parametrize("answers", [["n"], [""], ["nonsense", "no"]])
def test_no(lab: Lab, answers: list[str]) -> None:
    ann, bob = lab.pair()
    sender = lab.send(ann, a_file(ann))
    receiver = receiver_on_a_terminal(lab, bob, sender.code)
    for answer in answers:
        receiver.says("[y/N] ")
        receiver.feed(f"{answer}\n")
    receiver.ends(6)
    sender.ends(6)
    assert not bob.inbox.exists()


def test_a_long_list_is_summarised_and_can_be_read(lab: Lab) -> None:
    """T-09: by top-level name at first; all of it on request."""
    ann, bob = lab.pair()
    (ann.work / "album").mkdir()
    for number in range(90):
        (ann.work / "album" / f"{number:03}").write_bytes(bytes(100))
    sender = lab.send(ann, "album", a_file(ann))
    receiver = receiver_on_a_terminal(lab, bob, sender.code)
    shown = receiver.says("Receive 91 files, 9.0 kB? [y/N/s to choose/l to list all] ")
    assert "album/  90 files  9.0 kB" in shown
    assert "album/042" not in shown
    receiver.feed("l\n")
    receiver.says("-- Enter for more, q to stop listing -- ")
    receiver.feed("\n\n")
    listed = receiver.says("album/089")
    assert all(f"album/{number:03}" in listed for number in range(90))
    receiver.feed("y\n")
    receiver.ends(0)
    sender.ends(0)


@pytest.mark.parametrize(
    ("answer", "status", "names", "kept"),
    [
        ("", 0, ["file", "file (1)"], "mine"),
        ("r", 0, ["file", "file (1)"], "mine"),
        ("o", 0, ["file"], "theirs"),
        ("k", 0, ["file"], "mine"),
        ("q", 6, ["file"], "mine"),
    ],
)
def test_what_is_here_already(
    lab: Lab, answer: str, status: int, names: list[str], kept: str
) -> None:
    ann, bob = lab.pair()
    bob.inbox.mkdir()
    (bob.inbox / "file").write_text("mine")
    sender = lab.send(ann, a_file(ann, content="theirs"))
    receiver = receiver_on_a_terminal(lab, bob, sender.code)
    receiver.says("[y/N] ")
    receiver.feed("y\n")
    receiver.says(
        "Here already: file. [R]ename what comes, [o]verwrite, [k]eep what is here, or [q]uit? "
    )
    receiver.feed(f"{answer}\n")
    receiver.ends(status)
    sender.ends(status)
    assert leftovers(bob.inbox) == names
    assert (bob.inbox / "file").read_text() == kept


def test_names_on_a_terminal_are_escaped(lab: Lab) -> None:
    """T-04: what has no glyph of its own shows as an escape, wherever the name is printed."""
    ann, bob = lab.pair()
    (ann.work / "f").mkdir()
    (ann.work / "f" / "a\u00adb.txt").touch()
    (ann.work / "f" / "other").touch()
    sender = lab.start(ann, "send", "f", "-vv", terminal=True)
    said = sender.says("Waiting ...")
    assert "On this machine, run:  tallow receive" in said
    code = re.search(r"Code: (\S+)\r\n", said)
    assert code is not None
    receiver = receiver_on_a_terminal(lab, bob, code[1], "-vv")
    receiver.says("[y/N/s to choose] ")
    receiver.feed("y\n")
    receiver.ends(0)
    sender.wait()
    text = sender.out.text + receiver.out.text
    assert "f/a\\xadb.txt" in text
    assert "\u00ad" not in text


def test_the_code_on_a_terminal(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.start(ann, "send", a_file(ann), terminal=True)
    shown = sender.says("Waiting ...")
    found = re.search(r"Code: (\S+)\r\n", shown)
    assert found is not None
    lab.receive(bob, found[1]).ends(0)
    sender.ends(0)
    assert "Connected on this machine." in sender.out.text
    assert "Done: 1 file, 7 bytes in " in sender.out.text


def test_quiet(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.start(ann, "send", a_file(ann), "--quiet", terminal=True)
    code = sender.prints().strip()
    lab.start(bob, "receive", "--yes", "--quiet", env={"TALLOW_CODE": code}, terminal=True).ends(0)
    sender.ends(0)
    assert sender.out.text == f"{code}\r\n"


def slow_transfer(lab: Lab, **environment: str) -> tuple[Tallow, Tallow]:
    """A receiver on a terminal and one that is not, each midway in a transfer of its own, whose
    sender the test feeds."""
    ann, bob = lab.pair()
    senders = [lab.send(ann, "-", stdin="pipe") for _ in range(2)]
    receivers = []
    for sender, terminal in zip(senders, (False, True), strict=True):
        words = ["receive", "--yes", "-o", str(bob.inbox)]
        receivers.append(
            lab.start(
                bob, *words, env={"TALLOW_CODE": sender.code, **environment}, terminal=terminal
            )
        )
        receivers[-1].says("Connected on this machine.")
        sender.feed(bytes(MEGABYTE))
    plain, fancy = receivers
    fancy.says(BAR)  # so the plain one, which is ahead, has had the time for a bar too
    for sender in senders:
        sender.end_of_input()
    for process in (*receivers, *senders):
        process.ends(0)
    return fancy, plain


def test_a_bar_on_a_terminal_only(lab: Lab) -> None:
    fancy, plain = slow_transfer(lab)
    assert BAR in fancy.out.text
    assert re.search(r"[kM]B/s", fancy.out.text)
    assert COLOUR.search(fancy.out.text)
    assert fancy.out.text.endswith("verified.\r\n")
    assert "\x1b" not in plain.out.text + plain.err.text
    assert "\r" not in plain.err.text
    assert plain.err.text.endswith("verified.\n")


def test_no_colour(lab: Lab) -> None:
    """https://no-color.org: the bar stays, its colours go."""
    fancy, _ = slow_transfer(lab, NO_COLOR="1")
    assert BAR in fancy.out.text
    assert not COLOUR.search(fancy.out.text)


def test_ctrl_c_at_the_question(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.send(ann, a_file(ann))
    receiver = receiver_on_a_terminal(lab, bob, sender.code)
    receiver.says("[y/N] ")
    receiver.feed(CTRL_C)
    receiver.ends(130)
    sender.says("left before it accepted anything")
    assert sender.process.poll() is None
    assert not bob.inbox.exists()


def test_ctrl_c_at_the_code(lab: Lab) -> None:
    receiver = lab.start(lab.place(), "receive", terminal=True)
    receiver.says("Code: ")
    receiver.feed(CTRL_C)
    receiver.ends(130)


def test_ctrl_d_at_the_code(lab: Lab) -> None:
    receiver = lab.start(lab.place(), "receive", terminal=True)
    receiver.says("Code: ")
    receiver.feed(CTRL_D)
    receiver.ends(2)
    assert "no code was given" in receiver.out.text


def test_ctrl_c_under_the_bar(lab: Lab) -> None:
    """The bar goes, the cursor comes back, and nothing half done stays."""
    ann, bob = lab.pair()
    sender = lab.send(ann, "-", stdin="pipe")
    receiver = lab.start(
        bob, "receive", "--yes", "-o", bob.inbox, env={"TALLOW_CODE": sender.code}, terminal=True
    )
    sender.feed(bytes(MEGABYTE))
    receiver.says(BAR)
    receiver.feed(CTRL_C)
    receiver.ends(130)
    sender.ends(7)
    assert receiver.out.text.count("\x1b[?25h") >= receiver.out.text.count("\x1b[?25l") > 0
    assert receiver.out.text.endswith("error: interrupted\r\n")
    assert leftovers(bob.inbox) == []


def number_on(end: Tallow) -> str:
    """The number that a person is told to read out, once the whole line is there."""
    said = re.compile(r"Read this number to the other side: ([0-9]{5} [0-9]{5} [0-9]{5})\r\n")
    found = end.out.until(lambda seen: said.search(seen.text), PATIENCE)
    assert found is not None, end.story()
    return found[1]


def test_the_safety_number_on_two_terminals(lab: Lab) -> None:
    """Each person reads one number and types the other: first the sender, then the receiver, who is
    asked about the files after that."""
    ann, bob = lab.pair(apart=True)
    _, url = lab.relay()
    for place in (ann, bob):
        place.configure('[policy]\nprofile = "paranoid"\n')
    sender = lab.start(ann, "send", a_file(ann), "--relay", url, "--quiet", terminal=True)
    receiver = receiver_on_a_terminal(lab, bob, sender.prints().strip(), "--relay", url, "--quiet")
    sender.says("Type the number that the other side reads to you: ")
    receiver.says("Read this number to the other side: ")
    for_bob, for_ann = number_on(sender), number_on(receiver)
    assert "reads to you" not in receiver.out.text
    sender.feed("1\n")
    sender.says("reads to you: 1\r\nType the number that the other side reads to you: ")
    sender.feed(f"{for_ann}\n")
    receiver.says("Type the number that the other side reads to you: ")
    receiver.feed(f"{for_bob}\n")
    receiver.says("[y/N] ")
    receiver.feed("y\n")
    receiver.ends(0)
    sender.ends(0)
    assert (bob.inbox / "file").read_text() == "content"
