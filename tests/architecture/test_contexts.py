"""Domain separation: every context string and label is in one place, no two are equal, and the
specification lists them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tallow_core.protocol.handshake import key_schedule as schedule
from tests.kit.source_code import sources

PREFIX = "tallow/1"
PLACE = "tallow_core.protocol.handshake.key_schedule"
MADE_BY_DRIVERS = {
    "tallow_plugins.kems._combine": ["tallow/1 kem "],
    "tallow_plugins.signatures.ed25519_ml_dsa_87": ["tallow/1 signature "],
}
"""These end with the name of a driver, which the core does not know; the driver puts both
together."""

SPECIFICATION = Path(__file__).parents[2] / "docs" / "protocol" / "handshake.md"


def literals(source: str) -> list[str]:
    """The strings of a source that begin as a context does; documentation is not used by
    anything."""
    tree = ast.parse(source)
    unused = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (
        node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in unused
    )
    texts = (
        node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
        for node in constants
    )
    return [text for text in texts if isinstance(text, str) and text.startswith(PREFIX)]


def listed() -> set[str]:
    """Every context and label of the one place."""
    found: set[str] = set()
    for name, value in vars(schedule).items():
        if name.isupper() and not name.startswith("_"):
            values = value.values() if isinstance(value, dict) else (value,)
            found |= {each.decode() if isinstance(each, bytes) else each for each in values}
    return found


@pytest.mark.parametrize("package", ["tallow_core", "tallow_plugins"])
def test_contexts_are_written_in_one_place(package: str) -> None:
    written = {
        module: found
        for module, source in sources(package).items()
        if module != PLACE and (found := literals(source))
    }
    assert written == {
        module: texts for module, texts in MADE_BY_DRIVERS.items() if module.startswith(package)
    }


def test_the_place_has_them() -> None:
    written = literals(sources("tallow_core")[PLACE])
    assert len(written) >= 6
    assert set(written) <= listed()
    assert not any(
        context.startswith(prefix)
        for context in listed()
        for prefixes in MADE_BY_DRIVERS.values()
        for prefix in prefixes
    )


def test_the_specification_lists_them() -> None:
    rows = re.findall(r'^\| "([^"]+)"', SPECIFICATION.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == listed() | {text for texts in MADE_BY_DRIVERS.values() for text in texts}


def test_the_rule_itself() -> None:
    assert literals(
        '"""tallow/1 in words"""\nx = b"tallow/1 x"\ny = "not tallow/1"\nz = f"tallow/1 {x!r}"'
    ) == ["tallow/1 x", "tallow/1 "]
