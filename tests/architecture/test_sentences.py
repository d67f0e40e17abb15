"""What errors say is in one style: a sentence that starts in lower case, unless with a name, and
has no full stop at its end."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache

import pytest

from tallow_core.errors import UsageError
from tests.kit.checkout import ROOT
from tests.kit.source_code import sources

NAMES = ("Argon2id", "CPace", "OPAQUE", "TLS")
"""Proper names that a sentence may start with."""
_START = re.compile(rf"[^A-Z]|(?:{'|'.join(NAMES)})\b")
_STOP = re.compile(r"(?<!\.\.)\.\s*\Z")
_TEMPLATE_WORD = re.compile(r"\$(\w+)")


@cache
def texts() -> Mapping[str, str]:
    """Name -> source, of all that ships, and of the templates of `tallow plugins new`."""
    found = {**sources("tallow_core"), **sources("tallow_plugins")}
    for file in sorted((ROOT / "contrib").glob("*/src/**/*.py")):
        found[str(file.relative_to(ROOT))] = file.read_text("utf-8")
    for file in sorted((ROOT / "tallow_core" / "cli" / "scaffold").glob("*.py.tmpl")):
        found[file.name] = _TEMPLATE_WORD.sub(r"\1", file.read_text("utf-8"))
    return found


def error_classes(modules: Mapping[str, str]) -> frozenset[str]:
    """The names of `TallowError` and of all classes below it."""
    bases = {
        node.name: {_name(base) for base in node.bases}
        for source in modules.values()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef)
    }
    found, more = frozenset[str](), frozenset({"TallowError"})
    while more > found:
        found = more
        more = found | {name for name, above in bases.items() if above & found}
    return found


def sentences(source: str, errors: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Line and text of what the constructors of errors are given, constants of the module
    included; what is filled in is shown as `{}`."""
    tree = ast.parse(source)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _name(node.func) in errors:
            said = node.args[0]
            if isinstance(said, ast.Name):
                said = constants.get(said.id, said)
            yield from ((node.lineno, text) for text in _texts(said))


def _name(node: ast.AST) -> str:
    """The last part of a dotted name."""
    return ast.unparse(node).rpartition(".")[2]


def _texts(node: ast.expr) -> tuple[str, ...]:
    if isinstance(node, ast.IfExp):
        return (*_texts(node.body), *_texts(node.orelse))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return tuple(a + b for a in _texts(node.left) for b in _texts(node.right))
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        return ("".join(map(str, parts)),)
    if isinstance(node, ast.Constant):
        return (str(node.value),)
    return ("{}",)


def test_errors_say_one_sentence_in_one_style() -> None:
    errors = error_classes(texts())
    assert UsageError.__name__ in errors
    found = [
        (f"{module}:{line}", text)
        for module, source in texts().items()
        for line, text in sentences(source, errors)
    ]
    assert len(found) > 300
    assert [each for each in found if not _START.match(each[1]) or _STOP.search(each[1])] == []


@pytest.mark.parametrize(
    ("source", "right"),
    [
        ("E('the disk is full: make room')", True),
        ("E(f'{name} is no cipher')", True),
        ("E('`--to` is missing')", True),
        ("E('OPAQUE needs a library')", True),
        ("E('waiting ...')", True),
        ("E(str(error))", True),
        ("E('The disk is full')", False),
        ("E(f'This {name} is no cipher')", False),
        ("E('OPAQUES are no stones')", False),
        ("E('the disk is full.')", False),
        ("E(f'the {name} is full.')", False),
        ("m.E('the disk' + ' is full.')", False),
        ("E('it is so' if so else 'it is not so.')", False),
        ("_FULL = 'Full'\nE(_FULL)", False),
    ],
)
def test_it_sees_what_is_wrong(source: str, right: bool) -> None:
    ((_, text),) = list(sentences(source, frozenset({"E"})))[-1:]
    assert (bool(_START.match(text)) and not _STOP.search(text)) == right
