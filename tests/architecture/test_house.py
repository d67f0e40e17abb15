"""What keeps the house in order: sizes, widths, and one name for one thing."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.kit.checkout import ROOT
from tests.kit.source_code import sources

MAX_LINES = 350
MAX_COLUMNS = 100
PACKAGES = ("tallow_core", "tallow_plugins")

SHARED_MODULES = frozenset({"__init__", "__main__"})
VAGUE = re.compile(r"\b(told|tells|tell|whoever|whatever|nobody|somebody)\b", re.IGNORECASE)
"""Words that leave the reader guessing who does what."""
MODULES_IN_ING = {
    "testing": "the field's noun, and pytest's",
    "staging": "the noun for a place where files wait (glossary)",
    "resumable_staging": "the same noun",
}
CLASSES_IN_ING = {
    "EphemeralStaging": "a staging area (glossary)",
    "ResumableStaging": "a staging area (glossary)",
    "GuestWaiting": "what the frame Guest says (docs/protocol/relay.md): a guest waits",
    "RelayListening": "an event, which says what happened: the relay listens",
}
"""Names in -ing that stay, with the reason. Others name an activity, not a thing."""


def all_sources() -> dict[str, str]:
    return {module: text for package in PACKAGES for module, text in sources(package).items()}


def basenames() -> dict[str, list[str]]:
    """Last part of a module's name -> the modules. Drivers are named by what users type, and have
    folders of their own."""
    found: dict[str, list[str]] = defaultdict(list)
    for module in sources("tallow_core"):
        found[module.rpartition(".")[2]].append(module)
    return found


def class_names() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for module, source in all_sources().items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{module}.{node.name}")
    return found


def texts(source: str) -> Iterator[str]:
    """Docstrings and comments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    yield from re.findall(r"(?m)^\s*#\s(.*)$|\s{2}#\s(.*)$", source) and [
        first or second for first, second in re.findall(r"(?m)^\s*#\s(.*)$|\s{2}#\s(.*)$", source)
    ]


def test_no_module_is_too_long() -> None:
    long = {module for module, text in all_sources().items() if text.count("\n") > MAX_LINES}
    assert long == set()


def beside_the_packages() -> dict[str, str]:
    """Path -> source, of the Python that lies in the checkout only."""
    paths = [*(ROOT / "docs").glob("*.py")]
    for folder in ("tests", "contrib", "benchmarks"):
        paths += (ROOT / folder).rglob("*.py")
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in sorted(paths)}


def test_no_line_is_too_wide() -> None:
    beside = beside_the_packages()
    assert len(beside) > 150
    wide = [
        f"{module}:{number}"
        for module, text in (all_sources() | beside).items()
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > MAX_COLUMNS
    ]
    assert wide == []


def test_a_module_name_is_used_once() -> None:
    twice = {
        name
        for name, modules in basenames().items()
        if len(modules) > 1 and name not in SHARED_MODULES
    }
    assert twice == set()


def test_a_class_name_is_used_once() -> None:
    twice = {name for name, places in class_names().items() if len(places) > 1}
    assert twice == set()


def test_modules_and_classes_are_nouns() -> None:
    """No gerunds: a class or module is a thing (`KeyRenewal`), not what it does (`Rekeying`)."""
    parts = {part for module in sources("tallow_core") for part in module.split(".")}
    assert {part for part in parts if part.endswith("ing")} == MODULES_IN_ING.keys()
    assert {name for name in class_names() if name.endswith("ing")} == CLASSES_IN_ING.keys()


def test_docstrings_and_comments_are_plain() -> None:
    vague = {
        module
        for module, text in all_sources().items()
        if any(VAGUE.search(each) for each in texts(text))
    }
    assert vague == set()


def test_limits_are_named_max_and_min() -> None:
    """One word for one thing: `MAX_` and `MIN_`, never MOST, LEAST, LONGEST or FEWEST."""
    other = re.compile(r"(?m)^_?(?:MOST|LEAST|LONGEST|SHORTEST|FEWEST|LARGEST|RAREST)\w*\b")
    assert {module for module, text in all_sources().items() if other.search(text)} == set()


def test_packages_say_what_is_inside() -> None:
    empty = [
        module
        for module, text in all_sources().items()
        if Path(module.replace(".", "/")).name == "__init__"
        and not ast.get_docstring(ast.parse(text))
    ]
    assert empty == []
