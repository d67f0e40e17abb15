"""Two readers, one meaning: what the quick reader of command lines takes, cyclopts takes too and
reads alike; the rest it leaves alone."""

from __future__ import annotations

from functools import cache
from inspect import signature
from typing import Any

import pytest
from cyclopts import App, CycloptsError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallow_core.cli.args.command_line import CommandLine
from tallow_core.cli.args.cyclopts_parser import application, check_options
from tallow_core.cli.args.plain_parser import read
from tallow_core.cli.entry.command_table import COMMANDS, Row
from tallow_core.errors import UsageError
from tests.kit.commands import function_of

ROWS = {" ".join(row.words): row for row in COMMANDS}


@cache
def app_of(row: Row) -> App:
    return application(CommandLine("tallow", "", function_of(row.target), [], own=True))


def quick(row: Row, words: list[str]) -> dict[str, Any] | None:
    """The arguments as the quick reader has them, by parameter."""
    function = function_of(row.target)
    call = read(function, words)
    if call is None:
        return None
    assert call.func is function
    bound = signature(function).bind(*call.args, **call.keywords)
    bound.apply_defaults()
    return bound.arguments


def thorough(row: Row, words: list[str]) -> dict[str, Any] | None:
    """The arguments as cyclopts has them; None where it prints help or says what is wrong."""
    function, app = function_of(row.target), app_of(row)
    if {"--help", "-h"} & {*words}:
        return None
    try:
        check_options(app, words)
        command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    except (UsageError, CycloptsError):
        return None
    assert command is function
    bound.apply_defaults()
    return dict(bound.arguments)


def options_of(row: Row) -> list[str]:
    names = {
        name
        for argument in app_of(row).assemble_argument_collection()
        for name in argument.names
        if name.startswith("-")
    }
    return sorted(names)


VALUES = (
    "x",
    "a b",
    "",
    "3",
    "007",
    "2.5",
    ".5",
    "1e3",
    "-1",
    "+1",
    "٣",
    "9" * 30,
    "none",
    "ask",
    "nist",
    "NIST",
    "a=b",
    "{}",
    "[1]",
    "\udc80",
)
ODD = (
    "-",
    "--",
    "-v",
    "-vv",
    "-vvv",
    "-vx",
    "-yv",
    "-ox",
    "---",
    "-=",
    "--=",
    "--help",
    "-h",
    "--no-json",
    "--jso",
    "--empty-relay",
    "--PATH",
    "--v",
)


@st.composite
def lines(draw: st.DrawFn) -> tuple[Row, list[str]]:
    """Words of all sorts for one of our commands, many of them nearly right."""
    row = draw(st.sampled_from(COMMANDS))
    option, value = st.sampled_from(options_of(row)), st.sampled_from(VALUES)
    pieces = st.one_of(
        st.tuples(value),
        st.tuples(option),
        st.tuples(option, value),
        st.builds(lambda name, text: (f"{name}={text}",), option, value),
        st.tuples(st.sampled_from(ODD)),
        st.tuples(st.text(max_size=4)),
    )
    return row, [word for piece in draw(st.lists(pieces, max_size=4)) for word in piece]


@settings(max_examples=300, deadline=None)
@given(lines())
@example((ROWS["send"], ["--words", "3", "--words", "4", "x"]))
@example((ROWS["send"], ["--listen", "a", "--listen=b", "--", "--json", "--"]))
@example((ROWS["send"], ["--text", "-"]))
@example((ROWS["send"], ["--wait", "nan", "x"]))
@example((ROWS["receive"], ["-"]))
@example((ROWS["receive"], ["-yy"]))
@example((ROWS["receive"], ["-o=x"]))
@example((ROWS["plugins show"], ["x", "y"]))
def test_both_readers_agree(line: tuple[Row, list[str]]) -> None:
    row, words = line
    ours = quick(row, words)
    if ours is not None:
        assert ours == thorough(row, words)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("send", ["file"]),
        ("send", ["-"]),
        ("send", ["one", "--words=4", "--json", "two", "-vv", "--verbose"]),
        ("send", ["--text", "hello there"]),
        (
            "send",
            [
                "--relay",
                "tls://a:1",
                "--relay=tls://b:2",
                "--no-relay",
                "--wait",
                "1.5",
                "--profile",
                "fast",
                "x",
                "--",
                "-y",
                "--",
            ],
        ),
        ("receive", []),
        (
            "receive",
            [
                "1",
                "a",
                "b",
                "-y",
                "-o",
                "here",
                "--overwrite",
                "never",
                "--only=*.txt",
                "--only",
                "b",
            ],
        ),
        ("relay serve", ["--bind", "127.0.0.1:0", "--json", "--quiet", "--config", "c"]),
        ("policy show", ["--over", "tls", "--relayed"]),
        ("policy explain", ["--against", "nist"]),
        ("bench", ["--kind", "hash", "--seconds", "0.5"]),
        ("plugins list", []),
        ("plugins show", ["x", "--kind", "kem"]),
        ("plugins check", ["a:b", "c:d", "--all"]),
        ("plugins allow", ["x"]),
        ("plugins new", ["hash", "x", "--path", "p"]),
    ],
)
def test_plain_words_need_no_cyclopts(command: str, words: list[str]) -> None:
    """The quick reader would agree with everybody if it understood nothing."""
    ours = quick(ROWS[command], words)
    assert ours is not None
    assert ours == thorough(ROWS[command], words)


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: " ".join(row.words))
def test_every_option_is_understood(row: Row) -> None:
    """Of every command, with the value that its type asks for."""
    needed = ["x"] * sum(
        each.kind is each.POSITIONAL_ONLY
        for each in signature(function_of(row.target)).parameters.values()
    )
    for name in options_of(row):
        read_with = [
            quick(row, [*needed, name, *value]) for value in ([], ["3"], ["nist"], ["never"])
        ]
        assert any(each is not None for each in read_with), name


def test_other_signatures_are_for_cyclopts() -> None:
    """The quick reader takes no forms but those that it knows, also where the words would fit."""

    def by_position_or_name(first: str) -> None: ...
    def numbers(*first: int) -> None: ...
    def one_of_two(first: str, /, *, flag: int | str = 0) -> None: ...
    def some_numbers(first: str, /, *, flag: tuple[int, ...] = ()) -> None: ...

    assert read(by_position_or_name, ["1"]) is None
    assert read(numbers, ["1"]) is None
    assert read(one_of_two, ["1", "--flag", "1"]) is None
    assert read(some_numbers, ["1", "--flag", "1"]) is None
