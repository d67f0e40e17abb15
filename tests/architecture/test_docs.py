"""The generated pages are what the source says, and what the tutorial quotes is the plugin that is
built and tested."""

from __future__ import annotations

import abc
import builtins
import collections.abc
import contextlib
import enum
import pathlib
import re
import types
import typing
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from tallow_core.cli.entry.command_table import COMMANDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TUTORIAL = DOCS / "tutorial" / "first-plugin.md"
PLUGIN = "contrib/tallow-cipher-xchacha20-poly1305/src/tallow_cipher_xchacha20_poly1305/__init__.py"
TESTS = "contrib/tallow-cipher-xchacha20-poly1305/tests/test_cipher.py"
_QUOTED = re.compile(r"<!-- (\S+) -->\n```\w+\n(.*?)```\n", re.DOTALL)
GENERATED = (
    "hooks.md",
    "drivers.md",
    "toolkit.md",
    "errors.md",
    "kit.md",
    "events.md",
    "public-api.txt",
)
CONTRACT_PAGES = ("drivers.md", "toolkit.md", "errors.md", "kit.md", "hooks.md")
STANDARD = (abc, builtins, collections.abc, contextlib, enum, pathlib, types, typing)
EXPLAINED = frozenset({"Kind", "Options", "Table"})
"""In the prose, or of an example."""
_LITERALS = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|#.*")
_LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)(#[\w-]+)?\)")


def generator() -> Any:
    """docs/generate.py, which is a script and no module of a package."""
    spec = spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", GENERATED)
def test_generated_pages_have_not_drifted(name: str) -> None:
    written = (DOCS / "reference" / name).read_text("utf-8")
    assert written == generator().pages()[name], "run `python docs/generate.py`"


def test_what_the_tutorial_quotes_is_there() -> None:
    quotes = _QUOTED.findall(TUTORIAL.read_text("utf-8"))
    assert len(quotes) >= 9
    for path, text in quotes:
        assert text in (ROOT / path).read_text("utf-8"), f"not in {path}:\n{text}"


@pytest.mark.parametrize("file", [PLUGIN, TESTS])
def test_the_tutorial_leaves_nothing_of_the_plugin_out(file: str) -> None:
    """A reader who types what is quoted has the whole of it."""
    source = (ROOT / file).read_text("utf-8")
    quoted = "".join(
        text for path, text in _QUOTED.findall(TUTORIAL.read_text("utf-8")) if path == file
    )
    assert [line for line in quoted.splitlines() if line] == [
        line for line in source.splitlines() if line
    ]


def test_its_commands_exist() -> None:
    typed = re.findall(r"^\$ tallow (.*)$", TUTORIAL.read_text("utf-8"), re.MULTILINE)
    assert len(typed) >= 4
    for line in typed:
        assert any(tuple(line.split()[: len(row.words)]) == row.words for row in COMMANDS), line


@pytest.mark.parametrize(
    "page",
    sorted([*ROOT.glob("*.md"), *ROOT.glob("contrib/**/*.md"), *DOCS.rglob("*.md")]),
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_lead_somewhere(page: Path) -> None:
    for target, _ in _LINK.findall(page.read_text("utf-8")):
        assert "://" in target or (page.parent / target).exists(), f"{page}: {target}"


def test_the_reference_defines_what_it_speaks_of() -> None:
    """Each class or type in a signature or table is defined on one of the pages, or is Python's."""
    text = "".join((DOCS / "reference" / name).read_text("utf-8") for name in CONTRACT_PAGES)
    signatures = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    tables = re.findall(r"^\| `\w+` \| `([^`]*)`", text, re.MULTILINE)
    used = set(re.findall(r"\b[A-Z]\w*[a-z]\w*", _LITERALS.sub("", "\n".join(signatures + tables))))
    defined = set(re.findall(r"^#+ (\w+)$|^\| (?:&emsp;)*`(\w+)` \| ", text, re.MULTILINE))
    pythons = {name for module in STANDARD for name in vars(module)}
    assert used - {name for pair in defined for name in pair} - pythons - EXPLAINED == set()


def test_templates_import_public_modules_only() -> None:
    """What `plugins new` writes is an example of what a plugin may rely on."""
    page = (DOCS / "reference" / "versioning.md").read_text("utf-8")
    public = tuple(re.findall(r"`(tallow_core\.[\w.]+)`", page.partition("## The version")[0]))
    for template in (ROOT / "tallow_core" / "cli" / "scaffold").glob("*.py.tmpl"):
        for module in re.findall(r"^from (tallow_core\S*)", template.read_text("utf-8"), re.M):
            assert module.startswith(public), f"{template.name} imports {module}"
