"""The names of options and commands stand in `cli`; lower rooms carry facts and next steps."""

from __future__ import annotations

import ast
import re

from tests.kit.source_code import area, sources

WORDS = re.compile(r"(?:^|[ `(])--(?:[a-z]|$)|tallow (?:send|receive|relay|plugins|policy)\b")
PLACES = {"cli", "testing"}
EXCEPTIONS = {
    "tallow_core.registry.catalog": ["tallow plugins allow "],
}
"""Module -> its texts. The catalogue's reason why a driver is left out names the command that
allows it: the reason is data of the events `plugin` and `policy`, and part of many errors."""


def texts(source: str) -> list[str]:
    """The strings of a source that name an option or a command, documentation left out."""
    tree = ast.parse(source)
    unused = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and id(node) not in unused
        and isinstance(node.value, str)
        and WORDS.search(node.value)
    ]


def test_options_and_commands_are_named_in_cli() -> None:
    found = {
        module: named
        for module, source in sources("tallow_core").items()
        if area(module) not in PLACES and (named := texts(source))
    }
    assert found == EXCEPTIONS


def test_the_rule_itself() -> None:
    source = (
        '"""as `--set` takes it"""\na = "use --stdout"\nb = f"--{a}"\nc = f"--set {a}"\n'
        'd = "run `tallow relay serve`"\ne = b"tallow send"\nf = "a -- b"\ng = "tallow sent"'
    )
    assert sorted(texts(source)) == ["--", "--set ", "run `tallow relay serve`", "use --stdout"]
