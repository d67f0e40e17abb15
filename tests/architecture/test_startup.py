"""What the program imports before it knows what it is to do: nothing that is slow, and no
plugin."""

from __future__ import annotations

import pytest

from tests.kit.import_trace import TRACED, imported
from tests.kit.lab import Lab

DRIVERS = {"tallow_plugins", "cryptography", "blake3", "cpace", "opaque_snake", "zstandard"}
PARSER = {"cyclopts", "attr", "attrs", "rich", "docstring_parser"}
HEAVY = {*PARSER, "asyncio", "ssl", "stevedore", "pluggy", "msgspec", "platformdirs", *DRIVERS}
"""Each costs milliseconds; docs/decisions tell why they are dependencies nevertheless."""


def packages(lab: Lab, *words: str, status: int = 0) -> set[str]:
    """The top-level packages that `tallow WORDS` imports."""
    process = lab.run(lab.place(), *words, program=TRACED).ends(status)
    return {name.partition(".")[0] for name in imported(process)}


def test_version(lab: Lab) -> None:
    assert not packages(lab, "--version") & {*HEAVY, "email", "dataclasses", "tomllib", "json"}


def test_help(lab: Lab) -> None:
    """Entry-point metadata is read, for the commands of plugins; nothing is imported for it."""
    found = packages(lab, "--help")
    assert not found & HEAVY
    assert "tallow_core" in found


def test_a_mistyped_command(lab: Lab) -> None:
    found = packages(lab, "sned", "file", status=2)
    assert not found & (HEAVY - {"msgspec", "platformdirs"})


def test_plugins_list(lab: Lab) -> None:
    """Metadata alone: neither a driver nor what drivers stand on."""
    assert not packages(lab, "plugins", "list") & {*DRIVERS, *PARSER, "stevedore", "pluggy"}


@pytest.mark.parametrize("command", ["send", "receive"])
def test_help_of_a_command(lab: Lab, command: str) -> None:
    assert not packages(lab, command, "--help") & DRIVERS


def test_a_small_transfer_imports_what_it_needs(lab: Lab) -> None:
    """cyclopts is for mistakes and help, rich for terminals, the demo's driver for the demo, and
    what compresses for what is large."""
    ann, bob = lab.pair()
    (ann.work / "file").write_text("much the same, " * 6000)
    sender = lab.send(ann, "file", program=TRACED)
    receiver = lab.receive(bob, sender.code, program=TRACED).ends(0)
    sender.ends(0)
    for process in (sender, receiver):
        modules = imported(process)
        assert not {name.partition(".")[0] for name in modules} & PARSER
        assert "tallow_plugins.commands.demo" not in modules
        assert "zstandard" not in modules
        assert "opaque_snake" not in modules  # logins are no part of a transfer
    assert "ctypes" not in imported(sender)  # it renames nothing
    assert not imported(sender) & {
        "tallow_core.transfer.receive",
        "tallow_core.files.output.output_tree",
    }
    assert not imported(receiver) & {
        "tallow_core.transfer.send",
        "tallow_core.rendezvous.host",
        "tallow_core.files.source.source_tree",
    }
