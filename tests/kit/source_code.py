"""The source of the installed packages: modules, imports, and the rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

LEAVES = frozenset(
    {
        "__init__",
        "aio",
        "available_memory",
        "directories",
        "errors",
        "event_fields",
        "events",
        "offers",
        "passwords",
        "plugin_settings",
        "private_files",
        "secrets",
        "text",
        "types",
    }
)
"""Modules right in `tallow_core`. They import leaves only."""


ROOMS = (
    "spi",
    "registry",
    "config",
    "protocol",
    "files",
    "session",
    "paths",
    "rendezvous",
    "transfer",
    "relay",
    "app",
    "testing",
    "cli",
)
"""The rooms, lowest first: each may import those before it, and the leaves."""

DRIVERS = LEAVES | {"spi", "registry"}
"""What a first-party driver may know of the core; a command may know all of it."""


@dataclass(frozen=True, slots=True)
class Import:
    """`module` imports `target`; `typing` if only a type checker sees it."""

    module: str
    target: str
    typing: bool
    name: str = ""
    """What is imported from `target`, if it is named."""

    def __str__(self) -> str:
        return f"{self.module} imports {self.target}"


def imports(module: str, source: str) -> Iterator[Import]:
    """Every import of a source, wherever it stands."""
    yield from _imports(module, ast.parse(source), typing=False)


def _imports(module: str, node: ast.AST, *, typing: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(module, alias.name, typing) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{module} has a relative import"
        assert node.module is not None
        bare = "." not in node.module and node.module.startswith("tallow")
        yield from (
            Import(module, f"{node.module}.{alias.name}", typing)
            if bare
            else Import(module, node.module, typing, alias.name)
            for alias in node.names
        )
    elif isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    ):
        for statement in node.body:
            yield from _imports(module, statement, typing=True)
        for statement in node.orelse:
            yield from _imports(module, statement, typing=typing)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _imports(module, child, typing=typing)


@cache
def sources(package: str) -> dict[str, str]:
    """Module name -> source, of an installed package."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    root = Path(spec.submodule_search_locations[0])
    return {
        ".".join((package, *path.relative_to(root).with_suffix("").parts)): path.read_text("utf-8")
        for path in sorted(root.rglob("*.py"))
    }


def area(module: str) -> str:
    """The room, or the leaf, that a module of tallow_core is."""
    part = module.split(".")[1] if "." in module else "__init__"
    return {"__version__": "__init__", "api": "app"}.get(part, part)
