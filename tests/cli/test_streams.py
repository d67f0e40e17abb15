"""Standard streams that are closed, full, or cannot show what arrives; and what a stream that was
cut short ends with."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.kit.lab import PROGRAM, Lab

SHELL = ["/bin/sh", "-c"]


def test_a_file_that_shrinks_is_no_success_on_standard_output(lab: Lab) -> None:
    """Completeness of `--stdout` is known by the exit status."""
    ann, bob = lab.pair()
    file = ann.work / "file"
    file.write_bytes(bytes(6_000_000))
    sender = lab.send(ann, "file")
    receiver = lab.start(bob, "receive", "--stdout", env={"TALLOW_CODE": sender.code}, stdin="pipe")
    receiver.says("[y/N] ")
    os.truncate(file, 3_000_000)
    receiver.feed("y\n")
    receiver.ends(8)
    sender.ends(9)
    assert "Done" not in receiver.err.text


def test_a_text_that_the_terminal_cannot_show_is_escaped(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.send(ann, "--text", "grüße")
    receiver = lab.start(
        bob, "receive", env={"TALLOW_CODE": sender.code, "PYTHONIOENCODING": "ascii"}
    )
    receiver.ends(0)
    sender.ends(0)
    assert receiver.out.text == "gr\\xfc\\xdfe\n"


def test_messages_never_get_into_the_data(lab: Lab) -> None:
    """Standard error is closed: what belongs there is lost, not written to the next best
    descriptor."""
    ann, bob = lab.pair()
    (ann.work / "file").write_text("content")
    sender = lab.send(ann, "file")
    program = [*SHELL, 'exec "$@" >out 2>&-', "sh", *PROGRAM]
    receiver = lab.start(
        bob, "receive", "--yes", "--stdout", env={"TALLOW_CODE": sender.code}, program=program
    )
    receiver.ends(0)
    sender.ends(0)
    assert (bob.work / "out").read_text() == "content"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "words",
    [["--version"], ["--help"], ["plugins", "list"], ["send", "--json", "file"], ["send", "file"]],
)
def test_a_full_disk_under_standard_output(lab: Lab, words: list[str]) -> None:
    place = lab.place()
    (place.work / "file").touch()
    process = lab.start(place, *words, program=[*SHELL, 'exec "$@" >/dev/full', "sh", *PROGRAM])
    process.ends(9)
    assert process.err.text.count("\n") == 1
    assert "standard output cannot be written" in process.err.text


def test_times_beyond_64_bits_are_sent_as_the_nearest(lab: Lab) -> None:
    ann, bob = lab.pair()
    file = ann.work / "file"
    file.touch()
    os.utime(file, (0, 13_569_465_600))  # the year 2400
    sender = lab.send(ann, "file")
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert (bob.inbox / "file").stat().st_mtime > 9_000_000_000


def test_a_code_may_be_typed_as_words(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "file").touch()
    sender = lab.send(ann, "file")
    lab.start(bob, "receive", "--yes", "--output", str(bob.inbox), *sender.code.split("-")).ends(0)
    sender.ends(0)


def test_surplus_words_are_not_repeated(lab: Lab) -> None:
    process = lab.start(lab.place(), "plugins", "show", "tcp", "stamp")
    process.ends(2)
    assert "stamp" not in process.err.text


PRINTING = """
import os, sys
import tallow_core.config.policy as policy
judge = policy.Policy.judge
def noisy(self, *words):
    print("from print")
    os.write(1, b"from write\\n")
    os.system("echo from a child")
    return judge(self, *words)
policy.Policy.judge = noisy
from tallow_core.cli.entry.main import main
sys.exit(main())
"""


@pytest.mark.parametrize("words", [["--json"], ["--stdout"]])
def test_what_code_of_others_prints_is_no_data(lab: Lab, words: list[str]) -> None:
    """Neither print nor a write to descriptor 1 gets between the events or into the file."""
    ann, bob = lab.pair()
    (ann.work / "file").write_text("content")
    sender = lab.send(ann, "file")
    receiver = lab.start(
        bob,
        "receive",
        "--yes",
        *words,
        env={"TALLOW_CODE": sender.code},
        program=[sys.executable, "-P", "-c", PRINTING],
    )
    receiver.ends(0)
    sender.ends(0)
    for text in ("from print", "from write", "from a child"):
        assert text in receiver.err.text
        assert text not in receiver.out.text
    if "--stdout" in words:
        assert receiver.out.text == "content"
