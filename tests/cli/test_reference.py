"""The reference pages say what the program does: options, exit statuses, config keys and events are
compared with it."""

from __future__ import annotations

import os
import pkgutil
import re
import tomllib
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tallow_core
import tallow_plugins.commands
from tallow_core.cli.args.command_line import CommandLine
from tallow_core.cli.args.cyclopts_parser import application
from tallow_core.cli.entry.command_table import COMMANDS
from tallow_core.config.schema import Settings
from tallow_core.errors import EXIT_BUG, EXIT_DONE, EXIT_INTERRUPTED, TallowError
from tests.kit.commands import function_of
from tests.kit.events import REFERENCE, TYPES, documented
from tests.kit.lab import MEGABYTE, Lab, Tallow


def page() -> str:
    return (REFERENCE / "cli.md").read_text("utf-8")


def section(heading: str) -> str:
    """The text below a heading, up to the next heading of any level."""
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", page(), re.MULTILINE | re.DOTALL
    )
    assert found, f"cli.md has no section {heading}"
    return found[1]


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("| ")]
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in lines
        if not line.startswith("| ---")
    ][1:]


def documented_options(heading: str) -> set[str]:
    return {option for row in rows(heading) for option in re.findall(r"`(-[\w-]+)`", row[0])}


def options(function: Any) -> set[str]:
    """The options of a command, read from its signature as the program does."""
    app = application(CommandLine("tallow", "", function, [], own=True))
    names = {
        name
        for argument in app.assemble_argument_collection()
        for name in argument.names
        if name.startswith("-")
    }
    return names | {"--help", "-h"}


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: " ".join(row.words))
def test_options(row: Any) -> None:
    name = " ".join(row.words)
    shared = documented_options("send and receive") if name in ("send", "receive") else set()
    assert options(function_of(row.target)) == documented_options(
        "Every command"
    ) | shared | documented_options(name)


def test_the_demo_has_no_options_of_its_own() -> None:
    assert options(function_of("tallow_plugins.commands.demo:demo")) == documented_options(
        "Every command"
    )


def test_commands() -> None:
    head = page().partition("## ")[0]
    assert all(f"tallow {' '.join(row.words)}" in head for row in COMMANDS)


def modules_of(*packages: ModuleType) -> list[ModuleType]:
    """The packages and all modules below them, imported, without what only pytest imports."""
    names = [
        found.name
        for package in packages
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    return [import_module(name) for name in names if not name.endswith("__main__")]


def every_error(root: type[TallowError] = TallowError) -> set[type[TallowError]]:
    """All that reaches a user: what a driver tells its caller by contract (tallow_core.spi) does
    not."""
    return {root}.union(
        *(every_error(child) for child in root.__subclasses__() if _is_shown(child.__module__))
    )


def _is_shown(module: str) -> bool:
    return module.startswith("tallow_core.") and not module.startswith("tallow_core.spi.")


def test_exit_statuses() -> None:
    """Each status with exactly the names of the errors that end with it."""
    modules_of(tallow_core)  # every error that there is
    listed = {int(row[0]): set(re.findall(r"`([\w-]+)`", row[1])) for row in rows("Exit status")}
    raised: dict[int, set[str]] = {
        EXIT_DONE: set(),
        EXIT_INTERRUPTED: {"interrupted"},
        EXIT_BUG: {"bug"},
    }
    for error in every_error():
        raised.setdefault(error.exit_status, set()).add(error.code)
    assert listed == raised


def test_config_keys() -> None:
    """Each key with its default."""
    listed = {
        (row[0].strip("`"), row[1].strip("`")): tomllib.loads(f"value = {row[2].strip('`')}")[
            "value"
        ]
        for row in rows("Config file")
    }
    settings = Settings()
    held = ("directories", "chosen", "driver_options", "file", "origins", "option")
    sections = {
        each.name: getattr(settings, each.name)._asdict()
        for each in fields(Settings)
        if each.name not in held
    }
    defaults = {
        (name, key): list(value) if isinstance(value, tuple) else value
        for name, keys in sections.items()
        for key, value in keys.items()
    }
    assert listed == defaults
    assert {key: type(value) for key, value in listed.items()} == {
        key: type(value) for key, value in defaults.items()
    }


def test_types_of_events_are_known() -> None:
    assert {kind for each in documented().values() for kind, _ in each.values()} <= TYPES.keys()


def interrupted(lab: Lab) -> list[Tallow]:
    """A transfer whose receiver is killed, and another that goes on under the same code."""
    ann, bob = lab.pair()
    (ann.work / "large").write_bytes(os.urandom(16 * MEGABYTE))  # zeros would be gone in no time
    sender = lab.send(ann, "large", "--throttle", "20MB")
    receiver = lab.receive(bob, sender.code)
    receiver.event("progress", lambda event: event["bytes"] > 5 * MEGABYTE)
    receiver.kill()
    sender.event("reconnect")
    lab.receive(bob, sender.code).ends(0)
    return [sender.ends(0)]


def test_every_event_of_the_page_is_seen(lab: Lab) -> None:
    """The page lists what the program prints and nothing more; that it lists all of it is checked
    in every test with processes."""
    ann, bob = lab.pair()
    _, url = lab.relay()
    (ann.work / "file").write_bytes(bytes(MEGABYTE))
    processes = [
        lab.start(lab.place(), "relay", "serve", "--bind", "127.0.0.1:0", "--json"),
        lab.run(ann, "plugins", "list", "--json"),
        lab.run(ann, "plugins", "show", "--json", "tls"),
        lab.run(ann, "bench", "--json", "--kind", "hash", "--seconds", "0.001"),
        lab.run(ann, "plugins", "show", "--json", "nothing"),
        lab.run(ann, "plugins", "check", "--json", "hash:blake3"),
        lab.run(ann, "plugins", "new", "--json", "hash", "mine"),
        lab.run(ann, "send", "--dry-run", "--json", "--exclude", "file", ".", "file"),
        lab.run(ann, "policy", "show", "--json"),
        lab.run(ann, "policy", "explain", "--json"),
        lab.run(ann, "demo", "--json", ann.work / "file"),
    ]
    processes[0].event("relay")
    for words in (["file"], ["--text", "hello"]):
        sender = lab.send(ann, *words, "--relay", url)
        processes += [sender, lab.receive(bob, sender.code).ends(0)]
        sender.ends(0)
    ann.configure('[policy]\nprofile = "paranoid"\n')
    sender = lab.send(ann, "file", "--relay", url, stdin="pipe")
    receiver = lab.receive(bob, sender.code, "--relay", url)
    sender.feed(f"{receiver.event('safety')['say']}\n")
    processes += [sender.ends(0), receiver.ends(0)]
    processes += interrupted(lab)
    seen = {event["event"] for process in processes for event in process.events}
    # `path` is seen between hosts (tests/e2e/test_racing.py); here it depends on whether this
    # machine has an address but loopback.
    assert seen | {"path"} == documented().keys()


def test_no_event_is_made_but_not_documented() -> None:
    """Those that a test would have to provoke: every name that the code reports is on the page."""
    modules = modules_of(tallow_core, tallow_plugins.commands)
    sources = [Path(module.__file__ or "").read_text("utf-8") for module in modules]
    names = {name for source in sources for name in re.findall(r"\.event\(\s*\"(\w+)\"", source)}
    assert "code" in names
    assert names <= documented().keys()
