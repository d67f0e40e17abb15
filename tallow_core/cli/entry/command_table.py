"""The table of commands: it prints `tallow --help` and says what to import for each command.
Nothing else is imported by it."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One command: its words, what follows them in the help, one line, and `module:function`."""

    words: tuple[str, ...]
    usage: str
    summary: str
    target: str


_HERE = "tallow_core.cli.commands"

COMMANDS = (
    Row(
        ("send",),
        "PATH... | -",
        "print a code, and send files, folders, text or standard input",
        f"{_HERE}.send_command:send",
    ),
    Row(
        ("receive",),
        "[CODE]",
        "receive what was sent under a code",
        f"{_HERE}.receive_command:receive",
    ),
    Row(
        ("relay", "serve"),
        "--bind HOST:PORT",
        "run a relay, which sees sealed bytes only",
        f"{_HERE}.relay_command:serve",
    ),
    Row(
        ("policy", "show"),
        "",
        "show which drivers policy admits, in which order, and why",
        f"{_HERE}.policy_command:show_command",
    ),
    Row(
        ("policy", "explain"),
        "",
        "say which suite would be chosen against a peer, and why",
        f"{_HERE}.policy_command:explain_command",
    ),
    Row(
        ("bench",),
        "[--kind KIND]",
        "time the ciphers, KEMs, signatures, hashes and logins that may be used",
        f"{_HERE}.bench_command:bench",
    ),
    Row(
        ("plugins", "list"),
        "[--kind KIND]",
        "list the installed plugins, without importing them",
        f"{_HERE}.plugins_command:list_command",
    ),
    Row(
        ("plugins", "show"),
        "NAME",
        "show one plugin in full",
        f"{_HERE}.plugins_command:show_command",
    ),
    Row(
        ("plugins", "check"),
        "KIND:NAME... | --all",
        "hold plugins to the contract of their kind",
        f"{_HERE}.plugins_command:check_command",
    ),
    Row(
        ("plugins", "allow"),
        "DISTRIBUTION",
        "check the plugins of an installed distribution, and allow them",
        f"{_HERE}.plugins_command:allow_command",
    ),
    Row(
        ("plugins", "disallow"),
        "DISTRIBUTION",
        "allow the plugins of a distribution no more",
        f"{_HERE}.plugins_command:disallow_command",
    ),
    Row(
        ("plugins", "block"),
        "NAME",
        "block a plugin, or all of a distribution",
        f"{_HERE}.plugins_command:block_command",
    ),
    Row(
        ("plugins", "new"),
        "KIND NAME",
        "write the project of a plugin of yours",
        f"{_HERE}.plugins_command:new_command",
    ),
)

_HEAD = """\
Tallow hands a file to another person: end-to-end encrypted, with no account and no cloud.

Usage: tallow COMMAND [OPTIONS]

Commands:
"""

_TAIL = """\

Options of every command:
  --config FILE      read this config file
  --json             print events as JSON, one a line
  --quiet            print results and errors only
  -v, -vv, -vvv      print more and more details
  --help             show the options of a command

  tallow --version   print the version
"""


def help_text(plugin_commands: list[tuple[str, str]]) -> str:
    """The whole of `tallow --help`; `plugin_commands` are (name, summary)."""
    rows = [(" ".join((*row.words, row.usage)), row.summary) for row in COMMANDS] + plugin_commands
    width = max(len(left) for left, _ in rows)
    return _HEAD + "".join(f"  {left:<{width}}  {summary}\n" for left, summary in rows) + _TAIL
